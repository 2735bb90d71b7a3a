"""Reader `parquet`: Parquet files with a column for each language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from neuronspec.core.errors import CorpusError, told_as
from neuronspec.corpus.readers.arrow_columns import TextColumns
from neuronspec.corpus.readers.lines import LONGEST_LINE
from neuronspec.corpus.readers.rows import BLOCK_ROWS, LineOrigins, ReadCounts, Rows, Split
from neuronspec.corpus.readers.tables import TableSource

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_BUFFER = 2**20
"""Bytes of a column that are read from the disk together; without a limit, it's all of a row group."""

_LARGE, _DENSEST = 2**26, 200
"""From this size on, a column may be so many times smaller on the disk. Pages of text are rarely a tenth, and one page,
which is read at once, may hold all of a column."""


class ParquetSource(TableSource):
    """Parquet files (`.parquet`) with a column of strings for each language.

    The columns, or the fields of a struct column `translation`, are named by language codes in any spelling; null and
    empty strings are missing text. Other columns are not read. Rows are counted from 1 in each file.
    """

    endings: ClassVar[tuple[str, ...]] = (".parquet",)
    reader: Literal["parquet"]

    def check_file(self, path: Path, languages: Sequence[str]) -> None:
        """Look at the schema.

        Raises:
            CorpusError: the file can't be read, or lacks a column of strings for a language.
        """
        check_columns(path, languages, self.mapped)

    def read_file(
        self, path: Path, name: str, languages: Sequence[str], split: Split, counts: ReadCounts
    ) -> Iterator[Rows]:
        """The rows of a file, a few pages at a time.

        Raises:
            CorpusError: it is damaged, lacks a column of strings for a language, or a text isn't UTF-8.
        """
        first = 1
        for texts in read_texts(path, languages, self.mapped):
            rows = Rows(texts, LineOrigins(name, first), split)
            first += len(rows)
            yield rows


def check_columns(path: Path, languages: Sequence[str], mapped: Mapping[str, str]) -> None:
    """Look at the schema of a Parquet file.

    Args:
        path: of the file.
        languages: to read.
        mapped: by language, the name of its column, where that isn't a code of the language.

    Raises:
        CorpusError: the file can't be read, or lacks a column of strings for a language.
    """
    with opened_parquet(path) as file:
        columns = TextColumns.of(str(path), file.schema_arrow, languages, mapped)
        check_sizes(path, file, [".".join(each) for each in columns.paths.values()])


def read_texts(path: Path, languages: Sequence[str], mapped: Mapping[str, str]) -> Iterator[dict[str, list[str]]]:
    """The texts of a Parquet file by language, in blocks.

    Args:
        path: of the file.
        languages: to read.
        mapped: by language, the name of its column, where that isn't a code of the language.

    Raises:
        CorpusError: the file is damaged, lacks a column of strings for a language, or a text isn't UTF-8.
    """
    with opened_parquet(path) as file:
        columns = TextColumns.of(str(path), file.schema_arrow, languages, mapped)
        names = [".".join(each) for each in columns.paths.values()]
        check_sizes(path, file, names)
        first = 1
        for batch in file.iter_batches(BLOCK_ROWS, columns=names):
            if batch.num_rows:
                yield columns.texts(batch, first)
            first += batch.num_rows


@contextmanager
def opened_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file, read a few pages at a time; what goes wrong while it is open becomes a `CorpusError`."""
    import pyarrow.parquet as pq

    with (
        told_as(CorpusError, f"{path}: can't be read", "make or download it again, if it should be a Parquet file"),
        pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file,
    ):
        yield file


def check_sizes(path: Path, file: pq.ParquetFile, columns: Sequence[str]) -> None:
    """Refuse what no sentences fill: a file of a few bytes may hold texts that fill the memory.

    Args:
        path: of the file.
        file: that is open.
        columns: that will be read.

    Raises:
        CorpusError: a column is too large for its rows, or for its bytes on the disk.
    """
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        for place in range(group.num_columns):
            column = group.column(place)
            size, packed = column.total_uncompressed_size, column.total_compressed_size
            if column.path_in_schema not in columns:
                continue
            if size > LONGEST_LINE * (group.num_rows + 1) or (size > _LARGE and size > _DENSEST * packed):
                raise CorpusError(
                    f"{path}: row group {number + 1}: {size:,} bytes (compressed {packed:,}) in the column "
                    f"{column.path_in_schema!r} and {group.num_rows:,} rows, so this is no text with a sentence per row"
                )
