"""The token store: memory-mapped Arrow files of token ids, one per split and language pair.

`DATA/tokens/SPLIT.de-en.arrow` (codes in alphabetical order; both directions read it) is an Arrow IPC file with the
columns `first`, `second` (lists of uint16, or uint32 above 65,536 ids: piece ids without tags and </s>),
`first_length`, `second_length` (int32), in valid and test `first_text`, `second_text` (cleaned text), and in test
`first_read`, `second_read` (text as read, null where cleaning changed nothing), which translations are scored against.
Where a sentence has other ids as a source than as a target (a prompt, a vocabulary of its own), `first_source`,
`second_source` and their `_length` columns have what the model reads of it, from the first token to the last.
`DATA/tokens/manifest.json` names the files with their SHA-256, the directions and the resource tiers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from neuronspec.core.checksums import digest, verifies, verify
from neuronspec.core.direction import Direction, DirectionLike, nearest_directions
from neuronspec.core.errors import DirectionError, RunError, nearest, told_as
from neuronspec.core.files import no_regular_file
from neuronspec.core.json_files import read_json
from neuronspec.corpus.lists import ListColumn
from neuronspec.corpus.manifest import StoredPair, StoreManifest
from neuronspec.corpus.mixture import Part
from neuronspec.corpus.readers.rows import pair_of
from neuronspec.models.ragged import Ragged

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

FORMAT = "neuronspec.tokens/1"
Ids = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.int32]


class TokenStore:
    """The prepared corpus of a run: pairs of token ids by split and direction, the tokenizer, the tiers."""

    def __init__(self, folder: Path, manifest: StoreManifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._opened: dict[str, _PairFile] = {}

    @classmethod
    def open(cls, folder: Path | str) -> TokenStore:
        """Open the store in a data folder (`RUN/data`); reads no text.

        Raises:
            RunError: there is no store, one of another format, or another one than its run made.
        """
        path = Path(folder) / "tokens" / "manifest.json"
        verify(path)
        if not path.exists():
            raise RunError(f"{path}: no token store; run 'neuronspec prepare' first")
        remedy = f"remove {folder} and run 'neuronspec prepare' again"
        if (found := read_json(path, dict[str, Any], remedy).get("format")) != FORMAT:
            raise RunError(f"{path}: format is {found!r}, expected {FORMAT!r}; {remedy}")
        return cls(Path(folder), read_json(path, StoreManifest, remedy))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of the store, loaded at first use."""
        from neuronspec.models.fit import vocabulary_file
        from neuronspec.models.tokenizer import load_tokenizer

        _check(vocabulary_file(self._folder / "tokenizer"), self._manifest.get("tokenizer_sha256"))
        return load_tokenizer(self._folder / "tokenizer")

    @property
    def tiers(self) -> dict[str, list[str]]:
        """Resource tiers (high, medium, low) of the languages beside the pivot, as resolved."""
        return {tier: list(codes) for tier, codes in self._manifest["tiers"].items()}

    @property
    def references(self) -> Literal["as read", "cleaned"]:
        """How the references of the test are kept: as they were read, or cleaned, as version 0.1 did."""
        return self._manifest.get("references", "cleaned")

    def fingerprint(self) -> str:
        """A hash of everything in the store, from the manifest alone."""
        return hashlib.sha256(json.dumps(self._manifest, sort_keys=True).encode()).hexdigest()[:16]

    def directions(self, split: str) -> list[Direction]:
        """The directions of the recipe that have pairs in a split, sorted.

        Raises:
            RunError: there is no such split.
        """
        files = self._files(split)
        directions = [Direction.parse(text) for text in self._manifest["directions"]]
        filled = {name for name, entry in files.items() if entry["pairs"]}
        return sorted(direction for direction in directions if _pair_name(direction) in filled)

    def pairs(self, split: str, direction: DirectionLike) -> DirectionPairs:
        """The pairs of a direction in a split.

        Raises:
            RunError: there is no such split, or its file is damaged.
            DirectionError: the store has no text of the two languages.
        """
        direction = Direction.parse(direction)
        files = self._files(split)
        entry = files.get(_pair_name(direction))
        if entry is None:
            valid = [str(known) for known in self.directions(split)]
            raise DirectionError(
                f"no {split} text of {direction} in {self._folder}; {nearest_directions(direction, valid)}"
            )
        name = entry["file"]
        if name not in self._opened:
            path = self._folder / "tokens" / name
            _check(path, entry.get("sha256"))
            self._opened[name] = _PairFile(path)
        return DirectionPairs(self._opened[name], direction, self._parts(entry, direction))

    def _parts(self, entry: StoredPair, direction: Direction) -> list[tuple[int, float | None]]:
        """Of each source in a file: its pairs, and its weight; 0 where the direction isn't trained on it."""
        sources = self._manifest.get("sources", [])
        return [
            (pairs, source["weight"] if str(direction) in source["directions"] else 0.0)
            for pairs, source in zip(entry.get("sources", []), sources, strict=False)
        ]

    def _files(self, split: str) -> dict[str, StoredPair]:
        splits = self._manifest["splits"]
        if split not in splits:
            raise RunError(f"the token store has no split {split!r}; {nearest(split, splits)}")
        return splits[split]


