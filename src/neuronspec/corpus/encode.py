"""Second pass: from cleaned rows to the token store. Tokenizing, the pair rules, and the files that `store` reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from neuronspec.core.direction import Direction
from neuronspec.corpus.cleaning import Hashes, Mask, PairFilter, Side, contains
from neuronspec.corpus.dropped import DroppedSample, smallest
from neuronspec.corpus.filters.opusfilter import Judged
from neuronspec.corpus.readers.rows import BLOCK_ROWS, Pair, Split
from neuronspec.corpus.spool import Spool
from neuronspec.corpus.tokenize import TokenColumn, Tokenize, domain_tags, dtype_of

Work: TypeAlias = Callable[[Tokenize, range], Iterator[dict[str, TokenColumn]]]


@dataclass(slots=True)
class PairCounts:
    """What became of the rows of a language pair in a split.

    Attributes:
        rules: `rows` (with text on at least one side) and what each rule dropped.
        kept: pairs in the store.
        tokens: of the kept pairs, by language, without tags and </s>.
        sources: by place of the source, the part of it: `kept`, and tokens by language.
    """

    rules: Counter[str] = field(default_factory=Counter)
    kept: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    sources: dict[int, Counter[str]] = field(default_factory=dict)

    def add(self, place: int, counted: Counter[str]) -> None:
        """Add kept pairs of a source."""
        self.sources.setdefault(place, Counter()).update(counted)
        self.kept += counted["kept"]
        self.tokens.update({code: number for code, number in counted.items() if code != "kept"})


class PairFile:
    """Writes one file of the token store, batch by batch. Use as a context manager."""

    def __init__(self, path: Path, ids: pa.DataType, split: Split, sources: bool = False) -> None:
        sides = ("first", "second")
        self.path, self.split = path, split
        fields = [(side, pa.list_(ids)) for side in sides] + [(f"{side}_length", pa.int32()) for side in sides]
        if split != "train":
            fields += [(f"{side}_text", pa.string()) for side in sides]
        if split == "test":
            fields += [(f"{side}_read", pa.string()) for side in sides]
        if sources:
            fields += [(f"{side}_source", pa.list_(ids)) for side in sides]
            fields += [(f"{side}_source_length", pa.int32()) for side in sides]
        self._schema = pa.schema(fields)
        self._writer = pa.ipc.new_file(str(path), self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._place = 0

    def __enter__(self) -> PairFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._write(last=True)
        finally:
            self._writer.close()

    def write(self, columns: Sequence[pa.Array], place: int = 0) -> None:
        """Add pairs of a source: the columns of the schema, in its order."""
        if place != self._place:
            self._write(last=True)
            self._place = place
        self._waiting.append(pa.record_batch(list(columns), schema=self._schema))
        if sum(batch.num_rows for batch in self._waiting) >= BLOCK_ROWS:
            self._write()

    def _write(self, last: bool = False) -> None:
        """Write batches of one size, each of one source; the file mustn't depend on the blocks of a reader."""
        table = pa.Table.from_batches(self._waiting, self._schema)
        end = len(table) if last else len(table) - len(table) % BLOCK_ROWS
        for first in range(0, end, BLOCK_ROWS):
            # rows are copied, as a slice would be written with all that is behind it in memory
            rows = pa.array(range(first, min(end, first + BLOCK_ROWS)))
            self._writer.write_batch(table.take(rows).combine_chunks().to_batches()[0])
        self._waiting = table.slice(end).to_batches()


@dataclass(frozen=True, slots=True)
class _Encoded:
    """One language of a batch: what the rules look at, and what is written."""

    side: Side
    tokens: pa.ListArray
    texts: pa.StringArray
    read: pa.StringArray


