"""First pass over the text: read, clean every cell, assign the split, write to disk."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from neuronspec.corpus.cleaning import Hashes, hash_texts
from neuronspec.corpus.dropped import DroppedSample, smallest
from neuronspec.corpus.filters.cells import dropped as dropped_cells
from neuronspec.corpus.filters.near_duplicates import band_hashes, bands_of
from neuronspec.corpus.filters.opusfilter import Judged, judged_pairs
from neuronspec.corpus.filters.pairs import fact_hashes, facts_of
from neuronspec.corpus.filters.settings import FilterSettings
from neuronspec.corpus.readers.rows import SPLITS, Rows, Split
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.splits import Sample, Splitter, code_points, sentence_keys
from neuronspec.corpus.spool import Spool, spool_schema
from neuronspec.models.text_cleaning import clean_column

CellCounts: TypeAlias = dict[Split, dict[str, Counter[str]]]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A block of rows after cleaning.

    Attributes:
        source: of the rows; see `Rows`.
        batches: by split, the rows with text in at least two languages (`spool_schema`).
        cells: what happened to the cells, as in `Ingested`.
        lone: rows with text in fewer than two languages.
        characters: the code points of all texts.
        dropped: a sample of the texts that filters dropped.
    """

    source: int
    batches: dict[Split, pa.RecordBatch]
    cells: CellCounts
    lone: int
    characters: npt.NDArray[np.uint32]
    dropped: DroppedSample


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans blocks of rows and draws their splits. It is sent to worker processes.

    Args:
        languages: of the corpus; a block may have text in some of them.
        splitter: draws the splits.
        sample: leaves out training text.
        filters: leave out training text, too.
        punctuation: whether it is normalised.
        judged: the language pairs that OpusFilter looks at.
    """

    languages: list[str]
    splitter: Splitter
    sample: Sample
    filters: FilterSettings
    punctuation: bool = False
    judged: Sequence[Judged] = ()

    @classmethod
    def of(cls, corpus: CorpusSettings, seed: int) -> Cleaner:
        """The cleaner of a corpus; the seed is that of its splits and samples."""
        punctuation, judged = corpus.cleaning.normalize_punctuation, judged_pairs(corpus)
        sample = Sample(corpus.language_shares, seed)
        return cls(corpus.used_languages, Splitter.of(corpus, seed), sample, corpus.filters, punctuation, judged)

    def __call__(self, rows: Rows) -> Cleaned:
        """The cleaned rows."""
        cells: CellCounts = {split: {code: Counter() for code in self.languages} for split in SPLITS}
        columns, changes = {}, {}
        for code, raw in rows.texts.items():
            columns[code], changes[code] = clean_column(raw, code if self.punctuation else None)
        keys = {code: sentence_keys(texts) for code, texts in columns.items()}
        columns = {code: columns[code] for code in self.languages if code in columns}
        leading = _leading(columns, self.splitter.pivot)
        splits = self.splitter.splits_of(rows, keys.get(self.splitter.pivot) or [""] * len(rows), leading)
        for code, changed in changes.items():
            for row, rules in changed.items():
                cells[SPLITS[splits[row]]][code].update(rules)
        dropped = DroppedSample()
        for code in columns:
            if self._filter(code, rows, splits, columns[code], cells, dropped) + self._leave_out(
                code, leading, splits, columns[code], cells
            ):
                keys[code] = sentence_keys(columns[code])
        present = {code: np.fromiter(map(bool, texts), np.bool_, len(texts)) for code, texts in columns.items()}
        kept = np.sum(list(present.values()), axis=0) >= 2
        batch = self._batch(columns, keys, _as_read(rows, changes, splits), splits == SPLITS.index("train"))
        batches = {}
        for place, split in enumerate(SPLITS):
            chosen = np.flatnonzero(kept & (splits == place))
            if len(chosen):
                batches[split] = batch.take(pa.array(chosen))
                for code, there in present.items():
                    cells[split][code]["text"] += int(there[chosen].sum())
        return Cleaned(rows.source, batches, cells, int((~kept).sum()), _characters(columns, kept), dropped)

    def _leave_out(
        self, code: str, leading: list[str], splits: npt.NDArray[np.uint8], texts: list[str], cells: CellCounts
    ) -> int:
        """Leave out of the texts of a language what isn't in the sample; how many."""
        chosen = np.flatnonzero(self.sample.left_out(code, leading, splits)).tolist()
        for row in chosen:
            cells["train"][code]["sampled_out"] += bool(texts[row])
            texts[row] = ""
        return len(chosen)

    def _filter(
        self,
        code: str,
        rows: Rows,
        splits: npt.NDArray[np.uint8],
        texts: list[str],
        cells: CellCounts,
        dropped: DroppedSample,
    ) -> int:
        """Leave out of the training texts of a language what a filter drops; how many."""
        gone = 0
        if not self.filters.of_texts:
            return gone
        trained = [text if train else "" for text, train in zip(texts, (splits == 0).tolist(), strict=True)]
        for rule, mask in dropped_cells(self.filters, code, trained):
            hashes = np.zeros(len(texts), dtype=np.uint64)
            places = np.flatnonzero(mask)
            hashes[places] = hash_texts([texts[row] for row in places])
            examples = (
                (int(hashes[row]), {code: texts[row], "origin": rows.origins[row]}) for row in smallest(hashes, mask)
            )
            dropped.add(rule, code, list(examples))
            for row in places.tolist():
                texts[row] = ""
            cells["train"][code][rule] += len(places)
            gone += len(places)
        return gone

    def _batch(
        self,
        columns: dict[str, list[str]],
        keys: dict[str, list[str]],
        read: dict[str, list[str | None]],
        trained: npt.NDArray[np.bool_],
    ) -> pa.RecordBatch:
        facts, bands = facts_of(self.filters), bands_of(self.filters)
        schema = spool_schema(self.languages, [*facts, *bands], [each.name for each in self.judged])
        size = len(next(iter(columns.values())))
        arrays = {name: pa.nulls(size, kind) for name, kind in zip(schema.names, schema.types, strict=True)}
        for code, texts in columns.items():
            arrays[code] = pa.array([text or None for text in texts], pa.string())
            arrays[f"{code} text"] = pa.array(hash_texts(texts))
            arrays[f"{code} key"] = pa.array(hash_texts(keys[code]))
            arrays[f"{code} read"] = pa.array(read[code], pa.string())
            for fact in facts:
                arrays[f"{code} {fact}"] = pa.array(fact_hashes(fact, texts))
            for band, hashes in zip(bands, band_hashes(self.filters, texts, self.splitter.seed), strict=True):
                arrays[f"{code} {band}"] = pa.array(hashes)
        for each in self.judged:
            if columns.keys() >= {*each.sides}:
                arrays[f"{each.name} rejected"] = pa.array(each.first_rejections(columns, trained))
        return pa.record_batch(arrays, schema=schema)


