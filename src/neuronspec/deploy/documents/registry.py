"""The formats of documents, by the end of a file's name; all others are plain text."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

_HERE = "neuronspec.deploy.documents"

FORMATS: Registry[Any] = Registry(
    "document format",
    {
        ".txt": f"{_HERE}.text:TEXT",
        ".po": f"{_HERE}.po:PO",
        ".tsv": f"{_HERE}.columns:TSV",
        ".jsonl": f"{_HERE}.columns:JSONL",
        ".xlf": f"{_HERE}.xml_files:XLIFF",
        ".xliff": f"{_HERE}.xml_files:XLIFF",
        ".tmx": f"{_HERE}.xml_files:TMX",
    },
)
