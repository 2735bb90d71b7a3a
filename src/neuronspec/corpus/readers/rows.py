"""What a reader yields: rows of the same sentence in several languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
BLOCK_ROWS = 4096
"""Rows that are read, cleaned and tokenized together. It doesn't depend on the machine, as files are cut by it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence in two or more languages.

    Args:
        texts: raw text by language code; a language without text is absent.
        origin: its place in the source, such as `train.tsv:12` or `django/conf:django:Save`.
        split: that its source was given for; splits without a source are drawn from `train`.
    """

    texts: Mapping[str, str]
    origin: str
    split: Split = "train"


@dataclass(frozen=True, slots=True)
class LineOrigins:
    """The origins of consecutive lines of a file: `train.tsv:12`, `train.tsv:13`, ..."""

    name: str
    first: int

    def __getitem__(self, row: int) -> str:
        return f"{self.name}:{self.first + row}"


@dataclass(frozen=True, slots=True)
class Rows:
    """Up to `BLOCK_ROWS` rows that were read together, as columns.

    Args:
        texts: raw text by language code, one per row; empty where a row has none.
        origins: `origins[row]` is the place of a row in its source.
        split: that their source was given for; splits without a source are drawn from `train`.
        source: the place of their source among those of the split.
    """

    texts: Mapping[str, Sequence[str]]
    origins: LineOrigins | Sequence[str]
    split: Split = "train"
    source: int = 0

    def __len__(self) -> int:
        return len(next(iter(self.texts.values())))

    def take(self, chosen: Sequence[int]) -> Rows:
        """Some of the rows, by their places."""
        texts = {code: [column[row] for row in chosen] for code, column in self.texts.items()}
        return replace(self, texts=texts, origins=[self.origins[row] for row in chosen])

    def __iter__(self) -> Iterator[Row]:
        """The rows one by one."""
        for row in range(len(self)):
            texts = {code: column[row] for code, column in self.texts.items() if column[row]}
            yield Row(texts, self.origins[row], self.split)


def in_columns(rows: Iterator[Row], languages: Sequence[str], split: Split) -> Iterator[Rows]:
    """Single rows, block by block as columns."""
    while block := list(islice(rows, BLOCK_ROWS)):
        texts = {code: [row.texts.get(code, "") for row in block] for code in languages}
        yield Rows(texts, [row.origin for row in block], split)


@dataclass(slots=True)
class ReadCounts:
    """What a reader saw and left out.

    Attributes:
        sources: rows (or translations) read from each file or package.
        skipped: by language, how many translations were left out for which reason.
        changed: by language, how many translations were changed for which reason.
        parts: what was read of each source, in their order. Empty for a single source's own counts.
        languages: of which text was found, where only the rows tell.
        named: names of languages or of keys that were met, for messages.
    """

    sources: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Counter[str]] = field(default_factory=dict)
    changed: dict[str, Counter[str]] = field(default_factory=dict)
    parts: list[SourceCounts] = field(default_factory=list)
    languages: set[str] = field(default_factory=set)
    named: dict[str, None] = field(default_factory=dict)

    def skip(self, language: str, reason: str) -> None:
        """Count a translation that isn't used."""
        self.skipped.setdefault(language, Counter())[reason] += 1

    def change(self, language: str, reason: str) -> None:
        """Count a translation that is used in a changed form."""
        self.changed.setdefault(language, Counter())[reason] += 1

    def add(self, other: ReadCounts) -> None:
        """Add the counts of a source, or of a piece of one."""
        self.sources.update(other.sources)
        self.languages |= other.languages
        self.named |= other.named
        for mine, others in ((self.skipped, other.skipped), (self.changed, other.changed)):
            for language, reasons in others.items():
                mine.setdefault(language, Counter()).update(reasons)


@dataclass(slots=True)
class SourceCounts:
    """What was read of one source.

    Attributes:
        split: that it was given for.
        place: among the sources of the split, from 0.
        read: what its reader saw.
        rows: that the reader gave.
        used: of them, after `share` and `max_sentences`.
    """

    split: Split
    place: int
    read: ReadCounts
    rows: int = 0
    used: int = 0


Pair: TypeAlias = tuple[str, str]
"""Two language codes in alphabetical order; both directions share its text."""


def pair_of(source: str, target: str) -> Pair:
    """The unordered pair of two languages."""
    return (source, target) if source < target else (target, source)
