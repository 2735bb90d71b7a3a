"""Reader `jsonl`: an object per line, with a key for each language."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import NotJson, Number, Pairs, parse_row
from neuronspec.corpus.readers.columns import no_column, place_columns
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import LineOrigins, ReadCounts, Rows, Split
from neuronspec.corpus.readers.scores import judged, score_codes
from neuronspec.corpus.readers.source import Wanted
from neuronspec.corpus.readers.tables import TableSource

logger = logging.getLogger(__name__)

NESTED = "translation"
"""The key whose object holds the texts by language, as many data sets on the Hugging Face hub have it."""

FIRST = 1000
"""Lines of each file that are looked at before anything is read."""

MOST_LAYOUTS = 1000
"""Different lists of keys that are remembered."""


class JsonlSource(TableSource):
    """JSON objects, one per line (`.jsonl`, also compressed), with a key for each language.

    The keys are language codes in any spelling, of the object itself or of an object `translation` in it:
    `{"translation": {"de": ..., "en": ...}}`. A language that an object lacks, `null` and `""` are missing text; each
    language must occur somewhere. Other keys and empty lines are left out. Text with half of a
    surrogate pair, which is no character, is skipped and counted.
    """

    endings: ClassVar[tuple[str, ...]] = (".jsonl",)
    reader: Literal["jsonl"]

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look at the first lines of the files; not of pipes, which can be read only once.

        Raises:
            CorpusError: they can't be read, or don't have two of the languages, or the files have no further lines and
                one language is in none. A language that may follow further on is warned of.
        """
        layouts, whole = _Layouts(wanted.languages, self.columns or {}), True
        for name, path in self.files().items():
            if not path.is_file():
                return
            first, lines = next(read_blocks(path, FIRST), (1, []))
            _Block(path, name, layouts, ReadCounts(), {}).rows(first, lines, split)
            whole = whole and len(lines) < FIRST
            if not layouts.missing:
                return
        if whole:
            raise CorpusError(no_column(str(self.path), layouts.missing, list(layouts.names)))
        where = f"{self.path}, in the first {FIRST} lines of each file"
        if len(wanted.languages) - len(layouts.missing) < 2:
            raise CorpusError(
                f"{no_column(where, layouts.missing, list(layouts.names))}. If text in two languages follows, move "
                "some of it to the beginning"
            )
        logger.warning("%s, there is no text in %s; is there any?", where, ", ".join(layouts.missing))

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, in the order of their names.

        Raises:
            CorpusError: a file can't be read, a line is no object, a text is no string, a language has two keys in an
                object, or is in no object of any file.
        """
        layouts = _Layouts(wanted.languages, self.columns or {})
        for name, path in self.files().items():
            for first, lines in read_blocks(path):
                rows = _Block(path, name, layouts, counts, score_codes(self.min_scores)).rows(first, lines, split)
                counts.sources[name] += len(rows)
                if len(rows):
                    yield judged(rows, self.min_scores, counts, str(path.parent))
        if layouts.missing:
            raise CorpusError(no_column(str(self.path), layouts.missing, list(layouts.names)))


@dataclass(slots=True)
class _Layouts:
    """Which keys of an object are which languages.

    Attributes:
        seen: languages that some object has a key of.
        names: all keys of some objects, for messages.
    """

    languages: Sequence[str]
    mapped: Mapping[str, str]
    seen: set[str] = field(default_factory=set)
    names: dict[str, None] = field(default_factory=dict)
    _places: dict[tuple[str, ...], dict[str, int]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Languages that no object has had a key of."""
        return [code for code in self.languages if code not in self.seen]

    def places(self, where: str, keys: tuple[str, ...]) -> dict[str, int]:
        """By language, the place of its key."""
        found = self._places.get(keys)
        if found is None:
            found = place_columns(where, keys, self.languages, self.mapped, may_lack=True)
            if len(self._places) < MOST_LAYOUTS:
                self._places[keys] = found
                self.names |= dict.fromkeys(keys[:MOST_LAYOUTS] if len(self.names) < MOST_LAYOUTS else ())
            self.seen |= found.keys()
        return found


@dataclass(frozen=True, slots=True)
class _Block:
    path: Path
    name: str
    layouts: _Layouts
    counts: ReadCounts
    scores: Mapping[str, str]

    def rows(self, first: int, lines: list[str], split: Split) -> Rows:
        """The rows of a block of lines, of which `first` is the number of the first."""
        columns: dict[str, list[str]] = {code: [] for code in (*self.layouts.languages, *self.scores)}
        numbers = []
        for number, line in enumerate(lines, start=first):
            if not line or line.isspace():
                continue
            texts = self._texts(number, line)
            for code, column in columns.items():
                column.append(texts.get(code) or "")
            numbers.append(number)
        whole = len(numbers) == len(lines)
        origins = LineOrigins(self.name, first) if whole else [f"{self.name}:{number}" for number in numbers]
        return Rows(columns, origins, split)

    def _texts(self, number: int, line: str) -> dict[str, Any]:
        where = f"{self.path}:{number}"
        try:
            row: Any = parse_row(line)
        except NotJson as error:
            raise CorpusError(f"{where}: {error}; a line holds one whole JSON object") from None
        if not isinstance(row, Pairs):
            raise CorpusError(f'{where}: not an object, {line[:40]!r}; a line is as {{"de": "...", "en": "..."}}')
        scores = {code: self._score(row, name, where) for code, name in self.scores.items()}
        row = next((value for key, value in row if key == NESTED and isinstance(value, Pairs)), row)
        places = self.layouts.places(where, tuple([key for key, _ in row]))
        texts = {code: row[place][1] for code, place in places.items()}
        for code, text in texts.items():
            if type(text) is not str and text is not None:
                raise CorpusError(
                    f"{where}: the text in {code} is {_kind(text)}, not a string; a list of translations can be "
                    "written as several lines"
                )
        if "\\u" in line:
            self._leave_out_halves(texts)
        return texts | scores

    def _score(self, row: Pairs, name: str, where: str) -> str:
        found = [value for key, value in row if key == name and value is not None]
        if found and not isinstance(found[-1], str):
            raise CorpusError(f"{where}: {name} is {_kind(found[-1])}, not a number; change min_scores")
        return str(found[-1]) if found else ""

    def _leave_out_halves(self, texts: dict[str, Any]) -> None:
        for code, text in texts.items():
            if text and any("\ud800" <= character <= "\udfff" for character in text):
                texts[code] = ""
                self.counts.skip(code, "half of a surrogate pair")


def _kind(value: object) -> str:
    if isinstance(value, Number):
        return f"the number {value[:20]}"
    if isinstance(value, bool):
        return str(value).lower()
    return "an object" if isinstance(value, Pairs) else "a list"
