"""What the readers of JSON objects have in common: which of the keys of an object are texts, and in which language."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import Number, Pairs
from neuronspec.corpus.readers.columns import no_column, place_columns
from neuronspec.corpus.readers.rows import BLOCK_ROWS, ReadCounts, Rows, Split
from neuronspec.corpus.readers.scores import judged, score_codes
from neuronspec.corpus.readers.source import Wanted
from neuronspec.corpus.readers.tables import TableSource

logger = logging.getLogger(__name__)

NESTED = "translation"
"""The key whose object holds the texts by language, as many data sets on the Hugging Face hub have it."""

FIRST = 1000
"""Objects of each file that are looked at before anything is read."""

MOST_LAYOUTS = 1000
"""Different lists of keys that are remembered."""

_NONE: Mapping[str, str] = {}


class ObjectSource(TableSource):
    """Files of objects with a key for each language. A subclass reads one file."""

    called: ClassVar[str]
    """What holds an object, for messages."""

    @abstractmethod
    def rows_of_file(self, path: Path, name: str, objects: Objects, split: Split, size: int) -> Iterator[Rows]:
        """The rows of a file, of up to `size` objects together.

        Args:
            path: of the file.
            name: of the file in origins.
            objects: finds the texts.
            split: that the source was given for.
            size: objects of a block.

        Raises:
            CorpusError: the file can't be read, or an object is none, or has something else than text.
        """

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look at the first objects of the files; not of pipes, which can be read only once.

        Raises:
            CorpusError: they can't be read, or don't have two of the languages, or the files have no further objects
                and one language is in none. A language that may follow further on is warned of.
        """
        objects, whole = self._objects(wanted, ReadCounts()), True
        for name, path in self.files().items():
            if not path.is_file():
                return
            next(self.rows_of_file(path, name, objects, split, FIRST), None)
            if not objects.missing:
                return
            again = self.rows_of_file(path, name, self._objects(wanted, ReadCounts()), split, FIRST)
            whole = whole and len(list(islice(again, 2))) < 2
        if whole:
            raise CorpusError(no_column(str(self.path), objects.missing, list(objects.counts.named)))
        where = f"{self.path}, in the first {FIRST} {self.called} of each file"
        if len(wanted.languages) - len(objects.missing) < 2:
            raise CorpusError(
                f"{no_column(where, objects.missing, list(objects.counts.named))}. If text in two languages follows, "
                "move some of it to the beginning"
            )
        logger.warning("%s, there is no text in %s; is there any?", where, ", ".join(objects.missing))

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, in the order of their names.

        Raises:
            CorpusError: as of `rows_of_file`; a language has two keys in an object.
        """
        objects = self._objects(wanted, counts, score_codes(self.min_scores))
        for name, path in self.files_of(wanted):
            for rows in self.rows_of_file(path, name, objects, split, BLOCK_ROWS):
                counts.sources[name] += len(rows)
                if len(rows):
                    yield judged(rows, self.min_scores, counts, str(path.parent))

    def check_read(self, wanted: Wanted, counts: ReadCounts) -> None:
        """See that each language had a key in some object.

        Raises:
            CorpusError: one had none.
        """
        if missing := self._objects(wanted, counts).missing:
            raise CorpusError(no_column(str(self.path), missing, list(counts.named)))

    def _objects(self, wanted: Wanted, counts: ReadCounts, scores: Mapping[str, str] = _NONE) -> Objects:
        return Objects(wanted.languages, self.columns or {}, scores, counts)


@dataclass(slots=True)
class Objects:
    """Finds the texts of objects.

    Args:
        languages: that are asked for.
        mapped: by language, the name of its key, where it has another name.
        scores: the names of scores by the codes of their columns.
        counts: takes what is skipped, of which languages there were keys, and some keys for messages.
    """

    languages: Sequence[str]
    mapped: Mapping[str, str]
    scores: Mapping[str, str]
    counts: ReadCounts
    _places: dict[tuple[str, ...], dict[str, int]] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Languages that no object has had a key of."""
        return [code for code in self.languages if code not in self.counts.languages]

    def columns(self) -> dict[str, list[str]]:
        """Empty columns, of the languages and the scores."""
        return {code: [] for code in (*self.languages, *self.scores)}

    def texts(self, row: Pairs, where: str, escaped: bool) -> dict[str, str | None]:
        """The texts and scores of an object by language and code.

        Args:
            row: the object, or its key `translation` has one with the texts.
            where: the beginning of messages.
            escaped: whether there may be half of a surrogate pair.

        Raises:
            CorpusError: something is no string, or a language has two keys.
        """
        scores = {code: self._score(row, name, where) for code, name in self.scores.items()}
        row = next((value for key, value in row if key == NESTED and isinstance(value, Pairs)), row)
        places = self._places_of(where, tuple([key for key, _ in row]))
        texts = {code: row[place][1] for code, place in places.items()}
        for code, text in texts.items():
            if type(text) is not str and text is not None:
                raise CorpusError(
                    f"{where}: the text in {code} is {_kind(text)}, not a string; a list of translations can be "
                    "written as several lines"
                )
        if escaped:
            self._leave_out_halves(texts)
        return texts | scores

    def _places_of(self, where: str, keys: tuple[str, ...]) -> dict[str, int]:
        """By language, the place of its key."""
        found = self._places.get(keys)
        if found is None:
            found = place_columns(where, keys, self.languages, self.mapped, may_lack=True)
            if len(self._places) < MOST_LAYOUTS:
                self._places[keys] = found
                named = self.counts.named
                named |= dict.fromkeys(keys[:MOST_LAYOUTS] if len(named) < MOST_LAYOUTS else ())
            self.counts.languages |= found.keys()
        return found

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
