"""Reader `jsonl`: an object per line, with a key for each language."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import NotJson, Pairs, parse_row
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.objects import Objects, ObjectSource
from neuronspec.corpus.readers.rows import LineOrigins, Rows, Split


class JsonlSource(ObjectSource):
    """JSON objects, one per line (`.jsonl`, also compressed), with a key for each language.

    The keys are language codes in any spelling, of the object itself or of an object `translation` in it:
    `{"translation": {"de": ..., "en": ...}}`. A language that an object lacks, `null` and `""` are missing text; each
    language must occur somewhere. Other keys and empty lines are left out. Text with half of a
    surrogate pair, which is no character, is skipped and counted.
    """

    endings: ClassVar[tuple[str, ...]] = (".jsonl",)
    called: ClassVar[str] = "lines"
    reader: Literal["jsonl"]

    def rows_of_file(self, path: Path, name: str, objects: Objects, split: Split, size: int) -> Iterator[Rows]:
        """The lines of a file.

        Raises:
            CorpusError: it can't be read, or a line is no object, or has something else than text.
        """
        for first, lines in read_blocks(path, size):
            columns = objects.columns()
            numbers = []
            for number, line in enumerate(lines, start=first):
                if not line or line.isspace():
                    continue
                where = f"{path}:{number}"
                texts = objects.texts(parse_object(line, where), where, "\\u" in line)
                for code, column in columns.items():
                    column.append(texts.get(code) or "")
                numbers.append(number)
            whole = len(numbers) == len(lines)
            origins = LineOrigins(name, first) if whole else [f"{name}:{number}" for number in numbers]
            yield Rows(columns, origins, split)


def parse_object(text: str, where: str, unit: str = "a line") -> Pairs:
    """The JSON object that a text is.

    Args:
        text: the whole of it.
        where: the beginning of messages.
        unit: what holds it, for messages.

    Raises:
        CorpusError: it is none.
    """
    try:
        row: Any = parse_row(text)
    except NotJson as error:
        raise CorpusError(f"{where}: {error}; {unit} holds one whole JSON object") from None
    if not isinstance(row, Pairs):
        raise CorpusError(f'{where}: not an object, {text[:40]!r}; {unit} is as {{"de": "...", "en": "..."}}')
    return row
