"""First pass over the text: read, clean every cell, assign the split, write to disk."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neuronspec.corpus.cleaning import Hashes, clean_text, hash_texts
from neuronspec.corpus.rows import SPLITS, Row, Split
from neuronspec.corpus.splits import Splitter, sentence_key
from neuronspec.corpus.spool import Spool


@dataclass(slots=True)
class Ingested:
    """The cleaned text, and what was found on the way.

    Attributes:
        spool: the cleaned rows.
        cells: by split and language: `text` (cells kept), `empty` (nothing left after cleaning), and `controls` and
            `normalised` (cells changed by removing control characters, by composing or by whitespace).
        lone: rows that were left out because fewer than two languages have text there.
        characters: all characters of all splits.
        held_out: by language, the sorted hashes of the sentence keys (`splits.sentence_key`) of valid and test.
    """

    spool: Spool
    cells: dict[Split, dict[str, Counter[str]]]
    lone: int = 0
    characters: set[str] = field(default_factory=set)
    held_out: dict[str, Hashes] = field(default_factory=dict)


def ingest(rows: Iterable[Row], splitter: Splitter, languages: list[str], folder: Path) -> Ingested:
    """Clean rows into a spool in `folder`. Rows with text in fewer than two languages are left out there.

    Raises:
        CorpusError: from the reader.
    """
    held_out = {code: array("Q") for code in languages}
    cells = {split: {code: Counter[str]() for code in languages} for split in SPLITS}
    with Spool(folder, languages) as spool:
        found = Ingested(spool, cells)
        for row in rows:
            texts, changes = _clean(row)
            split = splitter.split_of(Row(texts, row.origin, row.split))
            for code, change in changes.items():
                cells[split][code].update(change)
            if len(texts) < 2:
                found.lone += 1
                continue
            for code, text in texts.items():
                cells[split][code]["text"] += 1
                found.characters.update(text)
            if split != "train":
                for code, value in zip(texts, hash_texts(map(sentence_key, texts.values())), strict=True):
                    held_out[code].append(int(value))
            spool.add(split, texts)
    found.held_out = {code: np.unique(np.asarray(values, dtype=np.uint64)) for code, values in held_out.items()}
    return found


def _clean(row: Row) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The cleaned texts of a row, and by language the rules that changed or emptied a cell."""
    texts: dict[str, str] = {}
    changes: dict[str, list[str]] = {}
    for code, raw in row.texts.items():
        cell = clean_text(raw)
        names = ("controls", cell.controls), ("normalised", cell.normalised), ("empty", not cell.text)
        if applied := [name for name, happened in names if happened]:
            changes[code] = applied
        if cell.text:
            texts[code] = cell.text
    return texts, changes
