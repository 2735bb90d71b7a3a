"""Texts in the columns of Arrow tables, which Parquet files and data sets of the library `datasets` hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuronspec.core.errors import CorpusError, told_as
from neuronspec.corpus.readers.columns import columns_of
from neuronspec.corpus.readers.lines import LONGEST_LINE
from neuronspec.corpus.readers.scores import is_score

if TYPE_CHECKING:
    import pyarrow as pa

NESTED = "translation"
"""The column whose fields hold the texts by language, as the feature `Translation` of `datasets` has it."""


@dataclass(frozen=True, slots=True)
class TextColumns:
    """Where a table has the text of each language.

    Args:
        where: the beginning of messages: the file or data set.
        paths: by language, the name of the column, or of `translation` and its field.
    """

    where: str
    paths: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, where: str, schema: pa.Schema, languages: Sequence[str], mapped: Mapping[str, str]) -> TextColumns:
        """The columns of the languages.

        Args:
            where: the beginning of messages.
            schema: of the table.
            languages: that are asked for.
            mapped: see `columns_of`.

        Raises:
            CorpusError: a language has no column, or two, or one that doesn't hold text.
        """
        import pyarrow as pa

        place = schema.get_field_index(NESTED)
        nested = place >= 0 and pa.types.is_struct(schema.field(place).type)
        fields = list(schema.field(place).type) if nested else list(schema)
        scores = [code for code in languages if is_score(code)]
        texts = [code for code in languages if code not in scores]
        of_texts = {code: name for code, name in mapped.items() if code not in scores}
        columns = columns_of(where, [each.name for each in fields], texts, of_texts)
        for code, column in columns.items():
            if not _is_text(fields[column].type):
                raise CorpusError(
                    f"{where}: the column {fields[column].name!r} of {code} holds {fields[column].type}, not strings; "
                    "convert it, or name another one with columns"
                )
        above = (NESTED,) if nested else ()
        paths = {code: (*above, fields[column].name) for code, column in columns.items()}
        names = [each.name for each in schema]
        found = columns_of(where, names, scores, {code: mapped[code] for code in scores})
        return cls(where, paths | {code: (names[place],) for code, place in found.items()})

    def texts(self, table: pa.Table | pa.RecordBatch, first: int) -> dict[str, list[str]]:
        """The texts of some rows by language; empty where there is none.

        Args:
            table: the rows.
            first: the number of the first row, for messages.

        Raises:
            CorpusError: a text is damaged, or too long for a sentence.
        """
        return {code: self._column(table, path, code, first) for code, path in self.paths.items()}

    def _column(self, table: pa.Table | pa.RecordBatch, path: tuple[str, ...], code: str, first: int) -> list[str]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column: Any = table.column(path[0])
        if len(path) > 1:
            column = pc.struct_field(column, path[1])
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())
        if is_score(code):
            with told_as(CorpusError, f"{self.where}: the column {path[0]!r} of min_scores holds {column.type}"):
                column = column.cast(pa.large_string())
        longest = pc.max(pc.binary_length(column)).as_py() if not pa.types.is_null(column.type) else None
        if longest is not None and longest > LONGEST_LINE:
            row = first + pc.index(pc.greater(pc.binary_length(column), LONGEST_LINE), True).as_py()
            raise CorpusError(
                f"{self.where}: row {row}: a text of {longest:,} bytes in {code}, more than {LONGEST_LINE // 2**20} "
                "MiB, so this is no text with a sentence per row"
            )
        try:
            return [text or "" for text in column.to_pylist()]
        except UnicodeDecodeError as error:
            row = next(row for row, value in enumerate(column, start=first) if not _is_utf8(value))
            raise CorpusError(
                f"{self.where}: row {row}: the text in {code} is not valid UTF-8 ({error.reason}); write the column "
                "anew from text in UTF-8"
            ) from None


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    return any(test(kind) for test in tests)


def _is_utf8(value: pa.Scalar[Any]) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
