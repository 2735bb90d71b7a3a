"""Splits: as the files say, or drawn by the pivot sentence so that a test sentence is test in every language."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from neuronspec.corpus.messages import without_markup
from neuronspec.corpus.rows import Rows, Split
from neuronspec.recipe import CorpusSettings

_MARKUP = re.compile(r"[%${<]")
_UNKNOWN, _SPACE, _LETTER = 0, 1, 2
# By code point: letters and their marks stay, everything else is a space. Filled as characters are met.
_KINDS = np.zeros(sys.maxunicode + 1, dtype=np.uint8)


def sentence_key(text: str) -> str:
    """What near-identical sentences have in common: the letters, casefolded.

    Placeholders, tags, digits, punctuation and whitespace are collapsed: `Page 3 of %d` and `page 12 of {n}.` are both
    `page of`. A text without letters is its own key.
    """
    return sentence_keys([" ".join(text.split())])[0]


def sentence_keys(texts: Sequence[str]) -> list[str]:
    """`sentence_key` of many texts without line ends at once."""
    plain = (without_markup(text) if _MARKUP.search(text) else text for text in texts)
    codes = code_points("\n".join(plain).casefold()).copy()
    kinds = _KINDS[codes]
    if not kinds.all():
        _learn(codes[kinds == _UNKNOWN])
        kinds = _KINDS[codes]
    codes[(kinds == _SPACE) & (codes != ord("\n"))] = ord(" ")
    letters = codes.tobytes().decode("utf-32-le").split("\n")
    return [" ".join(words.split()) or text.strip() for words, text in zip(letters, texts, strict=True)]


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The Unicode code points of a text. Shape [characters]."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _learn(codes: npt.NDArray[np.uint32]) -> None:
    for code in np.unique(codes).tolist():
        character = chr(code)
        letter = character.isalpha() or unicodedata.category(character).startswith("M")
        _KINDS[code] = _LETTER if letter else _SPACE


@dataclass(frozen=True, slots=True)
class Splitter:
    """Assigns rows to splits: a pure function of the pivot sentence and the seed.

    Splits without files of their own are drawn from the training rows. A row without pivot text is drawn by its origin.
    """

    pivot: str
    seed: int
    test_share: float
    valid_share: float

    @classmethod
    def of(cls, corpus: CorpusSettings, seed: int) -> Splitter:
        """The splitter of a corpus: a split that has a file takes nothing from the training rows."""
        drawn = {name: getattr(corpus, name, None) is None for name in ("test", "valid")}
        return cls(
            corpus.pivot,
            seed,
            corpus.test_share if drawn["test"] else 0.0,
            corpus.valid_share if drawn["valid"] else 0.0,
        )

    def splits_of(self, rows: Rows, keys: Sequence[str]) -> list[Split]:
        """The splits of rows.

        Args:
            rows: the rows.
            keys: the sentence keys of their cleaned pivot texts, empty where there is none.
        """
        if rows.split in ("valid", "test"):
            return [rows.split] * len(rows)
        if not self.test_share and not self.valid_share:
            return ["train"] * len(rows)
        return [self._draw(key or f"origin {rows.origins[row]}") for row, key in enumerate(keys)]

    def _draw(self, key: str) -> Split:
        draw = int.from_bytes(blake2b(f"{self.seed}\n{key}".encode(), digest_size=8).digest()) / 2**64
        if draw < self.test_share:
            return "test"
        return "valid" if draw < self.test_share + self.valid_share else "train"
