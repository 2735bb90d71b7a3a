"""The rows of a corpus: those of all its sources one after the other, or those of a piece of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from neuronspec.core.errors import CorpusError
from neuronspec.core.progress import Progress
from neuronspec.corpus.readers.rows import Pair, ReadCounts, Rows, SourceCounts, Split
from neuronspec.corpus.readers.source import Source, Wanted
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.splits import draws_of


def read_rows(
    corpus: CorpusSettings, counts: ReadCounts, seed: int = 0, zero_shot: Sequence[Pair] = ()
) -> Iterator[Rows]:
    """The rows of a corpus in blocks, train before valid before test, source after source; lazily.

    Args:
        corpus: says what is read, and for which languages.
        counts: what was read and skipped of a source is added to it when the source has been read.
        seed: of the shares of sources that are used in part.
        zero_shot: pairs of untrained directions, whose test text is read where there are files of it.

    Raises:
        CorpusError: the text can't be read. What can be checked without reading is checked before the first row.
    """
    places = places_of(corpus, zero_shot)
    for place in places:
        place.check()
    for place in places:
        read = place.counts()
        with place.named():
            yield from place.rows(read, seed)
            place.finish(read)
        counts.add(read.read)
        counts.parts.append(read)


def watched(blocks: Iterable[Rows], progress: Progress) -> Iterator[Rows]:
    """Show how many rows were read."""
    with progress.task("reading") as task:
        for rows in blocks:
            yield rows
            task.advance(len(rows))


def places_of(corpus: CorpusSettings, zero_shot: Sequence[Pair] = ()) -> list[Place]:
    """The sources of a corpus, in the order that they are read in."""
    return [
        Place(split, number, source, _wanted(corpus, source, split, zero_shot), len(sources) > 1)
        for split, sources in corpus.sources.items()
        for number, source in enumerate(sources)
    ]


def _wanted(corpus: CorpusSettings, source: Source, split: Split, zero_shot: Sequence[Pair]) -> Wanted:
    wanted = corpus.wanted(source)
    if split != "test":
        return wanted
    return replace(wanted, also=[pair for pair in zero_shot if set(pair) <= {*wanted.languages}])


@dataclass(frozen=True, slots=True)
class Place:
    """A source, and where it was given.

    Attributes:
        split: that it was given for.
        number: among the sources of the split, from 0.
        source: its settings.
        wanted: what is read of it.
        several: whether the split has other sources.
    """

    split: Split
    number: int
    source: Source
    wanted: Wanted
    several: bool = False

    def counts(self) -> SourceCounts:
        """To be filled while it is read."""
        return SourceCounts(self.split, self.number, ReadCounts())

    def check(self, piece: int | None = None) -> None:
        """Look for everything that is wrong and cheap to find, with the source or one of its pieces.

        Raises:
            CorpusError: files are missing, or don't fit each other.
        """
        with self.named():
            self.source.check(replace(self.wanted, piece=piece), self.split)

    def rows(self, counts: SourceCounts, seed: int, piece: int | None = None) -> Iterator[Rows]:
        """The rows that are used of the source, or of one of the pieces that it can be read in.

        Args:
            counts: what was read and used is added to it.
            seed: of the share that is used.
            piece: number of the piece; all of the source without it.

        Raises:
            CorpusError: the text can't be read.
        """
        source, wanted = self.source, replace(self.wanted, piece=piece)
        for rows in source.read(wanted, counts.split, counts.read):
            if not len(rows):
                continue
            counts.rows += len(rows)
            chosen = np.arange(len(rows))
            if source.share is not None:
                blank = [""] * len(rows)
                whole = map("\n".join, zip(*(rows.texts.get(code, blank) for code in wanted.languages), strict=True))
                chosen = np.flatnonzero(draws_of(whole, f"share {seed}") < source.share)
            left = len(chosen) if source.max_sentences is None else source.max_sentences - counts.used
            counts.used += min(left, len(chosen))
            if len(chosen[:left]) == len(rows):
                yield replace(rows, source=counts.place)
            elif len(chosen[:left]):
                yield replace(rows.take(chosen[:left].tolist()), source=counts.place)
            if left < len(chosen) or counts.used == source.max_sentences:
                return

    def finish(self, counts: SourceCounts) -> None:
        """See that there was what should be, after all of the source was read.

        Raises:
            CorpusError: there was no row, or no text of a language.
        """
        source = self.source
        if source.max_sentences is None or counts.used < source.max_sentences:
            source.check_read(self.wanted, counts.read)
        if not (counts.rows or counts.read.sources.total() or counts.read.skipped):
            where = getattr(source, "path", None) or f"reader {source.reader}"
            raise CorpusError(f"{where}: there is no row in it")

    @contextmanager
    def named(self) -> Iterator[None]:
        """Say which of several sources is meant."""
        try:
            yield
        except CorpusError as error:
            if not self.several:
                raise
            raise CorpusError(
                f"corpus.{self.split}[{self.number}] ({self.source.reader}): {error}\nA source that has only some of "
                "the languages says so: languages: [en, de]"
            ) from None
