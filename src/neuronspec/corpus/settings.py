"""The corpus section of a recipe: what is read, which directions are used, how text is split and cleaned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from neuronspec.core.direction import Direction, is_language_code, match_direction
from neuronspec.core.errors import DirectionError
from neuronspec.core.languages import (
    by_language,
    canonical,
    choose_language,
    family_of,
    is_known,
    match_language,
    same_language,
)
from neuronspec.core.registry import ByName
from neuronspec.core.settings import MANY, Positive, Section, Share
from neuronspec.corpus.old_form import from_old_form
from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.rows import Pair, Split, pair_of
from neuronspec.corpus.readers.source import Source, Wanted

Tier = Literal["high", "medium", "low"]


def _as_code(spelling: str) -> str:
    """A code as files can be named by: as written, but where that has a hyphen, in its canonical form."""
    return canonical(spelling) if not is_language_code(spelling) and is_known(spelling) else spelling


Code = Annotated[str, AfterValidator(_as_code)]


class CleaningSettings(Section):
    """Rules for training text; each counts what it drops in `corpus.json`."""

    max_tokens: Positive = Field(256, description="drop training pairs with a longer side, in tokens without tags")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        le=MANY,
        description="drop training pairs whose longer side exceeds the shorter by this factor (tokens)",
    )
    deduplicate: bool = Field(True, description="drop exact duplicates of a training pair")
    drop_copies: bool = Field(False, description="drop training pairs whose target equals the source")
    decontaminate: bool = Field(True, description="drop training pairs whose source or target is in valid or test")


class CorpusSettings(Section):
    """What is read, which languages and directions are used, how it is split and cleaned."""

    pivot: Code = Field("en", description="the language in the middle: directions go out of it and into it")
    languages: list[Code] = Field(
        min_length=1, description="the other languages, in any spelling (de, pt-BR, zho_Hans), which names all files"
    )
    directions: Literal["both", "out", "into"] | list[str] = Field(
        "both",
        description="both: pivot-X and X-pivot; out: pivot-X; into: X-pivot; or a list such as [en-de, de-fr]",
    )
    families: dict[str, str] = Field(
        {}, description="language code: family; for codes that aren't in the built-in table, or to regroup"
    )
    tiers: dict[Tier, list[str]] = Field(
        {},
        description="resource tiers of the languages; without them, thirds by the number of training pairs",
    )
    tier_shares: dict[Tier, Share] = Field(
        {},
        description="share of a tier's training text that is used, such as {medium: 0.25, low: 0.05}: a sample of rows "
        "for each language, drawn with the seed; needs tiers",
    )
    valid_share: Share = Field(
        0.04, description="share of pivot sentences held out for validation, where no source is given"
    )
    test_share: Share = Field(
        0.06, description="share of pivot sentences held out for the test, where no source is given"
    )
    train: Annotated[Source, ByName(READERS, "reader")] = Field(
        description="the source of the training text, {reader: tsv, path: text.tsv}; see the sources below"
    )
    valid: Annotated[Source | None, ByName(READERS, "reader", optional=True)] = Field(
        None, description="the source of the validation text; without it, valid_share of the training text"
    )
    test: Annotated[Source | None, ByName(READERS, "reader", optional=True)] = Field(
        None, description="the source of the test text; without it, test_share of the training text"
    )
    cleaning: CleaningSettings = CleaningSettings()
    workers: Positive | None = Field(
        None, description="processes that clean and tokenize; all cores without it. The outcome is the same"
    )

    @model_validator(mode="before")
    @classmethod
    def _read_old_form(cls, values: Any) -> Any:
        return from_old_form(values)

    @field_validator("directions", "families", "tiers")
    @classmethod
    def _spell_as_languages(cls, value: Any, info: ValidationInfo) -> Any:
        """Languages in any spelling become those of `languages`; what is none of them is found by `_check`."""
        known = [info.data["pivot"], *info.data["languages"]] if info.data.keys() >= {"pivot", "languages"} else []
        if not known or isinstance(value, str):
            return value
        if isinstance(value, list):
            return [_spelled(text, known) for text in value]
        if info.field_name == "families":
            try:
                return by_language(value, known)
            except DirectionError as error:
                raise ValueError(str(error)) from None
        return {tier: [match_language(code, known) or code for code in codes] for tier, codes in value.items()}

    @property
    def sources(self) -> dict[Split, Source]:
        """The sources that are given, by split: train before valid before test."""
        given: dict[Split, Source | None] = {"train": self.train, "valid": self.valid, "test": self.test}
        return {split: source for split, source in given.items() if source is not None}

    @property
    def inputs(self) -> dict[str, Any]:
        """What shows whether the text of the sources has changed; see `Source.inputs`."""
        return {name: stamp for source in self.sources.values() for name, stamp in source.inputs().items()}

    @property
    def pairs(self) -> list[Pair]:
        """The unordered language pairs that some direction translates between, sorted."""
        return sorted({pair_of(direction.source, direction.target) for direction in self.all_directions})

    @property
    def used_languages(self) -> list[str]:
        """The languages that some direction uses, in the recipe's order (the pivot first)."""
        used = {code for pair in self.pairs for code in pair}
        return [code for code in self.all_languages if code in used]

    @property
    def wanted(self) -> Wanted:
        """The text that the sources are asked for."""
        return Wanted(self.used_languages, self.pairs)

    @property
    def all_directions(self) -> list[Direction]:
        """The directions of the experiment, sorted."""
        if isinstance(self.directions, list):
            return sorted(Direction.parse(text) for text in self.directions)
        out = [Direction(self.pivot, code) for code in self.languages]
        into = [direction.reverse() for direction in out]
        return sorted({"both": out + into, "out": out, "into": into}[self.directions])

    @property
    def all_languages(self) -> list[str]:
        """The pivot, then the other languages in the recipe's order."""
        return [self.pivot, *self.languages]

    @property
    def language_shares(self) -> dict[str, float]:
        """The share of its training text that is used, for each language whose tier has one."""
        return {
            code: share for tier, share in sorted(self.tier_shares.items()) for code in sorted(self.tiers.get(tier, []))
        }

    def family(self, code: str) -> str:
        """The family of a language: the recipe's word first, then the built-in table."""
        return self.families.get(code) or family_of(code)

    @model_validator(mode="after")
    def _check(self) -> CorpusSettings:
        problems = [*self._language_problems(), *self._direction_problems(), *self._tier_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _language_problems(self) -> Iterator[str]:
        for code in self.all_languages:
            if not is_language_code(code):
                yield f"language code {code!r}: expected letters and digits joined by '_', such as 'de' or 'pt_BR'"
            elif code not in self.families:
                try:
                    family_of(code)
                except DirectionError as error:
                    yield f"{error}; a code of your own needs a family: corpus.families: {{{code}: Germanic}}"
        repeated = {
            code
            for place, code in enumerate(self.all_languages)
            if any(same_language(code, other) for other in self.all_languages[:place])
        }
        if repeated:
            yield f"languages named twice (the pivot counts): {', '.join(sorted(repeated))}"

    def _direction_problems(self) -> Iterator[str]:
        known = set(self.all_languages)
        if self.directions == []:
            yield "directions: the list is empty"
        for text in self.directions if isinstance(self.directions, list) else []:
            try:
                direction = Direction.parse(text)
            except DirectionError as error:
                yield str(error)
                continue
            for code in (direction.source, direction.target):
                if code not in known:
                    yield f"direction {text}: {not_among(code, self.all_languages)}"

    def _tier_problems(self) -> Iterator[str]:
        placed = [code for codes in self.tiers.values() for code in codes]
        yield from (f"tiers: {code!r} is not among the languages" for code in placed if code not in self.languages)
        yield from (f"tiers: {code!r} is in two tiers" for code in sorted({c for c in placed if placed.count(c) > 1}))
        if self.tiers:
            yield from (f"tiers: {code!r} is in no tier" for code in self.languages if code not in placed)
        if self.tier_shares and not self.tiers:
            yield "tier_shares: needs tiers, which say which languages are meant"


def spelled_as_in(corpus: CorpusSettings | None, directions: Iterable[str]) -> list[str]:
    """Directions with the languages as the corpus spells them; what is no direction of them stays as it is."""
    return [_spelled(text, corpus.all_languages) if corpus else text for text in directions]


def _spelled(text: str, known: list[str]) -> str:
    try:
        return str(match_direction(text, known))
    except DirectionError:
        return text


def not_among(code: str, known: list[str]) -> str:
    """The message of `choose_language` for a code that isn't among the corpus's languages."""
    try:
        choose_language(code, known, "corpus.languages and the pivot are")
    except DirectionError as error:
        return str(error)
    return ""
