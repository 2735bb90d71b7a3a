"""Splits: as the files say, or drawn by the pivot sentence so that a test sentence is test in every language."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from hashlib import blake2b

from neuronspec.corpus.messages import without_markup
from neuronspec.corpus.rows import Row, Split
from neuronspec.recipe import CorpusSettings


class _Letters(dict[int, str]):
    """A translation table, filled as it is used: letters and their marks stay, everything else is a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        keep = character.isalpha() or unicodedata.category(character).startswith("M")
        return self.setdefault(code, character if keep else " ")


_LETTERS = _Letters()
_MARKUP = re.compile(r"[%${<]")


def sentence_key(text: str) -> str:
    """What near-identical sentences have in common: the letters, casefolded.

    Placeholders, tags, digits, punctuation and whitespace are collapsed: `Page 3 of %d` and `page 12 of {n}.` are both
    `page of`. A text without letters is its own key.
    """
    plain = without_markup(text) if _MARKUP.search(text) else text
    folded = plain.casefold().translate(_LETTERS)
    return " ".join(folded.split()) or text.strip()


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

    def split_of(self, row: Row) -> Split:
        """The split of a row with cleaned texts."""
        if row.split in ("valid", "test"):
            return row.split
        pivot = row.texts.get(self.pivot)
        key = sentence_key(pivot) if pivot else f"origin {row.origin}"
        draw = int.from_bytes(blake2b(f"{self.seed}\n{key}".encode(), digest_size=8).digest()) / 2**64
        if draw < self.test_share:
            return "test"
        return "valid" if draw < self.test_share + self.valid_share else "train"
