"""The rows of all sources of a corpus."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.corpus.readers.rows import ReadCounts, Rows
from neuronspec.corpus.settings import CorpusSettings


def read_rows(corpus: CorpusSettings, counts: ReadCounts) -> Iterator[Rows]:
    """The rows of a corpus in blocks, train before valid before test; lazily.

    Args:
        corpus: says what is read, and for which languages.
        counts: what was read and skipped is added to it.

    Raises:
        CorpusError: the text can't be read. What can be checked without reading is checked before the first row.
    """
    for source in corpus.sources.values():
        source.check(corpus.wanted)
    for split, source in corpus.sources.items():
        yield from source.read(corpus.wanted, split, counts)
