"""The readers, by the name that a recipe gives under `corpus.reader`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from neuronspec.core.errors import RecipeError, nearest
from neuronspec.corpus.readers.catalogs import read_catalogs
from neuronspec.corpus.readers.moses import read_moses
from neuronspec.corpus.readers.rows import ReadCounts, Rows
from neuronspec.corpus.readers.tsv import read_tsv
from neuronspec.corpus.settings import CorpusSettings

# Each takes its own kind of CorpusSettings, yields rows, and counts what it reads and skips.
READERS: dict[str, Callable[[Any, ReadCounts], Iterator[Rows]]] = {
    "catalogs": read_catalogs,
    "tsv": read_tsv,
    "moses": read_moses,
}


def read_rows(corpus: CorpusSettings, counts: ReadCounts) -> Iterator[Rows]:
    """The rows of a corpus in blocks, train before valid before test; lazily.

    Raises:
        RecipeError: there is no such reader.
        CorpusError: the text can't be read.
    """
    name = getattr(corpus, "reader", "")
    if name not in READERS:
        raise RecipeError(f"unknown reader {name!r}; {nearest(name, READERS)}")
    return READERS[name](corpus, counts)
