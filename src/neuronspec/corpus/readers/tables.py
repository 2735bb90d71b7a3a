"""What the readers of files with a column, key or field for each language have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from neuronspec.core.languages import same_language
from neuronspec.corpus.readers.rows import ReadCounts, Rows, Split
from neuronspec.corpus.readers.scores import MIN_SCORES, MinScores, judged, score_codes
from neuronspec.corpus.readers.source import FileSource, Wanted


def _none_twice(columns: dict[str, str]) -> dict[str, str]:
    for one, other in combinations(columns, 2):
        if same_language(one, other):
            raise ValueError(f"{one!r} and {other!r} are the same language; keep one")
        if columns[one].strip() == columns[other].strip():
            raise ValueError(f"{one!r} and {other!r} both have the column {columns[one]!r}; name one for each")
    return columns


Columns: TypeAlias = Annotated[dict[str, str], AfterValidator(_none_twice)] | None
"""By language, the name of its column, where that isn't a code of the language."""

COLUMNS: Any = Field(None, description="columns that aren't named by a code of their language: {de: german}")


class TableSource(FileSource):
    """Files with a column, key or field for each language. A subclass reads one file."""

    columns: Columns = COLUMNS
    min_scores: MinScores = MIN_SCORES

    @property
    def mapped(self) -> dict[str, str]:
        """The names of columns by language, where they are given, and by the codes of scores."""
        return (self.columns or {}) | score_codes(self.min_scores)

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look for the files, and at the columns of each.

        Raises:
            CorpusError: there are no files, or one can't be read or lacks a language.
        """
        for path in self.files().values():
            self.check_file(path, [*wanted.languages, *score_codes(self.min_scores)])

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, in the order of their names.

        Raises:
            CorpusError: as of `check`, or there is something else than text.
        """
        columns = [*wanted.languages, *score_codes(self.min_scores)]
        for name, path in self.files_of(wanted):
            for rows in self.read_file(path, name, columns, split, counts):
                counts.sources[name] += len(rows)
                yield judged(rows, self.min_scores, counts, str(path.parent))

    def check_file(self, path: Path, languages: Sequence[str]) -> None:
        """Look at the columns of a file; nothing where only its rows tell them.

        Raises:
            CorpusError: it can't be read, or lacks a language.
        """

    def read_file(
        self, path: Path, name: str, languages: Sequence[str], split: Split, counts: ReadCounts
    ) -> Iterator[Rows]:
        """The rows of a file, in blocks.

        Args:
            path: of the file.
            name: of the file in the origins of rows.
            languages: to read.
            split: that the source was given for.
            counts: takes what is skipped; what is read is added by `read`.

        Raises:
            CorpusError: it can't be read, lacks a language, or has something else than text.
        """
        raise NotImplementedError
