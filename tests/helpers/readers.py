"""Sources read to the end, as a recipe names them."""

from __future__ import annotations

from typing import Any

from neuronspec.corpus.readers.rows import ReadCounts, Row
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings


def source_of(train: dict[str, Any], languages: list[str], **more: Any) -> dict[str, Any]:
    """The corpus section with one source of training text."""
    return {"train": train, "languages": languages, **more}


def rows_of(train: dict[str, Any], languages: list[str], **more: Any) -> tuple[list[Row], ReadCounts]:
    """All rows of a corpus, and what was counted."""
    counts = ReadCounts()
    corpus = CorpusSettings.model_validate(source_of(train, languages, **more))
    return [row for block in read_rows(corpus, counts) for row in block], counts
