"""Texts that come with tags of their languages, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import best_tags

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
