"""From cleaned rows to the token store: tokenizing, the pair rules, and writing the files that `store` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from neuronspec.corpus.cleaning import Hashes, PairFilter, Side, contains, hash_texts
from neuronspec.corpus.rows import Pair, Split
from neuronspec.corpus.splits import sentence_key
from neuronspec.corpus.spool import Batch


@dataclass(slots=True)
class PairCounts:
    """What became of the rows of a language pair in a split.

    Attributes:
        rules: `rows` (with text on at least one side) and what each rule dropped.
        kept: pairs in the store.
        tokens: of the kept pairs, by language, without tags and </s>.
    """

    rules: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    tokens: Counter[str] = field(default_factory=Counter)


class PairFile:
    """Writes one file of the token store, batch by batch. Use as a context manager."""

    def __init__(self, path: Path, ids: pa.DataType, with_text: bool) -> None:
        sides = ("first", "second")
        self.path, self.with_text = path, with_text
        fields = [(side, pa.list_(ids)) for side in sides] + [(f"{side}_length", pa.int32()) for side in sides]
        if with_text:
            fields += [(f"{side}_text", pa.string()) for side in sides]
        self._schema = pa.schema(fields)
        self._writer = pa.ipc.new_file(str(path), self._schema)

    def __enter__(self) -> PairFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def write(self, columns: Sequence[pa.Array]) -> None:
        """Add pairs: the columns of the schema, in its order."""
        self._writer.write_batch(pa.record_batch(list(columns), schema=self._schema))


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One language of a batch: what the rules look at, and what is written."""

    side: Side
    tokens: pa.ListArray
    texts: list[str | None]


class Encoder:
    """Tokenizes rows and keeps the pairs that the rules let through.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        pairs: the language pairs to write.
        held_out: by language, the sorted hashes of the sentence keys of valid and test.
    """

    def __init__(self, tokenizer: Any, pairs: Sequence[Pair], held_out: Mapping[str, Hashes]) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._pairs = list(pairs)
        self._held_out = held_out
        self._dtype = np.uint16 if len(tokenizer) <= 1 << 16 else np.uint32
        self._ids = pa.from_numpy_dtype(self._dtype)

    def write_split(
        self, split: Split, batches: Iterable[Batch], rules: PairFilter, folder: Path
    ) -> tuple[dict[Pair, PairCounts], dict[Pair, Path]]:
        """Write the files of a split, valid and test with their text; what was counted, and the files, by pair."""
        counts = {pair: PairCounts() for pair in self._pairs}
        with ExitStack() as stack:
            files = {
                pair: stack.enter_context(
                    PairFile(folder / f"{split}.{pair[0]}-{pair[1]}.arrow", self._ids, split != "train")
                )
                for pair in self._pairs
            }
            for batch in batches:
                encoded = dict(self._encode(batch, split == "train"))
                for pair, file in files.items():
                    first, second = (encoded[code] for code in pair)
                    kept, dropped = rules.keep(pair, first.side, second.side)
                    counts[pair].rules.update(dropped)
                    if kept.any():
                        self._write(file, counts[pair], pair, (first, second), np.flatnonzero(kept))
        return counts, {pair: file.path for pair, file in files.items()}

    def _encode(self, batch: Batch, training: bool) -> Iterator[tuple[str, _Encoded]]:
        for code, texts in batch.items():
            present = [text for text in texts if text is not None]
            encodings = iter(self._backend.encode_batch_fast(present, add_special_tokens=False))
            ids = [next(encodings).ids if text is not None else [] for text in texts]
            lengths = np.fromiter(map(len, ids), dtype=np.int64, count=len(ids))
            values = np.fromiter(chain.from_iterable(ids), dtype=self._dtype, count=int(lengths.sum()))
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            there = np.array([text is not None for text in texts], dtype=np.bool_)
            hashes = np.zeros(len(texts), dtype=np.uint64)
            hashes[there] = hash_texts(present)
            held_out = np.zeros(len(texts), dtype=np.bool_)
            if training:
                held_out[there] = contains(self._held_out[code], hash_texts(map(sentence_key, present)))
            tokens = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, type=self._ids))
            yield code, _Encoded(Side(there, lengths, hashes, held_out), tokens, texts)

    def _write(
        self, file: PairFile, counts: PairCounts, pair: Pair, sides: tuple[_Encoded, _Encoded], rows: np.ndarray
    ) -> None:
        counts.kept += len(rows)
        columns: list[pa.Array] = [encoded.tokens.take(pa.array(rows)) for encoded in sides]
        for code, encoded in zip(pair, sides, strict=True):
            lengths = encoded.side.lengths[rows]
            counts.tokens[code] += int(lengths.sum())
            columns.append(pa.array(lengths.astype(np.int32)))
        if file.with_text:
            columns += [pa.array([encoded.texts[row] for row in rows], type=pa.string()) for encoded in sides]
        file.write(columns)
