"""The readers, by the name that a source of the recipe gives as `reader`."""

from __future__ import annotations

from collections.abc import Callable

from neuronspec.core.registry import Registry
from neuronspec.corpus.readers.source import Source

READERS = Registry[type[Source]](
    "reader",
    {
        "catalogs": "neuronspec.corpus.readers.catalogs:CatalogsSource",
        "tsv": "neuronspec.corpus.readers.tsv:TsvSource",
        "moses": "neuronspec.corpus.readers.moses:MosesSource",
        "tmx": "neuronspec.corpus.readers.tmx:TmxSource",
        "xliff": "neuronspec.corpus.readers.xliff:XliffSource",
        "flores": "neuronspec.corpus.readers.flores:FloresSource",
        "ntrex": "neuronspec.corpus.readers.ntrex:NtrexSource",
        "tatoeba": "neuronspec.corpus.readers.tatoeba:TatoebaSource",
        "opus100": "neuronspec.corpus.readers.opus100:Opus100Source",
        "wmt": "neuronspec.corpus.readers.wmt:WmtSource",
        "iwslt": "neuronspec.corpus.readers.iwslt:IwsltSource",
        "jsonl": "neuronspec.corpus.readers.jsonl:JsonlSource",
        "webdataset": "neuronspec.corpus.readers.webdataset:WebdatasetSource",
        "csv": "neuronspec.corpus.readers.csv:CsvSource",
        "parquet": "neuronspec.corpus.readers.parquet:ParquetSource",
        "hf": "neuronspec.corpus.readers.hf:HfSource",
    },
)
"""Each reader is a kind of `Source`: its settings, and how it reads."""


def register_reader(name: str, reader: type[Source] | None = None) -> Callable[[type[Source]], type[Source]]:
    """Make a reader of your own known under a name, which the sources of a recipe can give as `reader`.

    Args:
        name: as recipes write it; the field `reader` of the class allows this name alone.
        reader: a subclass of `Source`; without it, the result decorates one.

    Returns:
        A decorator that registers a class and returns it unchanged.

    Raises:
        RecipeError: the name is taken by another reader.
    """
    return READERS.register_subclass(name, reader, Source)
