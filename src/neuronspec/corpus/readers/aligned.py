"""Text files that are aligned line by line, one for each language."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from neuronspec.core.direction import match_direction
from neuronspec.core.errors import CorpusError, DirectionError
from neuronspec.core.languages import best_tags
from neuronspec.corpus.readers.lines import count_lines, read_blocks
from neuronspec.corpus.readers.opening import archive_of
from neuronspec.corpus.readers.rows import LineOrigins, Pair, ReadCounts, Rows, Split
from neuronspec.corpus.readers.source import Source, Wanted

Tagged: TypeAlias = tuple[str, str, Path]
"""A file with the language pair in its name (empty without one) and the language, as spelled there."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Files whose lines belong together.

    Args:
        name: of all of them, in counts and origins.
        paths: by language.
    """

    name: str
    paths: dict[str, Path]


class AlignedSource(Source):
    """A source of files that are aligned line by line. A subclass says which belong together."""

    def groups(self, wanted: Wanted) -> Iterable[Aligned]:
        """The files that belong together, of the languages or pairs that are wanted.

        Raises:
            CorpusError: files are missing, or there are two of a kind.
        """
        raise NotImplementedError

    def check(self, wanted: Wanted, split: Split) -> None:
        """Find all files and count their lines.

        Raises:
            CorpusError: files are missing, ambiguous, unreadable, or of different length.
        """
        check_lengths(self.groups_of(wanted))

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, group by group.

        Raises:
            CorpusError: as `check`.
        """
        for group in self.groups_of(wanted):
            yield from read_aligned(group, split, counts)

    def groups_of(self, wanted: Wanted) -> list[Aligned]:
        """The group of the piece that is wanted, or all."""
        groups = list(self.groups(wanted))
        return groups if wanted.piece is None else [groups[wanted.piece]]

    def pieces(self, wanted: Wanted) -> list[int]:
        """The sizes of the groups, each of which can be read apart."""
        return [
            sum((archive_of(path) or path).stat().st_size for path in group.paths.values())
            for group in self.groups(wanted)
        ]


def files_of_languages(tagged: Iterable[Tagged], languages: Sequence[str]) -> dict[str, Path]:
    """By language, in their order, the file whose name has a tag of it; none where no name has.

    Raises:
        CorpusError: there are two for a language.
    """
    paths: dict[str, list[Path]] = {}
    for _, tag, path in tagged:
        paths.setdefault(tag, []).append(path)
    found = {}
    for code, tags in best_tags(paths, languages).items():
        files = paths[code] if code in tags else [path for tag in tags for path in paths[tag]]
        if len(files) > 1:
            raise CorpusError(f"two files for {code}: {files[0]} and {files[1]}; keep one")
        found[code] = files[0]
    return {code: found[code] for code in languages if code in found}


def files_of_pair(tagged: Iterable[Tagged], pair: Pair) -> dict[str, dict[str, Path]]:
    """By the spelling of the pair in their names, the files of a pair whose names spell its languages in any way.

    Raises:
        CorpusError: there are two for a language.
    """
    by_name: dict[str, list[Tagged]] = {}
    for each in tagged:
        by_name.setdefault(each[0], []).append(each)
    found = {}
    for name, of_name in by_name.items():
        try:
            direction = match_direction(name, pair)
        except DirectionError:
            continue
        paths = files_of_languages(of_name, pair)
        if {direction.source, direction.target} == set(pair) == paths.keys():
            found[name] = paths
    return found


def the_only(found: dict[str, dict[str, Path]], pair: Pair) -> tuple[str, dict[str, Path]] | None:
    """The files of a pair with the spelling of the pair in their names; None if there are none.

    Raises:
        CorpusError: there are two sets of them.
    """
    if len(found) > 1:
        first, second, *_ = ([str(path) for path in paths.values()] for paths in found.values())
        raise CorpusError(
            f"two sets of files for {pair[0]} and {pair[1]}: {', '.join(first)} and {', '.join(second)}; keep one"
        )
    return next(iter(found.items()), None)


def check_lengths(aligned: Iterable[Aligned]) -> None:
    """See that files that belong together have as many lines.

    Raises:
        CorpusError: some don't, or can't be read.
    """
    problems = []
    for group in aligned:
        lengths = {path: count_lines(path) for path in group.paths.values()}
        if len(set(lengths.values())) > 1:
            problems.append("; ".join(f"{path} has {length} lines" for path, length in lengths.items()))
    if problems:
        raise CorpusError(
            "\n".join(
                ["files that must be aligned line by line differ in length:", *(f"  {line}" for line in problems)]
            )
        )


def read_aligned(group: Aligned, split: Split, counts: ReadCounts) -> Iterator[Rows]:
    """The rows of files that belong together.

    Raises:
        CorpusError: one can't be read.
    """
    languages, name = list(group.paths), group.name
    for blocks in zip(*(read_blocks(path) for path in group.paths.values()), strict=True):
        first, lines = blocks[0]
        counts.sources[name] += len(lines)
        texts = {code: lines for code, (_, lines) in zip(languages, blocks, strict=True)}
        yield Rows(texts, LineOrigins(name, first), split)
