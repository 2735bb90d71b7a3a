"""Cleaned rows on disk between the passes of `prepare`: one Arrow file a split, a column a language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from neuronspec.corpus.rows import SPLITS, Split

BATCH_ROWS = 2048
Batch = dict[str, list[str | None]]
"""Rows as columns: by language, the texts (None where there is none); all of one length."""


class Spool:
    """Writes rows to `FOLDER/SPLIT.arrow`, then reads them back in batches of at most `BATCH_ROWS`.

    Use as a context manager while writing.
    """

    def __init__(self, folder: Path, languages: Sequence[str]) -> None:
        self._folder = folder
        self._languages = list(languages)
        self._schema = pa.schema([(code, pa.string()) for code in languages])
        self._rows: dict[Split, list[Mapping[str, str]]] = {split: [] for split in SPLITS}
        self.counts: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        folder.mkdir(parents=True)
        self._writers = {split: pa.ipc.new_file(self._path(split), self._schema) for split in SPLITS}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for split, writer in self._writers.items():
            self._flush(split)
            writer.close()

    def add(self, split: Split, texts: Mapping[str, str]) -> None:
        """Add a row of cleaned, non-empty texts."""
        self._rows[split].append(texts)
        self.counts[split] += 1
        if len(self._rows[split]) >= BATCH_ROWS:
            self._flush(split)

    def read(self, split: Split) -> Iterator[Batch]:
        """The rows of a split in the order that they were added; only after writing has ended."""
        with pa.memory_map(str(self._path(split))) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index).to_pydict()

    def _flush(self, split: Split) -> None:
        rows = self._rows[split]
        if rows:
            columns = {code: [row.get(code) for row in rows] for code in self._languages}
            self._writers[split].write_batch(pa.record_batch(columns, schema=self._schema))
            self._rows[split] = []

    def _path(self, split: Split) -> Path:
        return self._folder / f"{split}.arrow"
