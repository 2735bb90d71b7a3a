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
        counts: takes what languages there were.
    """

    def __init__(self, languages: Sequence[str], counts: ReadCounts) -> None:
        self._languages, self._counts = list(languages), counts
        self.places = lru_cache(maxsize=4096)(self._places)

    def _places(self, tags: tuple[str, ...]) -> dict[int, str]:
        """By place in a row, the language of a text; texts in other languages are left out.

        Args:
            tags: of the texts of a row, in any spelling; where a language is named in several ways, the best counts.
        """
        if len(self._counts.named) < _REMEMBERED:
            self._counts.named.update(dict.fromkeys(filter(None, tags)))
        codes = {tag: code for code, fit in best_tags(dict.fromkeys(tags), self._languages).items() for tag in fit}
        self._counts.languages.update(codes.values())
        return {place: codes[tag] for place, tag in enumerate(tags) if tag in codes}


class TaggedSource(FileSource):
    """Files whose texts come with tags of their languages. A subclass reads one file."""

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, in the order of their names.

        Raises:
            CorpusError: a file can't be read.
        """
        tags = Tags(wanted.languages, counts)
        files = self.files_of(wanted)
        rows = (row for name, path in files for row in self.rows_of_file(path, name, tags, split, counts))
        yield from in_columns(rows, wanted.languages, split)

    def check_read(self, wanted: Wanted, counts: ReadCounts) -> None:
        """See that there was text of every language.

        Raises:
            CorpusError: there was none of one.
        """
        missing = [code for code in wanted.languages if code not in counts.languages]
        if missing:
            there = ", ".join(sorted(counts.named)) or "none that is named"
            raise CorpusError(
                f"{self.path}: no text of {', '.join(missing)}; languages there: {there}. Change corpus.languages, or "
                "add files that have it"
            )

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
