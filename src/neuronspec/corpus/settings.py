"""The corpus section of a recipe: what is read, which directions are used, how text is split and cleaned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from neuronspec.core.direction import Direction, is_language_code, match_direction, nearest_directions
from neuronspec.core.errors import DirectionError, Mistakes
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
from neuronspec.core.settings import MANY, Added, Positive, Section, Share
from neuronspec.corpus.filters.settings import ALL_PAIRS, FilterSettings
from neuronspec.corpus.old_form import from_old_form
from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.rows import Pair, Split, pair_of
from neuronspec.corpus.readers.source import Source, Wanted, stamps

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
    normalize_punctuation: Annotated[bool, Added()] = Field(
        False,
        description="make quotes, dashes and spaces plain as Moses does, in all splits and when text is translated; "
        "references are scored as they were read (extra moses)",
    )
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
    train: Annotated[Source | list[Source], ByName(READERS, "reader", many=True)] = Field(
        description="the source of the training text, {reader: tsv, path: text.tsv}, or a list of sources; see the "
        "sources below"
    )
    valid: Annotated[Source | list[Source] | None, ByName(READERS, "reader", optional=True, many=True)] = Field(
        None, description="the source or sources of the validation text; without any, valid_share of the training text"
    )
    test: Annotated[Source | list[Source] | None, ByName(READERS, "reader", optional=True, many=True)] = Field(
        None, description="the source or sources of the test text; without any, test_share of the training text"
    )
    max_pairs: Annotated[Positive | None, Added()] = Field(
        None, description="training pairs of a language pair that are used at most: a sample, drawn with the seed"
    )
    cleaning: CleaningSettings = CleaningSettings()
    filters: Annotated[FilterSettings, Added()] = FilterSettings()
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
    def sources(self) -> dict[Split, list[Source]]:
        """The sources that are given, by split: train before valid before test."""
        given = {"train": self.train, "valid": self.valid, "test": self.test}
        return {
            cast(Split, split): found if isinstance(found, list) else [found]
            for split, found in given.items()
            if found is not None
        }

    @property
    def inputs(self) -> dict[str, Any]:
        """What shows whether the text of the sources, or a model that filters it, has changed; see `Source.inputs`."""
        sources = (source for sources in self.sources.values() for source in sources)
        found = {name: stamp for source in sources for name, stamp in source.inputs().items()}
        identifier = self.filters.language_id
        return found | (stamps([identifier.model]) if identifier and identifier.model else {})

    @property
    def pairs(self) -> list[Pair]:
        """The unordered language pairs that some direction translates between, sorted."""
        return sorted({pair_of(direction.source, direction.target) for direction in self.all_directions})

    @property
    def used_languages(self) -> list[str]:
        """The languages that some direction uses, in the recipe's order (the pivot first)."""
        used = {code for pair in self.pairs for code in pair}
        return [code for code in self.all_languages if code in used]

    def wanted(self, source: Source) -> Wanted:
        """The text that a source is asked for."""
        if source.languages is None:
            return Wanted(self.used_languages, self.pairs)
        known = self.all_languages
        has = {match_language(code, known) for code in source.languages}
        pairs = [pair for pair in self.pairs if has.issuperset(pair)]
        return Wanted([code for code in self.used_languages if code in has], pairs)

    @property
    def weights(self) -> list[float | None]:
        """The weights of the sources of the training text: 1 where only others have one; None where none has."""
        weights = [source.weight for source in self.sources["train"]]
        return weights if weights == [None] * len(weights) else [weight or 1.0 for weight in weights]

    @property
    def filters_of_pairs(self) -> list[tuple[Pair, list[dict[str, Any]]]]:
        """The language pairs with the filters of `filters.opusfilter`, those for all pairs first.

        The languages are in the order of the pair's own filters, or else the pivot first.
        """
        named = {
            (found.source, found.target): filters
            for text, filters in self.filters.opusfilter.items()
            if text != ALL_PAIRS
            for found in [match_direction(text, self.all_languages)]
        }
        found = []
        for pair in self.pairs:
            own = next((sides for sides in named if pair_of(*sides) == pair), None)
            one, other = own or sorted(pair, key=self.all_languages.index)
            found.append(((one, other), [*self.filters.opusfilter.get(ALL_PAIRS, []), *named.get((one, other), [])]))
        return found

    def trained_on(self, source: Source) -> list[Direction]:
        """The directions that are trained on a source of the training text, sorted."""
        if source.directions is None:
            return self.all_directions
        return sorted(match_direction(text, self.all_languages) for text in source.directions)

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
        problems += [] if problems else [*self._source_problems(), *self._filter_problems()]
        if problems:
            raise Mistakes(*problems)
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
        if isinstance(self.directions, list) and len(set(self.directions)) < len(self.directions):
            repeated = sorted({text for text in self.directions if self.directions.count(text) > 1})
            yield f"directions: {', '.join(repeated)} is named twice; keep one"
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

    def _source_problems(self) -> Iterator[str]:
        for split, sources in self.sources.items():
            for place, source in enumerate(sources):
                where = f"{split}[{place}]" if len(sources) > 1 else split
                yield from (f"{where}: {problem}" for problem in self._problems_of(source, split))

    def _filter_problems(self) -> Iterator[str]:
        seen: dict[Pair, str] = {}
        for text in self.filters.opusfilter:
            if text == ALL_PAIRS:
                continue
            try:
                found = match_direction(text, self.all_languages)
            except DirectionError as error:
                yield f"filters.opusfilter: {error}"
                continue
            pair = pair_of(found.source, found.target)
            if pair not in self.pairs:
                known = ", ".join(map("-".join, self.pairs))
                yield f"filters.opusfilter: {text} is no language pair of the corpus; there are: {known}"
            if pair in seen:
                yield f"filters.opusfilter: {seen[pair]} and {text} are the same language pair; keep one"
            seen[pair] = text

    def _problems_of(self, source: Source, split: Split) -> Iterator[str]:
        known = self.all_languages
        for code in source.languages or []:
            if match_language(code, known) is None:
                yield f"languages: {not_among(code, known)}"
        if split != "train":
            for name in ("directions", "weight", "domain", "held_out"):
                # by identity, as a weight of 1 equals the True of held_out
                if getattr(source, name) is not type(source).model_fields[name].default:
                    yield f"{name}: is for training text"
            return
        trained, wanted = self.all_directions, self.wanted(source)
        if source.languages and not wanted.pairs:
            yield f"languages: no direction of the corpus is between {' and '.join(source.languages)}"
            return
        for text in source.directions or []:
            try:
                found = match_direction(text, known)
            except DirectionError as error:
                yield f"directions: {error}"
                continue
            if found not in trained:
                yield f"directions: {text} isn't trained; {nearest_directions(found, map(str, trained))}"
            elif pair_of(found.source, found.target) not in wanted.pairs:
                yield f"directions: {text}: languages of this source are {', '.join(wanted.languages)}"


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
