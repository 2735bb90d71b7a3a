"""The readers, by the name that a source of the recipe gives as `reader`."""

from __future__ import annotations

from neuronspec.core.registry import Registry
from neuronspec.corpus.readers.source import Source

READERS = Registry[type[Source]](
    "reader",
    {
        "catalogs": "neuronspec.corpus.readers.catalogs:CatalogsSource",
        "tsv": "neuronspec.corpus.readers.tsv:TsvSource",
        "moses": "neuronspec.corpus.readers.moses:MosesSource",
    },
)
"""Each reader is a kind of `Source`: its settings, and how it reads."""
