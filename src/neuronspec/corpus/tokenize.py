"""Tokenizing the cleaned rows, a batch at a time: the part of the second pass that worker processes do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
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
        tokenizer: its folder.
        languages: the columns.
        dtype: of the ids: uint16 or uint32.
        by_word: whether the tokenizer splits at spaces first, as ours do; see `Vocabulary`.
    """

    spool: Path
    tokenizer: Path
    languages: tuple[str, ...]
    dtype: str
    by_word: bool = True

    def __call__(self, index: int) -> dict[str, TokenColumn]:
        """The tokens of batch `index`, by language."""
        return {code: self._tokenize(column) for code, column in read_texts(self.spool, index, self.languages).items()}

    def _tokenize(self, column: pa.StringArray) -> TokenColumn:
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        if not self.by_word:
            return self._sentences(column, there)
        words = pc.split_pattern(column.drop_null(), " ")
        distinct = words.flatten().dictionary_encode()
        ids = _vocabulary(self.tokenizer / "tokenizer.json").ids_of(distinct.dictionary.to_pylist())
        tokens = pa.array(ids, pa.list_(pa.from_numpy_dtype(self.dtype))).take(distinct.indices)
        lengths = np.zeros(len(column), dtype=np.int32)
        lengths[there] = np.diff(tokens.offsets.to_numpy()[words.offsets.to_numpy()])
        return TokenColumn(tokens.values.to_numpy(), lengths)

    def _sentences(self, column: pa.StringArray, there: npt.NDArray[Any]) -> TokenColumn:
        """Whole sentences, as the tokenizer of a pretrained model cuts them."""
        texts = column.drop_null().to_pylist()
        tokenizer = _tokenizer(self.tokenizer)
        ids = tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"] if texts else []
        lengths = np.zeros(len(column), dtype=np.int32)
        lengths[there] = [len(one) for one in ids]
        return TokenColumn(np.fromiter(chain.from_iterable(ids), dtype=self.dtype), lengths)


class Vocabulary:
    """Words and their token ids, remembered from one batch to the next.

    Our tokenizers split text at spaces before anything else, so a cleaned sentence has the tokens of its words, one
    word after the other. To look words up is several times faster than to tokenize sentences.

    Args:
        path: `tokenizer.json`.
        size: words that are remembered, at most.
    """

    def __init__(self, path: Path, size: int = 1 << 17) -> None:
        from tokenizers import Tokenizer

        self._backend = Tokenizer.from_file(str(path))
        self._backend.encode_special_tokens = True  # special tokens that a text spells out are text
        self._size = size
        self._known: dict[str, list[int]] = {}

    def ids_of(self, words: list[str]) -> list[list[int]]:
        """The token ids of each word."""
        new = [word for word in words if word not in self._known]
        if len(self._known) + len(new) > self._size:
            self._known.clear()
            new = words
        encodings = self._backend.encode_batch_fast(new, add_special_tokens=False)
        self._known.update(zip(new, (encoding.ids for encoding in encodings), strict=True))
        return [self._known[word] for word in words]


@lru_cache(maxsize=1)
def _tokenizer(folder: Path) -> Any:
    from neuronspec.models.tokenizer import load_tokenizer

    return load_tokenizer(folder)


@lru_cache(maxsize=1)
def _vocabulary(path: Path) -> Vocabulary:
    return Vocabulary(path)
