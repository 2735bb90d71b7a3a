"""The corpus section of a recipe: what is read, which directions are used, how text is split and cleaned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from neuronspec.core.direction import Direction, is_language_code
from neuronspec.core.errors import DirectionError
from neuronspec.core.languages import family_of, get_language
from neuronspec.core.settings import Positive, RecipePath, RecipePattern, Section, Share

Tier = Literal["high", "medium", "low"]


class CleaningSettings(Section):
    """Rules for training text; each counts what it drops in `corpus.json`."""

    max_tokens: Positive = Field(256, description="drop training pairs with a longer side, in tokens without tags")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        description="drop training pairs whose longer side exceeds the shorter by this factor (tokens)",
    )
    deduplicate: bool = Field(True, description="drop exact duplicates of a training pair")
    drop_copies: bool = Field(False, description="drop training pairs whose target equals the source")
    decontaminate: bool = Field(True, description="drop training pairs whose source or target stands in valid or test")


class CorpusSettings(Section):
    """What is read, which languages and directions are used, how it is split and cleaned."""

    pivot: str = Field("en", description="the language in the middle: directions go out of it and into it")
    languages: list[str] = Field(min_length=1, description="the other languages, by code")
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
        0.04, description="share of pivot sentences held out for validation, where no files are given"
    )
    test_share: Share = Field(
        0.06, description="share of pivot sentences held out for the test, where no files are given"
    )
    cleaning: CleaningSettings = CleaningSettings()
    workers: Positive | None = Field(
        None, description="processes that clean and tokenize; all cores without it. The outcome is the same"
    )

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
                    get_language(code)
                except DirectionError as error:
                    yield f"{error}; a code of your own needs a family: corpus.families: {{{code}: Germanic}}"
        repeated = {code for code in self.all_languages if self.all_languages.count(code) > 1}
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
            missing = {direction.source, direction.target} - known
            if missing:
                yield f"direction {text}: {', '.join(sorted(missing))} is not among the languages {sorted(known)}"

    def _tier_problems(self) -> Iterator[str]:
        placed = [code for codes in self.tiers.values() for code in codes]
        yield from (f"tiers: {code!r} is not among the languages" for code in placed if code not in self.languages)
        yield from (
            f"tiers: {code!r} stands in two tiers" for code in sorted({c for c in placed if placed.count(c) > 1})
        )
        if self.tiers:
            yield from (f"tiers: {code!r} is in no tier" for code in self.languages if code not in placed)
        if self.tier_shares and not self.tiers:
            yield "tier_shares: needs tiers, which say which languages are meant"


class CatalogsCorpus(CorpusSettings):
    """Message catalogs (gettext `.po`) of installed packages, or of a folder."""

    reader: Literal["catalogs"]
    packages: list[str] = Field(
        ["django", "plone.app.locales"], description="installed packages whose catalogs are read"
    )
    folder: RecipePath | None = Field(None, description="read the catalogs below this folder instead of packages")
    max_characters: Positive | None = Field(
        None, description="leave out messages, in all splits, whose English text is longer"
    )


class TsvCorpus(CorpusSettings):
    """One multi-parallel table (`.tsv`, `.tsv.gz`, `.tsv.xz`), a column a language."""

    reader: Literal["tsv"]
    train: RecipePath = Field(description="training table; relative to the recipe's folder")
    valid: RecipePath | None = Field(None, description="validation table; without it, valid_share of the training rows")
    test: RecipePath | None = Field(None, description="test table; without it, test_share of the training rows")


class MosesCorpus(CorpusSettings):
    """Line-aligned text, one file a language side (the Moses layout)."""

    reader: Literal["moses"]
    train: RecipePattern = Field(
        description="pattern with {pair} (source-target, either order) and {lang}: text/train.{pair}.{lang}"
    )
    valid: RecipePattern | None = Field(None, description="pattern of the validation files")
    test: RecipePattern | None = Field(None, description="pattern of the test files")

    @field_validator("train", "valid", "test")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None and "{lang}" not in pattern:
            raise ValueError(f"pattern {pattern!r} lacks {{lang}}; for example text/train.{{pair}}.{{lang}}")
        return pattern


Corpus = Annotated[CatalogsCorpus | TsvCorpus | MosesCorpus, Field(discriminator="reader")]
