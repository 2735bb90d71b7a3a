"""Cleaning of single texts: the same in training and wherever a model is given text later.

What happens to which characters, and why, is a table in docs/text.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.languages import base_language

# Whitespace: SentencePiece writes a space as U+2581, so that character can't be kept apart from one.
_AS_SPACE = {0x2581: " "}
_SPACE_CONTROLS = frozenset([*range(0x09, 0x0E), *range(0x1C, 0x20), 0x85])
# C0 and C1 controls, soft hyphen, zero-width space, direction marks and embeddings, invisible operators, byte order
# mark, annotations, noncharacters, and U+2585, which SentencePiece reserves. The joiners U+200C and U+200D are part of
# spelling.
_REMOVED = dict.fromkeys(
    code
    for start, end in (
        (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E),
        (0x2060, 0x206F), (0x2585, 0x2585), (0xFDD0, 0xFDEF), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xFFFE, 0xFFFF),
        *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(1, 17)),
    )
    for code in range(start, end + 1)
    if code not in _SPACE_CONTROLS
)  # fmt: skip


_LINE_END = re.compile(r"(\r\n|\r|\n)")

_RESERVED = ("\u2581", "\u2585")


@dataclass(frozen=True, slots=True)
class CleanText:
    """A cleaned cell, and which rules changed it."""

    text: str
    controls: bool
    normalised: bool

    @property
    def rules(self) -> list[str]:
        """The names of the rules that changed or emptied the cell, as `corpus.json` counts them."""
        found = ("controls", self.controls), ("normalised", self.normalised), ("empty", not self.text)
        return [name for name, happened in found if happened]


def clean_text(raw: str) -> CleanText:
    """Remove control characters, compose (NFC), make every run of whitespace one space, strip the ends."""
    without = raw.translate(_REMOVED)
    text = " ".join(unicodedata.normalize("NFC", without).translate(_AS_SPACE).split())
    return CleanText(text, len(without) != len(raw), text != without)


def with_plain_punctuation(texts: Sequence[str], language: str) -> list[str]:
    """Cleaned texts whose quotes, dashes, dots and spaces around them are normalised as Moses does (sacremoses).

    Args:
        texts: of one language.
        language: its code; the rules for quotes, commas and numbers depend on it.

    Raises:
        MissingExtraError: sacremoses isn't installed.
    """
    try:
        from sacremoses import MosesPunctNormalizer
    except ImportError:
        raise MissingExtraError("sacremoses", "moses", "normalising punctuation") from None
    normalizer = MosesPunctNormalizer(base_language(language))
    return [clean_text(normalizer.normalize(text)).text for text in texts]


def clean_column(raw: Sequence[str], moses: str | None = None) -> tuple[list[str], dict[int, list[str]]]:
    """The cleaned texts of a column, and by row the rules that changed or emptied a cell. Empty cells stay.

    Args:
        raw: cells.
        moses: normalise punctuation by the rules of this language, too.
    """
    texts, changed = _clean_column(raw)
    if moses is not None:
        plain = with_plain_punctuation(texts, moses)
        for row, (before, after) in enumerate(zip(texts, plain, strict=True)):
            if before != after:
                changed[row] = [*changed.get(row, []), "punctuation", *(["empty"] if not after else [])]
        texts = plain
    return texts, changed


def _clean_column(raw: Sequence[str]) -> tuple[list[str], dict[int, list[str]]]:
    texts, changed = list(raw), {}
    for row, cell in enumerate(raw):
        if not _is_clean(cell):
            cleaned = clean_text(cell)
            texts[row] = cleaned.text
            if cleaned.rules:
                changed[row] = cleaned.rules
    return texts, changed


def _is_clean(text: str) -> bool:
    """Whether `clean_text` surely leaves a text as it is; one that isn't printable (joiners aren't) may be changed."""
    return (
        text.isprintable()
        and "  " not in text
        and text.strip() == text
        and (text.isascii() or (unicodedata.is_normalized("NFC", text) and not any(map(text.count, _RESERVED))))
    )


@dataclass(frozen=True, slots=True)
class Framed:
    """A line of a document: the text in it, and the white space and invisible characters around that.

    Args:
        before: what comes before the text; the whole line where it holds no text.
        written: the text as it is written; empty where there is nothing to translate.
        after: what comes after the text.
    """

    before: str
    written: str
    after: str

    @property
    def text(self) -> str:
        """The text, cleaned."""
        return clean_text(self.written).text

    def around(self, text: str) -> str:
        """The line with another text in it; a line without text as it was."""
        return f"{self.before}{text}{self.after}" if self.written else self.before


def framed(line: str) -> Framed:
    r"""Split a line into its text and what is around it.

    Examples:
        >>> framed("\tSave  as\u00a0... ").text
        'Save as ...'
        >>> framed("\tSave  as\u00a0... ").around("Speichern unter ...")
        '\tSpeichern unter ... '
    """
    if not any(map(_is_visible, clean_text(line).text)):
        return Framed(line, "", "")
    first = next(place for place, character in enumerate(line) if not _belongs_to_frame(character))
    last = next(place for place in reversed(range(len(line))) if not _belongs_to_frame(line[place]))
    return Framed(line[:first], line[first : last + 1], line[last + 1 :])


@dataclass(frozen=True, slots=True)
class Lines:
    r"""The lines of a text, each with the line end that it has.

    Args:
        texts: the lines, without their ends.
        ends: what follows each: `\n`, `\r\n` or `\r`; nothing after the last.
    """

    texts: list[str]
    ends: list[str]

    @classmethod
    def of(cls, text: str) -> Lines:
        """Split a text at its line ends."""
        pieces = _LINE_END.split(text)
        return cls(pieces[::2], [*pieces[1::2], ""])

    def joined(self, texts: Iterable[str]) -> str:
        r"""The text with other lines.

        Examples:
            >>> Lines.of("Save\r\n\tDelete").joined(["Sichern", "\tLöschen"])
            'Sichern\r\n\tLöschen'
        """
        return "".join(text + end for text, end in zip(texts, self.ends, strict=True))


def _belongs_to_frame(character: str) -> bool:
    return character.isspace() or ord(character) in _REMOVED or ord(character) in _AS_SPACE


def _is_visible(character: str) -> bool:
    """Whether a character of a cleaned text is more than a joiner or a variation selector."""
    code = ord(character)
    return not character.isspace() and unicodedata.category(character) != "Cf" and not 0xFE00 <= code <= 0xFE0F
