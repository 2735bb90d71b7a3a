"""Translation directions: parsing, printing, sorting. The only place that knows how `en-de` is spelled."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import total_ordering
from itertools import product
from typing import TypeAlias

from neuronspec.core.errors import DirectionError
from neuronspec.core.languages import LANGUAGES, base_language, canonical, choose_language, fitting_languages, is_known

DirectionLike: TypeAlias = "str | Direction"

_LANGUAGE = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)*")


@total_ordering
@dataclass(frozen=True, slots=True)
class Direction:
    """A translation direction, `Direction("en", "de")`, printed `en-de`.

    Sorts by source, then target. Language codes may hold `_` (`pt_BR`, `eng_Latn`), never `-`.

    Raises:
        DirectionError: a code is empty or holds other characters, or source and target are the same.
    """

    source: str
    target: str

    def __post_init__(self) -> None:
        for code in (self.source, self.target):
            _check_code(code)
        if self.source == self.target:
            raise DirectionError(f"direction '{self.source}-{self.target}': source and target are the same language")

    @classmethod
    def parse(cls, text: str | Direction) -> Direction:
        """`"en-de"` (or a `Direction`) as a `Direction`.

        Where there are several hyphens, it is split at the one that leaves two known languages: `"en-pt-BR"` is
        `Direction("en", "pt_BR")`.

        Raises:
            DirectionError: `text` isn't two language codes joined by `-`, or can be read in two ways.
        """
        if isinstance(text, Direction):
            return text
        parts = _checked(text).split("-")
        if len(parts) == 2:
            return cls(*parts)
        found = [
            (source, target)
            for place in range(1, len(parts))
            if (source := _joined(parts[:place])) is not None and (target := _joined(parts[place:])) is not None
        ]
        # en-pt-BR could also be English of Portugal to Breton; the languages of the table come first
        found = [pair for pair in found if set(pair) <= LANGUAGES.keys()] or found
        if len(found) == 1:
            return cls(*found[0])
        ways = " or ".join(f"{source} to {target}" for source, target in found)
        reason = f"it can be read as {ways}" if found else "expected SOURCE-TARGET such as 'en-de'"
        raise DirectionError(f"direction {text!r}: {reason}; write a region or script with '_', as in pt_BR")

    def reverse(self) -> Direction:
        """`de-en` of `en-de`."""
        return Direction(self.target, self.source)

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Direction):
            return NotImplemented
        return (self.source, self.target) < (other.source, other.target)


@dataclass(frozen=True, slots=True)
class Monolingual(Direction):
    """Text of one language without a translation, printed `de`: what neurons can be recorded on as in a direction.

    It is source and target alike. A model isn't trained or evaluated on it.

    Raises:
        DirectionError: the code is empty or holds other characters than a language's.

    Examples:
        >>> from neuronspec.core.direction import Monolingual
        >>> str(Monolingual.of("de"))
        'de'
    """

    def __post_init__(self) -> None:
        _check_code(self.source)

    @classmethod
    def of(cls, language: str) -> Monolingual:
        """The text of a language."""
        return cls(language, language)

    def __str__(self) -> str:
        return self.source


def parse_task(task: DirectionLike) -> Direction:
    """What neurons are recorded on: a direction such as `"en-de"`, or a language such as `"de"` (`Monolingual`).

    Raises:
        DirectionError: `task` is neither, or can be read in two ways.
    """
    if isinstance(task, str) and is_language_code(task):
        return Monolingual.of(task)
    return Direction.parse(task)


def _check_code(code: str) -> None:
    if not is_language_code(code):
        raise DirectionError(
            f"language code {code!r}: expected letters and digits joined by '_', such as 'de' or 'pt_BR'"
        )


def _checked(direction: object) -> str:
    if not isinstance(direction, str):
        raise DirectionError(
            f"a direction is a str such as 'en-de' or a Direction, not {type(direction).__name__} ({direction!r})"
        )
    return direction


def match_direction(direction: DirectionLike, languages: Iterable[str]) -> Direction:
    """A direction with its languages as some model, recipe or corpus spells them.

    Args:
        direction: with languages in any spelling: `EN-de`, `eng_Latn-deu_Latn`, `en-pt-BR`.
        languages: the codes that are known there. A language that is none of them stays as it is written.

    Raises:
        DirectionError: `direction` isn't two languages joined by `-`, or can be read in two ways; says in which.

    Examples:
        >>> str(match_direction("EN-pt-BR", ["de", "en", "pt_BR"]))
        'en-pt_BR'
    """
    known = sorted(set(languages))
    found: dict[int, set[tuple[str, str]]] = {}
    for source, target in _readings(direction):
        (one, sources), (other, targets) = fitting_languages(source, known), fitting_languages(target, known)
        found.setdefault(max(one, other), set()).update(product(sources, targets))
    pairs = sorted(found[min(found)]) if found else []
    if len(pairs) == 1:
        return Direction(*pairs[0])
    if pairs:
        ways = " or ".join("-".join(pair) for pair in pairs)
        raise DirectionError(f"direction '{direction}' may mean {ways}: write which")
    parsed = Direction.parse(direction)
    return direction_between(parsed.source, parsed.target, known)


def match_task(task: DirectionLike, languages: Iterable[str]) -> Direction:
    """As `match_direction`, also for a language alone.

    Raises:
        DirectionError: `task` is neither a direction nor a language, or can be read in two ways.
    """
    if isinstance(task, Monolingual) or (isinstance(task, str) and is_language_code(task)):
        return Monolingual.of(_known_or_canonical(str(task), sorted(set(languages))))
    return match_direction(task, languages)


def direction_between(source: str, target: str, languages: Iterable[str]) -> Direction:
    """As `match_direction`, from a source and a target that are given apart.

    Raises:
        DirectionError: a language may mean several of those that are known, or both are the same.
    """
    known = sorted(set(languages))
    return Direction(*(_known_or_canonical(code, known) for code in (source, target)))


def nearest_directions(direction: Direction, known: Iterable[str]) -> str:
    """The hint for a direction that isn't there: those that are, the nearest first. Empty if there are none.

    Only a code that no language has may be a slip of one that looks alike: who writes `en-fi` didn't mean `en-it`.
    """
    names = list(map(str, known))

    def sides(name: str) -> list[tuple[str, str]]:
        other = parse_task(name)
        return [(direction.source, other.source), (direction.target, other.target)]

    def is_slip(name: str) -> bool:
        return all(base_language(one) == base_language(two) or not is_known(one) for one, two in sides(name))

    close = difflib.get_close_matches(str(direction), filter(is_slip, names), n=1, cutoff=0.6)

    def distance(name: str) -> tuple[bool, int, float, str]:
        shared = sum(base_language(one) == base_language(two) for one, two in sides(name))
        return name not in close, -shared, -difflib.SequenceMatcher(None, str(direction), name).ratio(), name

    listed = ", ".join(sorted(names, key=distance))
    if not listed:
        return ""
    return f"did you mean {close[0]!r}? Valid: {listed}" if close else f"valid: {listed}"


def _readings(direction: DirectionLike) -> list[tuple[str, str]]:
    """The ways to split a direction into two languages."""
    if isinstance(direction, Direction):
        return [(direction.source, direction.target)]
    parts = _checked(direction).split("-")
    return [("-".join(parts[:place]), "-".join(parts[place:])) for place in range(1, len(parts))]


def _known_or_canonical(code: str, known: list[str]) -> str:
    """A language as it is known, or as it is written, or where that has a hyphen in its canonical form."""
    _, fitting = fitting_languages(code, known)
    if fitting:
        return choose_language(code, known)
    return canonical(code) if "-" in code else code


def _joined(parts: list[str]) -> str | None:
    """The canonical code of a language that is spelled with hyphens, or None."""
    try:
        return canonical("-".join(parts))
    except DirectionError:
        return None


def is_language_code(code: str) -> bool:
    """Whether `code` is well-formed: letters and digits joined by `_`; no `-`, space or path separator."""
    return _LANGUAGE.fullmatch(code) is not None


def languages_of(directions: Iterable[Direction]) -> list[str]:
    """The sorted language codes that `directions` name."""
    return sorted({code for direction in directions for code in (direction.source, direction.target)})


def weight_problems(weights: Mapping[str, float], directions: Iterable[Direction]) -> list[str]:
    """What is wrong with weights of directions: a key is no direction, some lack one, or some are of none."""
    try:
        given, trained = {Direction.parse(name) for name in weights}, set(directions)
    except DirectionError as error:
        return [str(error)]
    missing, strange = (", ".join(map(str, sorted(part))) for part in (trained - given, given - trained))
    return [f"no weight for {missing}"] * bool(missing) + [f"{strange} isn't trained"] * bool(strange)
