"""What the readers of benchmarks in one folder, aligned line by line, have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import (
    Aligned,
    Tagged,
    check_lengths,
    files_of_languages,
    files_of_pair,
    read_aligned,
    the_only,
)
from neuronspec.corpus.readers.rows import ReadCounts, Rows, Split
from neuronspec.corpus.readers.source import Source, Wanted, stamps


class FolderSource(Source):
    """A benchmark in a folder. A subclass says which files are its own."""

    path: RecipePath

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files that belong together, of the languages or pairs that are wanted.

        Raises:
            CorpusError: files are missing, or there are two of a kind.
        """
        raise NotImplementedError

    def all_files(self) -> Iterable[Path]:
        """All files that may be read."""
        raise NotImplementedError

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of the files."""
        return stamps(sorted(self.all_files()))

    def check(self, wanted: Wanted) -> None:
        """Find all files and count their lines.

        Raises:
            CorpusError: files are missing, unreadable, or of different length.
        """
        check_lengths(self.groups(wanted))

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files.

        Raises:
            CorpusError: as `check`.
        """
        for group in self.groups(wanted):
            yield from read_aligned(group, split, counts)


def of_languages(name: str, folder: Path, tagged: list[Tagged], wanted: Wanted, layout: str) -> Aligned:
    """The files of all languages, one for each.

    Args:
        name: of all of them.
        folder: that they are in, for messages.
        tagged: all files that are there.
        wanted: the languages.
        layout: how files are named, for messages.

    Raises:
        CorpusError: a language has none, or two.
    """
    paths = files_of_languages(tagged, wanted.languages)
    missing = [code for code in wanted.languages if code not in paths]
    if missing:
        there = ", ".join(sorted({tag for _, tag, _ in tagged})) or f"none; files are named like {layout}"
        raise CorpusError(f"{folder}: no file of {', '.join(missing)}; languages there: {there}")
    return Aligned(name, {code: paths[code] for code in wanted.languages})


def of_pairs(part: str, folder: Path, tagged: list[Tagged], wanted: Wanted, layout: str) -> Iterator[Aligned]:
    """The files of all pairs, two for each.

    Args:
        part: of the benchmark.
        folder: that they are in or below, for messages.
        tagged: all files of the part that are there.
        wanted: the pairs.
        layout: how files are named, for messages.

    Raises:
        CorpusError: a pair has none, or two sets.
    """
    found = {pair: the_only(files_of_pair(tagged, pair), pair) for pair in wanted.pairs}
    missing = [f"{one}-{other}" for (one, other), files in found.items() if files is None]
    if missing:
        there = ", ".join(sorted({pair for pair, _, _ in tagged})) or f"none; files are named like {layout}"
        raise CorpusError(f"{folder}: no files of {', '.join(missing)} for {part!r}; pairs there: {there}")
    for files in filter(None, found.values()):
        yield Aligned(f"{part}.{files[0]}", files[1])
