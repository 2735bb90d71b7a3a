"""What a reader yields: rows of the same sentence in several languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from neuronspec.recipe import CorpusSettings

Split: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence in two or more languages.

    Args:
        texts: raw text by language code; a language without text is absent.
        origin: where the row stands, such as `train.tsv:12` or `django/conf:django:Save`.
        split: the split that the row was given for; None where splits are drawn.
    """

    texts: Mapping[str, str]
    origin: str
    split: Split | None = None


@dataclass(slots=True)
class ReadCounts:
    """What a reader saw and left out.

    Attributes:
        sources: rows (or translations) read from each file or package.
        skipped: by language, how many translations were left out for which reason.
        changed: by language, how many translations were changed for which reason.
    """

    sources: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)
    changed: dict[str, Counter[str]] = field(default_factory=dict)

    def skip(self, language: str, reason: str) -> None:
        """Count a translation that isn't used."""
        self.skipped.setdefault(language, Counter())[reason] += 1

    def change(self, language: str, reason: str) -> None:
        """Count a translation that is used in a changed form."""
        self.changed.setdefault(language, Counter())[reason] += 1


Pair: TypeAlias = tuple[str, str]
"""Two language codes in alphabetical order; both directions share its text."""


def pairs_of(corpus: CorpusSettings) -> list[Pair]:
    """The unordered language pairs that the directions of a corpus need, sorted."""
    return sorted({pair_of(direction.source, direction.target) for direction in corpus.all_directions})


def pair_of(source: str, target: str) -> Pair:
    """The unordered pair of two languages."""
    return (source, target) if source < target else (target, source)


def used_languages(corpus: CorpusSettings) -> list[str]:
    """The languages that some direction uses, in the recipe's order (the pivot first)."""
    used = {code for pair in pairs_of(corpus) for code in pair}
    return [code for code in corpus.all_languages if code in used]
