"""Splits: as the files say, or drawn by the pivot sentence so that a test sentence is test in every language."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64_intdigest

from neuronspec.corpus.readers.messages import without_markup
from neuronspec.corpus.readers.rows import SPLITS, Rows
from neuronspec.corpus.settings import CorpusSettings

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
    plain = [without_markup(text) if _may_have_markup(text) else text for text in texts]
    codes = code_points("\n".join(plain).casefold())
    kinds = _KINDS[codes]
    if not kinds.all():
        _learn(codes[kinds == _UNKNOWN])
        kinds = _KINDS[codes]
    letters, ends = kinds == _LETTER, codes == ord("\n")
    stays = letters | ends
    # A space in place of anything between words; after the last word of a line it is removed below.
    follows = np.concatenate([[False], letters[:-1]])
    collapsed = np.where(stays, codes, ord(" "))[stays | follows].astype("<u4")
    lines = collapsed.tobytes().decode("utf-32-le").split("\n")
    return [line.removesuffix(" ") or text.strip() for line, text in zip(lines, texts, strict=True)]


def _may_have_markup(text: str) -> bool:
    return "%" in text or "$" in text or "{" in text or "<" in text


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The Unicode code points of a text. Shape [characters]."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _learn(codes: npt.NDArray[np.uint32]) -> None:
    for code in np.unique(codes).tolist():
        character = chr(code)
        letter = character.isalpha() or unicodedata.category(character).startswith("M")
        _KINDS[code] = _LETTER if letter else _SPACE


def draws_of(texts: Iterable[str], purpose: str) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each text, a pure function of it and of the purpose, a seed included. Shape [texts]."""
    seed = xxh3_64_intdigest(purpose.encode())
    hashes = np.fromiter((xxh3_64_intdigest(text.encode(), seed) for text in texts), dtype=np.uint64)
    return np.asarray((hashes >> np.uint64(11)) * 2.0**-53)


def _draws(keys: Iterable[str]) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each key, a pure function of it. Shape [keys]."""
    digests = (blake2b(key.encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype=">u8") / 2.0**64


@dataclass(frozen=True, slots=True)
class Sample:
    """Leaves out a share of the training text of some languages: a pure function of the pivot text and the seed.

    Args:
        shares: the share that is kept, by language; all of it for a language without one.
        seed: of the draw.
    """

    shares: Mapping[str, float]
    seed: int

    def left_out(self, code: str, leading: Sequence[str], splits: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Which of the texts of a language are left out. Shape [rows].

        Args:
            code: the language.
            leading: by row, the pivot text, or else that of the first language that has any.
            splits: their splits, as places in `SPLITS`.
        """
        if code not in self.shares:
            return np.zeros(len(leading), dtype=np.bool_)
        draws = draws_of(leading, f"sample {self.seed} {code}")
        return (splits == SPLITS.index("train")) & (draws >= self.shares[code])


@dataclass(frozen=True, slots=True)
class Splitter:
    """Assigns rows to splits: a pure function of the pivot sentence and the seed.

    Splits without files of their own are drawn from the training rows. A row without pivot text is drawn by its first
    text. Nothing is drawn from the training sources in `whole`.
    """

    pivot: str
    seed: int
    test_share: float
    valid_share: float
    whole: frozenset[int] = frozenset()

    @classmethod
    def of(cls, corpus: CorpusSettings, seed: int) -> Splitter:
        """The splitter of a corpus: a split that has a source takes nothing from the training rows."""
        return cls(
            corpus.pivot,
            seed,
            corpus.test_share if corpus.test is None else 0.0,
            corpus.valid_share if corpus.valid is None else 0.0,
            frozenset(place for place, source in enumerate(corpus.sources["train"]) if not source.is_divided),
        )

    def splits_of(self, rows: Rows, keys: Sequence[str], leading: Sequence[str]) -> npt.NDArray[np.uint8]:
        """The splits of rows, as places in `SPLITS`. Shape [rows].

        Args:
            rows: the rows.
            keys: the sentence keys of their cleaned pivot texts, empty if missing.
            leading: by row, the pivot text, or else that of the first language that has any.
        """
        if rows.split in ("valid", "test"):
            return np.full(len(rows), SPLITS.index(rows.split), dtype=np.uint8)
        if rows.source in self.whole or (not self.test_share and not self.valid_share):
            return np.zeros(len(rows), dtype=np.uint8)
        drawn = (key or f"text {text}" for key, text in zip(keys, leading, strict=True))
        draws = _draws(f"{self.seed}\n{key}" for key in drawn)
        valid = np.where(draws < self.test_share + self.valid_share, SPLITS.index("valid"), SPLITS.index("train"))
        return np.where(draws < self.test_share, SPLITS.index("test"), valid).astype(np.uint8)
