"""Rows of a source, and text for round trips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from neuronspec.corpus.readers.rows import ReadCounts, Row
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings

XML_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=30)
"""Text that XML can hold."""


def read_source(
    source: dict[str, Any], languages: list[str], counts: ReadCounts | None = None, **more: Any
) -> list[Row]:
    """The rows of a training source."""
    source = {key: str(value) if isinstance(value, Path) else value for key, value in source.items()}
    corpus = CorpusSettings.model_validate({"train": source, "languages": languages} | more)
    return [row for block in read_rows(corpus, ReadCounts() if counts is None else counts) for row in block]
