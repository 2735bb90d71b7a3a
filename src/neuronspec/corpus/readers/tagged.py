"""Texts that come with tags of their languages, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import best_tags
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows, Split, in_columns
from neuronspec.corpus.readers.source import FileSource, Wanted

_REMEMBERED = 1000


class Tags:
    """Says which of the texts of a row are in which language, and remembers the tags that it saw.

    Args:
        languages: that are asked for.
    """

    def __init__(self, languages: Sequence[str]) -> None:
        self._languages = list(languages)
        self._seen: dict[str, None] = {}
        self._missing = set(languages)
        self.places = lru_cache(maxsize=4096)(self._places)

    def _places(self, tags: tuple[str, ...]) -> dict[int, str]:
        """By place in a row, the language of a text; texts in other languages are left out.

        Args:
            tags: of the texts of a row, in any spelling; where a language is named in several ways, the best counts.
        """
        if len(self._seen) < _REMEMBERED:
            self._seen.update(dict.fromkeys(filter(None, tags)))
        codes = {tag: code for code, fit in best_tags(dict.fromkeys(tags), self._languages).items() for tag in fit}
        self._missing.difference_update(codes.values())
        return {place: codes[tag] for place, tag in enumerate(tags) if tag in codes}

    def check(self, path: Path) -> None:
        """See that there was text of every language, after all rows were read.

        Raises:
            CorpusError: there was none of one.
        """
        missing = [code for code in self._languages if code in self._missing]
        if missing:
            there = ", ".join(sorted(self._seen)) or "none that is named"
            raise CorpusError(
                f"{path}: no text of {', '.join(missing)}; languages there: {there}. Change corpus.languages, or add "
                "files that have it"
            )


class TaggedSource(FileSource):
    """Files whose texts come with tags of their languages. A subclass reads one file."""

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, in the order of their names.

        Raises:
            CorpusError: a file can't be read, or none has text of a language.
        """
        tags = Tags(wanted.languages)
        files = self.files().items()
        rows = (row for name, path in files for row in self.rows_of_file(path, name, tags, split, counts))
        yield from in_columns(rows, wanted.languages, split)
        tags.check(self.path)

    def rows_of_file(self, path: Path, name: str, tags: Tags, split: Split, counts: ReadCounts) -> Iterator[Row]:
        """The rows of a file.

        Args:
            path: of the file.
            name: of the file in counts and origins.
            tags: say which texts are in which language.
            split: that the source was given for.
            counts: what was read and skipped is added to it.

        Raises:
            CorpusError: it can't be read.
        """
        raise NotImplementedError
