"""The section `corpus.filters` of a recipe: rules that leave out training text, none by default."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from neuronspec.core.settings import Added, Positive, RecipePath, Section


class CharactersSettings(Section):
    """How long a text may be, in characters."""

    min: Positive = Field(1, description="drop shorter texts")
    max: Positive = Field(10_000, description="drop longer texts")

    @model_validator(mode="after")
    def _check(self) -> CharactersSettings:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}")
        return self


class LanguageIdSettings(Section):
    """Drop texts that are identified as another language. What the identifier doesn't know is let through."""

    min_probability: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="drop texts whose language is less probable than this, too"
    )
    min_characters: Positive = Field(20, description="shorter texts aren't judged, as identifiers often err on them")
    model: RecipePath | None = Field(
        None,
        description="a fastText model (lid.176.bin, OpenLID, GlotLID), which needs the package fasttext; without it, "
        "py3langid",
    )


class NearDuplicatesSettings(Section):
    """Drop pairs that are nearly like one before them in the same languages."""

    threshold: Annotated[float, Field(ge=0.5, le=0.95)] = Field(
        0.8,
        description="how alike, by Jaccard similarity of character 5-grams, the geometric mean of both sides; two of "
        "three such pairs are found, nearly all that are more alike by 0.1, few that are less so by 0.15",
    )


ALL_PAIRS = "all"
"""Names filters of all language pairs."""


def _one_filter(entry: dict[str, dict[str, Any] | None]) -> dict[str, dict[str, Any] | None]:
    if len(entry) != 1:
        named = ", ".join(entry) or "nothing"
        raise ValueError(
            f"an entry is one filter of OpusFilter with its parameters, {{LengthRatioFilter: {{threshold: 3}}}}, not "
            f"{named}; classes of your own (module) can't be used"
        )
    return entry


_Filter: TypeAlias = Annotated[dict[str, dict[str, Any] | None], AfterValidator(_one_filter)]

OpusFilters: TypeAlias = dict[str, Annotated[list[_Filter], Field(min_length=1, max_length=100)]]
"""By language pair, or `ALL_PAIRS`, filters as OpusFilter's configurations list them."""


class FilterSettings(Section):
    """Rules for training text beyond `corpus.cleaning`. Each is off by default, and counts what it drops."""

    characters: CharactersSettings | None = Field(None, description="drop texts by length, {min: 3, max: 1000}")
    language_id: LanguageIdSettings | None = Field(
        None, description="drop texts in another language, {min_probability: 0.5}; {} takes all defaults"
    )
    script_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="drop texts of whose letters a smaller share is in the script of their language"
    )
    max_repetitions: Positive | None = Field(
        None,
        description="drop texts in which three or more characters, spaces between them aside, follow themselves more "
        "often than this",
    )
    numbers: bool = Field(
        False, description="drop pairs whose sides have other numbers; digits of all scripts and separators are alike"
    )
    placeholders: bool = Field(False, description="drop pairs whose sides have other placeholders or tags")
    near_duplicates: Annotated[NearDuplicatesSettings | None, Added()] = Field(
        None,
        description="drop pairs that are nearly like one before them, {threshold: 0.8}; {} takes all defaults (extra "
        "dedup)",
    )

    opusfilter: Annotated[OpusFilters, Added()] = Field(
        {},
        description="filters of OpusFilter by language pair, whose languages are in the order that the filters expect, "
        "or for all pairs: {all: [{LengthRatioFilter: {threshold: 3}}], en-de: [...]} (extra opusfilter)",
    )

    @property
    def of_texts(self) -> bool:
        """Whether a filter that looks at one text is on."""
        return any((self.characters, self.language_id, self.script_share, self.max_repetitions))
