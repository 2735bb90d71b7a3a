"""Cleaned rows on disk between the passes of `prepare`: one Arrow file a split.

For each language there are four columns: `de`, the text (null where there is none), `de text` and `de key`, the 64-bit
hashes of the text and of its sentence key, and for the test `de read`, the text as read where it was another. For each
filter of pairs that is on there is a column such as `de numbers`, the hash of what both sides must have alike; where
near-duplicates are dropped some such as `de band 0`. Of a language pair that OpusFilter judges, `de-en rejected` is the
number of the filter that rejects the row. Batches are read into memory of their own, one at a time: a memory
map would keep all that was ever read resident.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from neuronspec.corpus.readers.rows import SPLITS, Split


def spool_schema(languages: Sequence[str], facts: Sequence[str] = (), judged: Sequence[str] = ()) -> pa.Schema:
    """The columns of a spool; `facts` are the further hashes that filters take, `judged` the pairs with rejections."""
    texts = [(code, pa.string()) for code in languages]
    hashes = [(f"{code} {kind}", pa.uint64()) for code in languages for kind in ("text", "key", *facts)]
    read = [(f"{code} read", pa.string()) for code in languages]
    return pa.schema([*texts, *hashes, *read, *((f"{pair} rejected", pa.uint8()) for pair in judged)])


class Spool:
    """Writes batches of rows to `FOLDER/SPLIT.arrow`. Use as a context manager while writing.

    Attributes:
        rows: by split, the number of rows.
        sources: by split, the place of each batch's source among those of the split.
    """

    def __init__(
        self, folder: Path, languages: Sequence[str], facts: Sequence[str] = (), judged: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self.rows: dict[Split, int] = dict.fromkeys(SPLITS, 0)
        self.sources: dict[Split, list[int]] = {split: [] for split in SPLITS}
        folder.mkdir(parents=True)
        schema = spool_schema(languages, facts, judged)
        self._writers = {split: pa.ipc.new_file(str(self.path(split)), schema) for split in SPLITS}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.close()

    def path(self, split: Split) -> Path:
        """The file of a split."""
        return _file(self._folder, split)

    def add(self, split: Split, batch: pa.RecordBatch, source: int = 0) -> None:
        """Add rows of a source, with the columns of `spool_schema`."""
        self._writers[split].write_batch(batch)
        self.rows[split] += batch.num_rows
        self.sources[split].append(source)

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """The batches of a split in the order that they were added; only after writing has ended."""
        return read_batches(self._folder, split)


def read_batches(folder: Path, split: Split) -> Iterator[pa.RecordBatch]:
    """The batches of a split of the spool in a folder, in the order that they were added."""
    with pa.OSFile(str(_file(folder, split))) as file:
        reader = pa.ipc.open_file(file)
        for index in range(reader.num_record_batches):
            yield reader.get_batch(index)


def _file(folder: Path, split: Split) -> Path:
    return folder / f"{split}.arrow"


def read_texts(path: Path, index: int, languages: Sequence[str]) -> dict[str, pa.StringArray]:
    """The texts of one batch of a spool file, by language."""
    with pa.OSFile(str(path)) as file:
        options = pa.ipc.IpcReadOptions(included_fields=list(range(len(languages))), use_threads=False)
        batch = pa.ipc.open_file(file, options=options).get_batch(index)
        return {code: batch.column(code) for code in languages}
