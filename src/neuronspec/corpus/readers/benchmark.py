"""What the readers of benchmarks in one folder, aligned line by line, have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import (
    Aligned,
    AlignedSource,
    Tagged,
    files_of_languages,
    files_of_pair,
    the_only,
)
from neuronspec.corpus.readers.source import Wanted, stamps


class FolderSource(AlignedSource):
    """A benchmark in a folder. A subclass says which files are its own."""

    path: RecipePath

    def all_files(self) -> Iterable[Path]:
        """All files that may be read."""
        raise NotImplementedError

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of the files."""
        return stamps(sorted(self.all_files()))


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
    """The files of all pairs, two for each, and those of zero-shot pairs that are there.

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
    further = (the_only(files_of_pair(tagged, pair), pair) for pair in wanted.also)
    for files in filter(None, (*found.values(), *further)):
        yield Aligned(f"{part}.{files[0]}", files[1])
