"""Tokenizing the cleaned rows, a batch at a time: the part of the second pass that worker processes do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from neuronspec.core.direction import Direction
from neuronspec.corpus.spool import read_texts

if TYPE_CHECKING:
    from neuronspec.models.text_format import TextFormat


def dtype_of(ids: int) -> str:
    """The smallest type that so many ids fit in: uint16 or uint32."""
    return "uint16" if ids <= 1 << 16 else "uint32"


def domain_tags(domains: Sequence[str | None], origins: Sequence[int]) -> tuple[str, ...]:
    """By batch of the training text, the tag that its sources begin with; none where no source of text has a domain.

    Args:
        domains: of the sources of the training text, in their order.
        origins: by batch, the place of its source in that order.
    """
    tags = [f"<{domain}>" if domain else "" for domain in domains]
    return tuple(tags[place] for place in origins) if any(tags) else ()


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
    """Tokenizes batches of a spool file, without what the format adds. It is sent to worker processes.

    Args:
        spool: the file.
        tokenizer: its folder.
        languages: the columns.
        dtype: of the ids: uint16 or uint32.
        by_word: whether the tokenizer splits at spaces first, as ours do; see `Vocabulary`.
        directions: that are used, if sources have ids of their own: where the format frames them whole (see
            `neuronspec.models.frames.Frame.shared`), or a batch has a tag.
        tags: by batch, the text that its sources begin with; none where no batch has one.
    """

    spool: Path
    tokenizer: Path
    languages: tuple[str, ...]
    dtype: str
    by_word: bool = True
    directions: tuple[Direction, ...] = ()
    tags: tuple[str, ...] = ()

    def __call__(self, index: int) -> dict[str, TokenColumn]:
        """The tokens of batch `index`: by language, and those of sources by direction."""
        texts = read_texts(self.spool, index, self.languages)
        found = {code: self._tokenize(column, code) for code, column in texts.items()}
        tag = self.tags[index] if self.tags else ""
        for direction in self.directions:
            sources = texts[direction.source]
            if tag:
                sources = pc.binary_join_element_wise(tag, sources, " ")
            if self._whole:
                encode = partial(_text_format(self.tokenizer).frame.sources, direction=direction)
                found[str(direction)] = self._column(sources, encode)
            else:
                found[str(direction)] = self._tokenize(sources, direction.source)
        return found

    @property
    def _whole(self) -> bool:
        """Whether the format frames sources whole."""
        return not self.by_word and not _text_format(self.tokenizer).frame.shared

    def _tokenize(self, column: pa.StringArray, language: str) -> TokenColumn:
        if not self.by_word:
            from neuronspec.models.frames import bare  # imports torch, which our own tokenizers don't need

            frame = _text_format(self.tokenizer).frame
            written = not self._whole or any(direction.target == language for direction in self.directions)
            return self._column(column, frame.targets if written else partial(bare, frame.tokenizer))
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        words = pc.split_pattern(column.drop_null(), " ")
        distinct = words.flatten().dictionary_encode()
        ids = _vocabulary(self.tokenizer / "tokenizer.json").ids_of(distinct.dictionary.to_pylist())
        tokens = pa.array(ids, pa.list_(pa.from_numpy_dtype(self.dtype))).take(distinct.indices)
        lengths = np.zeros(len(column), dtype=np.int32)
        lengths[there] = np.diff(tokens.offsets.to_numpy()[words.offsets.to_numpy()])
        return TokenColumn(tokens.values.to_numpy(), lengths)

    def _column(self, column: pa.StringArray, encode: Callable[[list[str]], list[list[int]]]) -> TokenColumn:
        """Whole sentences, as the tokenizer of a pretrained model cuts them."""
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        ids = encode(column.drop_null().to_pylist())
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
def _text_format(folder: Path) -> TextFormat:
    from neuronspec.models.text_format import TextFormat
    from neuronspec.models.tokenizer import load_tokenizer

    return TextFormat.of(load_tokenizer(folder))


@lru_cache(maxsize=1)
def _vocabulary(path: Path) -> Vocabulary:
    return Vocabulary(path)
