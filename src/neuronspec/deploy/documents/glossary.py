"""Glossaries: terms and how they must be translated, and which translations lack them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import CorpusError, PathError
from neuronspec.core.languages import is_known, match_language
from neuronspec.deploy.documents.lines import decode

_WORD = re.compile(r"\w+")
# scripts that are written without spaces between words
_UNSPACED = re.compile("[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff]")


class Glossary:
    """Terms of one direction, from a table: `file<TAB>Datei`.

    `Glossary("terms.tsv", "en-de").missing("Save the file", "Speichern")`

    The first line may name the languages of the columns, in any spelling, among them one of the direction's; else the
    first column is the source, the second the target. A term with several lines has several translations, each of
    which will do.

    Args:
        file: tab-separated, UTF-8.
        direction: of the translations.

    Raises:
        PathError: there is no such file.
        CorpusError: a line has no two terms, no column is in a language of the direction, or there is no term.
    """

    def __init__(self, file: str | Path, direction: DirectionLike) -> None:
        self._terms: dict[str, tuple[str, list[str]]] = {}
        self._by_word: dict[str, list[str]] = {}
        wanted = Direction.parse(direction)
        for source, target in _pairs(Path(file), wanted):
            key = _folded(source)
            if key not in self._terms:
                self._terms[key] = source, []
                self._by_word.setdefault(_first_word(key), []).append(key)
            self._terms[key][1].append(target)
        if not self._terms:
            raise CorpusError(f"{file} has no terms from {wanted.source} to {wanted.target}")

    def __len__(self) -> int:
        return len(self._terms)

    def missing(self, source: str, translation: str) -> list[tuple[str, list[str]]]:
        """The terms of a text whose translations are all missing, each with these translations.

        Case doesn't matter. Terms are whole words, but in scripts without spaces between them.
        """
        text, other = _folded(source), _folded(translation)
        words = {*_WORD.findall(text), ""}
        candidates = [key for word in words for key in self._by_word.get(word, ()) if _occurs(key, text)]
        found = [self._terms[key] for key in sorted(candidates, key=text.find)]
        return [(term, wanted) for term, wanted in found if not any(_occurs(_folded(each), other) for each in wanted)]


def _pairs(file: Path, direction: Direction) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except FileNotFoundError as error:
        raise PathError(f"{file} can't be read: {error.strerror}") from None
    except OSError as error:
        raise CorpusError(f"{file} can't be read: {error.strerror or error}") from None
    columns = (0, 1)
    for number, raw in enumerate(lines, start=1):
        cells = [cell.strip() for cell in decode(str(file), number, raw).split("\t")]
        if number == 1 and len(cells) > 1 and _is_header(cells, direction):
            columns = _columns(file, cells, direction)
        elif any(cells):
            source, target = (cells[column] if column < len(cells) else "" for column in columns)
            if len(cells) < 2:
                raise CorpusError(f"{file}:{number}: one column; a line has a term, a tab and its translation")
            if source and target:
                yield source, target


def _is_header(cells: list[str], direction: Direction) -> bool:
    """Whether a first line names languages, one of them the direction's: `to` and `zu` are words, and languages."""
    named = any(match_language(cell, [own]) for cell in cells if cell for own in (direction.source, direction.target))
    return named and all(is_known(cell) for cell in cells if cell)


def _columns(file: Path, cells: list[str], direction: Direction) -> tuple[int, int]:
    """The columns of the direction's languages, by the names in the first line."""
    found = []
    for language in (direction.source, direction.target):
        named = [place for place, cell in enumerate(cells) if cell and match_language(cell, [language])]
        if len(named) != 1:
            languages = ", ".join(filter(None, cells))
            raise CorpusError(f"{file}:1: {'no' if not named else 'several'} columns for {language} among {languages}")
        found.append(named[0])
    return found[0], found[1]


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _first_word(term: str) -> str:
    """What a term is found by; nothing for one that can begin within a word."""
    word = _WORD.search(term)
    return "" if word is None or _UNSPACED.search(term) else word[0]


def _occurs(term: str, text: str) -> bool:
    if _UNSPACED.search(term):
        return term in text
    return any(_is_whole(text, *match.span()) for match in re.finditer(re.escape(term), text))


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether what is between two places neither begins nor ends within a word."""
    begins_within = start > 0 and _in_word(text[start - 1]) and _in_word(text[start])
    return not begins_within and not (end < len(text) and _in_word(text[end - 1]) and _in_word(text[end]))


def _in_word(character: str) -> bool:
    # vowel signs of Indic scripts are marks
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
