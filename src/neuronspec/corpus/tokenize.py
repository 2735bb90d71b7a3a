"""Tokenizing the cleaned rows, a batch at a time: the part of the second pass that worker processes do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from neuronspec.corpus.spool import read_texts


@dataclass(frozen=True, slots=True)
class TokenColumn:
    """The token ids of a column of texts.

    Attributes:
        values: uint16 or uint32 ids of all rows, one after the other.
        lengths: tokens of each row; 0 where there is no text. Shape [rows].
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Tokenize:
    """Tokenizes batches of a spool file, without tags and </s>. It is sent to worker processes.

    Args:
        spool: the file.
        tokenizer: `tokenizer.json`.
        languages: the columns.
        dtype: of the ids: uint16 or uint32.
    """

    spool: Path
    tokenizer: Path
    languages: tuple[str, ...]
    dtype: str

    def __call__(self, index: int) -> dict[str, TokenColumn]:
        """The tokens of batch `index`, by language."""
        return {code: self._tokenize(column) for code, column in read_texts(self.spool, index, self.languages).items()}

    def _tokenize(self, column: Any) -> TokenColumn:
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        texts = column.drop_null().to_pylist()
        encodings = _backend(self.tokenizer).encode_batch_fast(texts, add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        lengths = np.zeros(len(column), dtype=np.int32)
        lengths[there] = np.fromiter(map(len, ids), np.int32, len(ids))
        values = np.fromiter(chain.from_iterable(ids), self.dtype, int(lengths.sum()))
        return TokenColumn(values, lengths)


@lru_cache(maxsize=1)
def _backend(path: Path) -> Any:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(path))
    backend.encode_special_tokens = True  # special tokens that a text spells out are text
    return backend
