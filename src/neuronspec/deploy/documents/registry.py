"""The formats of documents, and which one a file is by the end of its name."""

from __future__ import annotations

from pathlib import PurePath
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
        "srt": f"{_HERE}.subtitles:SRT",
        "vtt": f"{_HERE}.subtitles:VTT",
        "html": f"{_HERE}.html_file:HTML",
        "markdown": f"{_HERE}.markdown:MARKDOWN",
        "json": f"{_HERE}.i18n_json:JSON",
        "csv": f"{_HERE}.csv_table:CSV",
        "android": f"{_HERE}.xml_resources:ANDROID",
        "strings": f"{_HERE}.key_values:STRINGS",
        "properties": f"{_HERE}.key_values:PROPERTIES",
        "resx": f"{_HERE}.xml_resources:RESX",
        "docx": f"{_HERE}.office:DOCX",
        "pptx": f"{_HERE}.office:PPTX",
        "odf": f"{_HERE}.open_document:ODF",
        "epub": f"{_HERE}.epub:EPUB",
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
    ".srt": "srt",
    ".vtt": "vtt",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".arb": "json",
    ".csv": "csv",
    ".strings": "strings",
    ".properties": "properties",
    ".resx": "resx",
    ".docx": "docx",
    ".pptx": "pptx",
    ".odt": "odf",
    ".odp": "odf",
    ".epub": "epub",
}
"""The format of a file by the end of its name."""

NAMES = {"strings.xml": "android", "arrays.xml": "android", "plurals.xml": "android"}
"""The format of a file by its whole name, where the ending is that of many formats."""

SUPPORTED = [*ENDINGS, *NAMES]
"""Endings and names of the files that are supported, for messages."""


def known_format(name: str) -> str | None:
    """The format of a file by its name; None where the name doesn't say it."""
    path = PurePath(name)
    return NAMES.get(path.name.lower()) or ENDINGS.get(path.suffix.lower())