class Encoder:
    """Tokenizes rows and keeps the pairs that the rules let through.

    Args:
        tokenizer: the folder of the tokenizer.
        ids: the number of its ids.
        languages: of the corpus.
        pairs: the language pairs to write.
        held_out: by language, the sorted hashes of the sentence keys of valid and test.
        work: applies a function to numbers in order, as `map` does; `Workers.map` does it in several processes.
        by_word: whether the tokenizer splits at spaces first.
        directions: that are used, if sources have ids of their own; see `Tokenize`.
        domains: of the sources of the training text, in their order.
        facts: the filters of pairs that are on.
        bands: the names of the bands of texts, if near-duplicates are dropped.
        judged: the language pairs that OpusFilter looks at.
        dropped: takes a sample of the pairs that rules drop.
    """

    def __init__(
        self,
        tokenizer: Path,
        ids: int,
        languages: Sequence[str],
        pairs: Sequence[Pair],
        held_out: Mapping[str, Hashes],
        work: Work = map,
        *,
        by_word: bool = True,
        directions: Sequence[Direction] = (),
        domains: Sequence[str | None] = (),
        facts: Sequence[str] = (),
        bands: Sequence[str] = (),
        judged: Sequence[Judged] = (),
        dropped: DroppedSample | None = None,
    ) -> None:
        self._facts, self._bands, self._dropped = tuple(facts), tuple(bands), dropped or DroppedSample()
        self._judged = {each.name: each.rules for each in judged}
        self._domains = tuple(domains)
        self._tokenizer, self._languages, self._pairs = tokenizer, tuple(languages), list(pairs)
        self._held_out = held_out
        self._dtype = dtype_of(ids)
        self._ids = pa.from_numpy_dtype(self._dtype)
        self._work, self._by_word, self._directions = work, by_word, tuple(directions)

    def write_split(
        self, split: Split, spool: Spool, rules: PairFilter, folder: Path, watch: Callable[[int], None]
    ) -> tuple[dict[Pair, PairCounts], dict[Pair, Path]]:
        """Write the files of a split; what was counted, and the files, by pair.

        Valid and test are kept with their text, the test also as read. `watch` is called with the number of rows done,
        batch by batch.
        """
        counts = {pair: PairCounts() for pair in self._pairs}
        own = bool(self._directions)
        origins = spool.sources[split]
        tags = domain_tags(self._domains, origins) if split == "train" else ()
        tokenize = Tokenize(
            spool.path(split), self._tokenizer, self._languages, self._dtype, self._by_word, self._directions, tags
        )
        with ExitStack() as stack:
            files = {
                pair: stack.enter_context(
                    PairFile(folder / f"{split}.{pair[0]}-{pair[1]}.arrow", self._ids, split, own)
                )
                for pair in self._pairs
            }
            tokenized = self._work(tokenize, range(len(origins)))
            for place, batch, columns in zip(origins, spool.read(split), tokenized, strict=True):
                encoded = {code: self._encoded(batch, code, columns[code]) for code in self._languages}
                for pair, file in files.items():
                    first, second = (encoded[code] for code in pair)
                    watch_pair = partial(self._watch, pair, first, second) if split == "train" else _unwatched
                    rejected = self._rejected(batch, "-".join(pair))
                    kept, dropped = rules.keep(pair, first.side, second.side, watch_pair, rejected, place)
                    counts[pair].rules.update(dropped)
                    if kept.any():
                        sources = [self._sources(columns, each) for each in (pair, pair[::-1])] if own else []
                        rows = np.flatnonzero(kept)
                        counted = self._write(file, pair, (first, second), sources, rows, place)
                        counts[pair].add(place, counted)
                watch(batch.num_rows)
        return counts, {pair: file.path for pair, file in files.items()}

    def _rejected(self, batch: pa.RecordBatch, name: str) -> dict[str, Mask]:
        """By filter of OpusFilter, the rows that it rejects."""
        rules = self._judged.get(name)
        if rules is None:
            return {}
        numbers = _numbers(batch.column(f"{name} rejected"))
        return {rule: numbers == number for number, rule in enumerate(rules, start=1)}

    def _watch(self, pair: Pair, first: _Encoded, second: _Encoded, rule: str, dropped: Mask) -> None:
        """Keep a sample of the pairs that a rule drops."""
        hashes = first.side.hashes ^ second.side.hashes
        examples = [
            (
                int(hashes[row]),
                {code: side.texts[row].as_py() for code, side in zip(pair, (first, second), strict=True)},
            )
            for row in smallest(hashes, dropped)
        ]
        if examples:
            self._dropped.add(rule, "-".join(pair), examples)

    def _sources(self, columns: Mapping[str, TokenColumn], pair: Pair) -> TokenColumn:
        """The ids of sources in a direction; none where it isn't used."""
        rows = len(columns[pair[0]].lengths)
        unused = TokenColumn(np.empty(0, dtype=self._dtype), np.zeros(rows, dtype=np.int32))
        return columns.get("-".join(pair), unused)

    def _encoded(self, batch: pa.RecordBatch, code: str, column: TokenColumn) -> _Encoded:
        texts = batch.column(code)
        hashes, keys = (_numbers(batch.column(f"{code} {kind}")) for kind in ("text", "key"))
        there = texts.is_valid().to_numpy(zero_copy_only=False)
        held_out = contains(self._held_out[code], keys) & there
        facts = {name: _numbers(batch.column(f"{code} {name}")) for name in self._facts}
        bands = [_numbers(batch.column(f"{code} {name}")) for name in self._bands]
        side = Side(there, column.lengths, hashes, held_out, facts, bands)
        return _Encoded(side, _lists(column), texts, batch.column(f"{code} read"))

    def _write(
        self,
        file: PairFile,
        pair: Pair,
        sides: tuple[_Encoded, _Encoded],
        sources: Sequence[TokenColumn],
        rows: np.ndarray,
        place: int,
    ) -> Counter[str]:
        counted = Counter({"kept": len(rows)})
        chosen = pa.array(rows)
        columns: list[pa.Array] = [encoded.tokens.take(chosen) for encoded in sides]
        for code, encoded in zip(pair, sides, strict=True):
            lengths = encoded.side.lengths[rows]
            counted[code] = int(lengths.sum())
            columns.append(pa.array(lengths))
        if file.split != "train":
            columns += [encoded.texts.take(chosen) for encoded in sides]
        if file.split == "test":
            columns += [encoded.read.take(chosen) for encoded in sides]
        columns += [_lists(column).take(chosen) for column in sources]
        columns += [pa.array(column.lengths[rows]) for column in sources]
        file.write(columns, place)
        return counted


def _unwatched(rule: str, dropped: Mask) -> None:
    """Of validation and test text, no sample is kept."""


def _lists(column: TokenColumn) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(column.lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(column.values))


def _numbers(column: pa.UInt64Array) -> Any:
    """A column of hashes, 0 where there is none."""
    return column.fill_null(0).to_numpy(zero_copy_only=False)
