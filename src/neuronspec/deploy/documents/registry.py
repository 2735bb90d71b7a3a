"""The formats of documents, and which one a file is by the end of its name."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

_HERE = "neuronspec.deploy.documents"

FORMATS: Registry[Any] = Registry(
    "document format",
    {
        "text": f"{_HERE}.text:TEXT",
        "po": f"{_HERE}.po:PO",
        "tsv": f"{_HERE}.columns:TSV",
        "jsonl": f"{_HERE}.columns:JSONL",
        "xliff": f"{_HERE}.xml_files:XLIFF",
        "tmx": f"{_HERE}.xml_files:TMX",
    },
)

FILLED = ("po", "xliff", "tmx")
"""Formats that have places for translations, which are filled where they are empty."""

ENDINGS = {
    ".txt": "text",
    ".po": "po",
    ".pot": "po",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".xlf": "xliff",
    ".xliff": "xliff",
    ".tmx": "tmx",
}
"""The format of a file by the end of its name."""