def _leading(columns: Mapping[str, list[str]], pivot: str) -> list[str]:
    """By row, its text in the pivot, or else in the first language that has any."""
    others = [column for code, column in columns.items() if code != pivot]
    first = columns.get(pivot, [""] * len(next(iter(columns.values()))))
    return [text or next(filter(None, rest), "") for text, *rest in zip(first, *others, strict=True)]


def _as_read(
    rows: Rows, changes: dict[str, dict[int, list[str]]], splits: npt.NDArray[np.uint8]
) -> dict[str, list[str | None]]:
    """By language, the cells of the test that cleaning changed, as they were read, but a line break is a space."""
    test, read = SPLITS.index("test"), {}
    for code, changed in changes.items():
        cells: list[str | None] = [None] * len(rows)
        for row in changed:
            if splits[row] == test:
                cells[row] = re.sub(r"\r\n|\r|\n", " ", rows.texts[code][row])
        read[code] = cells
    return read


def _characters(columns: dict[str, list[str]], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """The code points in the kept rows."""
    seen = np.zeros(0x110000, dtype=np.bool_)
    for texts in columns.values():
        chosen = texts if kept.all() else [text for text, there in zip(texts, kept.tolist(), strict=True) if there]
        seen[code_points("".join(chosen))] = True
    return np.flatnonzero(seen).astype(np.uint32)


@dataclass(slots=True)
class Ingested:
    """The cleaned text, and what was found on the way.

    Attributes:
        spool: the cleaned rows.
        cells: by split and language: `text` (cells kept), `empty` (nothing left after cleaning), and `controls` and
            `normalised` (cells changed by removing control characters, by composing or by whitespace); `sampled_out`
            (training cells that the sample left out).
        lone: rows that were left out because fewer than two languages have text there.
        characters: all characters of all splits.
        held_out: by language, the sorted hashes of the sentence keys (`splits.sentence_key`) of valid and test.
        dropped: a sample of the texts that filters dropped.
    """

    spool: Spool
    cells: CellCounts
    lone: int = 0
    characters: set[str] = field(default_factory=set)
    held_out: dict[str, Hashes] = field(default_factory=dict)
    dropped: DroppedSample = field(default_factory=DroppedSample)


def ingest(blocks: Iterable[Cleaned], cleaner: Cleaner, folder: Path) -> Ingested:
    """Write cleaned rows to a spool in `folder`, and count.

    Args:
        blocks: the rows, in order.
        cleaner: that cleaned them.
        folder: to write to.

    Raises:
        CorpusError: from the reader of the rows.
    """
    held_out: dict[str, list[Hashes]] = {code: [] for code in cleaner.languages}
    further = [*facts_of(cleaner.filters), *bands_of(cleaner.filters)]
    with Spool(folder, cleaner.languages, further, [each.name for each in cleaner.judged]) as spool:
        found = Ingested(spool, {split: {code: Counter() for code in cleaner.languages} for split in SPLITS})
        for cleaned in blocks:
            found.lone += cleaned.lone
            found.dropped.update(cleaned.dropped)
            found.characters.update(map(chr, cleaned.characters.tolist()))
            for split, counts in cleaned.cells.items():
                for code, count in counts.items():
                    found.cells[split][code].update(count)
            for split, batch in cleaned.batches.items():
                spool.add(split, batch, cleaned.source)
                if split != "train":
                    for code, hashes in held_out.items():
                        hashes.append(_keys(batch, code))
    found.held_out = {code: np.unique(np.concatenate([*hashes, _NONE])) for code, hashes in held_out.items()}
    return found


_NONE: Hashes = np.empty(0, dtype=np.uint64)


def _keys(batch: pa.RecordBatch, code: str) -> Hashes:
    """The hashes of the sentence keys of the texts that are there."""
    keys: Hashes = batch.column(f"{code} key").filter(batch.column(code).is_valid()).to_numpy(zero_copy_only=False)
    return keys