class DirectionPairs:
    """The sentence pairs of one direction in one split, read from a memory map as they are asked for.

    Attributes:
        direction: of the pairs.
        parts: by source, the pairs and their weight, where sources have weights.
    """

    def __init__(self, file: _PairFile, direction: Direction, parts: Sequence[tuple[int, float | None]] = ()) -> None:
        kept = [Part(pairs, weight) for pairs, weight in parts if weight]
        self.parts: Sequence[Part] = kept if len(kept) > 1 else ()
        used = np.repeat([weight != 0 for _, weight in parts], [pairs for pairs, _ in parts])
        self._rows: Ids | None = None if used.all() else np.flatnonzero(used)
        self.direction = direction
        self._file = file
        swapped = direction.source > direction.target
        self._source, self._target = ("second", "first") if swapped else ("first", "second")
        self._read = f"{self._source}_source" if file.has_sources else self._source

    def __len__(self) -> int:
        return int(self._file.starts[-1]) if self._rows is None else len(self._rows)

    @property
    def source_lengths(self) -> Lengths:
        """Ids of each source sentence, without what the format adds. Shape [pairs]."""
        return self._used(self._file.lengths(self._read))

    @property
    def target_lengths(self) -> Lengths:
        """Ids of each target sentence, without what the format adds. Shape [pairs]."""
        return self._used(self._file.lengths(self._target))

    def _used(self, column: Lengths) -> Lengths:
        return column if self._rows is None else column[self._rows]

    def tokens(self, index: int) -> tuple[Ids, Ids]:
        """The ids of the source and the target of a pair, without what the format adds. Shapes [tokens].

        Raises:
            IndexError: there is no such pair.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {self.direction}: there are {len(self)}")
        sources, targets = self.gather(np.array([index]))
        return sources.values, targets.values

    def gather(self, indices: npt.NDArray[np.integer]) -> tuple[Ragged, Ragged]:
        """The ids of the sources and targets of some pairs, without what the format adds."""
        rows = indices if self._rows is None else self._rows[indices]
        return self._file.gather(self._read, rows), self._file.gather(self._target, rows)

    def token_arrays(self) -> Iterator[tuple[tuple[Ids, Ids], tuple[Ids, Ids]]]:
        """The ids of all sentences, a batch of pairs at a time: offsets `[pairs + 1]` and values, source and target.

        A source has the ids that it has as a target: none of a prompt. Sources that aren't trained on are among them.
        """
        sources, targets = (self._file.lists(side) for side in (self._source, self._target))
        yield from ((source.arrays, target.arrays) for source, target in zip(sources, targets, strict=True))

    def source_texts(self) -> list[str]:
        """The cleaned source sentences (valid and test).

        Raises:
            RunError: the split is train, which keeps no text.
        """
        return self._file.texts(self._source)

    def target_texts(self) -> list[str]:
        """The cleaned target sentences (valid and test).

        Raises:
            RunError: the split is train, which keeps no text.
        """
        return self._file.texts(self._target)

    def references(self) -> list[str]:
        """The target sentences of the test as they were read; cleaned where the store has them no other way.

        Raises:
            RunError: the split is train, which keeps no text.
        """
        return self._file.read(self._target)


class _PairFile:
    """A file of the store, which both directions of a language pair share. Its sides are `first` and `second`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._memory, self._batches = _map(path)
        self.starts = np.cumsum([0, *(batch.num_rows for batch in self._batches)])
        self.has_sources = bool(self._batches) and f"{_SIDES[0]}_source" in self._batches[0].schema.names
        self._lengths: dict[str, Lengths] = {}
        self._lists: dict[str, list[_ListView]] = {}
        self._columns: dict[str, ListColumn] = {}

    def lengths(self, column: str) -> Lengths:
        """The number of ids of each row of a column."""
        if column not in self._lengths:
            parts = [batch.column(f"{column}_length").to_numpy() for batch in self._batches]
            self._lengths[column] = np.concatenate([np.empty(0, dtype=np.int32), *parts])
        return self._lengths[column]

    def lists(self, column: str) -> list[_ListView]:
        """The lists of ids in a column, by record batch."""
        if column not in self._lists:
            self._lists[column] = [_ListView(batch.column(column)) for batch in self._batches]
        return self._lists[column]

    def gather(self, column: str, rows: npt.NDArray[np.integer]) -> Ragged:
        """The ids of some rows of a column."""
        if column not in self._columns:
            self._columns[column] = ListColumn(self._memory, [batch.column(column) for batch in self._batches])
        batches = np.searchsorted(self.starts, rows, side="right") - 1
        return self._columns[column].gather(batches, rows - self.starts[batches])

    def texts(self, side: str) -> list[str]:
        """The sentences of a side."""
        name = f"{side}_text"
        if self._batches and name not in self._batches[0].schema.names:
            raise RunError(f"{self._path}: training text is kept as tokens only; decode them with the tokenizer")
        return [text for batch in self._batches for text in batch.column(name).to_pylist()]

    def read(self, side: str) -> list[str]:
        """The sentences of a side as they were read."""
        name, cleaned = f"{side}_read", self.texts(side)
        if not self._batches or name not in self._batches[0].schema.names:
            return cleaned
        kept = (text for batch in self._batches for text in batch.column(name).to_pylist())
        return [text if raw is None else raw for text, raw in zip(cleaned, kept, strict=True)]


_SIDES = ("first", "second")


class _ListView:
    """The lists of an Arrow list column as numpy views of the memory map."""

    __slots__ = ("_offsets", "_values")

    def __init__(self, column: pa.ListArray) -> None:
        self._offsets = column.offsets.to_numpy()
        self._values = column.values.to_numpy()

    @property
    def arrays(self) -> tuple[Ids, Ids]:
        return self._offsets, self._values


def _check(path: Path, recorded: str | None) -> None:
    """Check a file of the store against its SHA-256 in the manifest.

    Raises:
        RunError: it is missing or damaged.
    """
    reason = no_regular_file(path)
    try:
        if reason is None and recorded is not None and verifies():
            reason = None if digest(path) == recorded else "its content changed"
    except OSError as error:
        reason = error.strerror
    if reason is not None:
        raise RunError(f"{path}: the token store is damaged ({reason}); run 'neuronspec prepare' again")


def _pair_name(direction: Direction) -> str:
    return "-".join(pair_of(direction.source, direction.target))


def _map(path: Path) -> tuple[pa.Buffer, list[pa.RecordBatch]]:
    """An Arrow file, memory-mapped, and its record batches.

    Raises:
        RunError: the file is missing or damaged.
    """
    import pyarrow as pa

    with told_as(RunError, f"{path}: the token store is damaged", "run 'neuronspec prepare' again"):
        memory = pa.memory_map(str(path)).read_buffer()
        reader = pa.ipc.open_file(pa.BufferReader(memory))
        for side in _SIDES:
            reader.schema.field(side)  # raises what isn't there
            reader.schema.field(f"{side}_length")
        batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate()
        return memory, batches
