"""The text of a gettext catalog, entry by entry, with the place of every line.

So one entry can be changed and every other byte stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from neuronspec.core.errors import CorpusError

_KEYWORD = re.compile(r'\s*(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d+)\])?)\s*"(.*)"\s*$', re.DOTALL)
_CONTINUED = re.compile(r'\s*"(.*)"\s*$', re.DOTALL)
_PLURALS = re.compile(r"nplurals\s*=\s*(\d+)")
_CHARSET = re.compile(r"charset=([^\s;\\]+)", re.IGNORECASE)


@dataclass(slots=True)
class Text:
    """A string of an entry: its value, and its lines `first` to `last` (from 0, `last` not among them)."""

    value: str
    first: int
    last: int


@dataclass(slots=True)
class Entry:
    """An entry of a catalog. Lines are counted from 0.

    Args:
        flags: line of `#,`, if there is one.
        is_fuzzy: whether it is marked fuzzy.
        insert: the line before which a line of flags would go.
        strings: by keyword (`msgid`, `msgid_plural`, `msgctxt`).
        translations: `msgstr` as number 0, or the plural forms by number.
    """

    flags: int | None = None
    is_fuzzy: bool = False
    insert: int | None = None
    strings: dict[str, Text] = field(default_factory=dict)
    translations: dict[int, Text] = field(default_factory=dict)

    @property
    def msgid(self) -> str:
        """The text to translate; empty in the header."""
        return self.strings["msgid"].value if "msgid" in self.strings else ""

    @property
    def msgid_plural(self) -> str | None:
        """The plural of the text to translate, if it has one."""
        return self.strings["msgid_plural"].value if "msgid_plural" in self.strings else None

    @property
    def is_header(self) -> bool:
        """Whether it is the header of the catalog."""
        return self.msgid == "" and "msgctxt" not in self.strings

    @property
    def is_translated(self) -> bool:
        """Whether it has all its translations."""
        return all(text.value for text in self.translations.values())


@dataclass(slots=True)
class Catalog:
    """A catalog: its lines with their ends, its entries (obsolete ones left out), its encoding and plural forms."""

    name: str
    lines: list[str]
    entries: list[Entry]
    encoding: str
    plurals: int | None

    def encoded(self) -> bytes:
        """Its bytes.

        Raises:
            CorpusError: the catalog's encoding can't hold a translation.
        """
        try:
            return "".join(self.lines).encode(self.encoding)
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"{self.name} is in {self.encoding}, which has no {error.object[error.start]!r}: convert it to UTF-8"
            ) from None


def read_catalog(name: str, raw: bytes) -> Catalog:
    """Read a catalog.

    Raises:
        CorpusError: the header is broken, the text isn't in the encoding that it names, or a line can't be read.
    """
    encoding = _encoding(name, raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CorpusError(f"{name}:{line}: not valid {encoding}, which the catalog's header names") from None
    lines = text.splitlines(keepends=True) if "\r" in text.replace("\r\n", "") else re.findall(r"[^\n]*\n|[^\n]+", text)
    entries = _entries(name, lines)
    header = entries[0].translations.get(0) if entries and entries[0].is_header else None
    if header is None:
        raise CorpusError(f"{name}:1: the catalog has no header (an entry with an empty msgid and the charset)")
    plurals = _PLURALS.search(header.value)
    return Catalog(name, lines, entries, encoding, int(plurals[1]) if plurals else None)


def escape(text: str) -> str:
    """As it is written between the quotes."""
    import polib

    return str(polib.escape(text))


def _encoding(name: str, raw: bytes) -> str:
    import codecs

    head = raw[:4096].decode("ascii", "replace")
    found = _CHARSET.search(head)
    if found is None:
        raise CorpusError(
            f'{name}:1: the header names no charset; it needs "Content-Type: text/plain; charset=UTF-8\\n"'
        )
    try:
        return codecs.lookup(found[1]).name
    except LookupError:
        line = head[: found.start()].count("\n") + 1
        raise CorpusError(f"{name}:{line}: the header's charset {found[1]!r} is none; write charset=UTF-8") from None


def _entries(name: str, lines: list[str]) -> list[Entry]:
    import polib

    entries: list[Entry] = []
    entry, current = Entry(), None
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith("#~"):
            current = None
        elif text.startswith("#"):
            if entry.translations:
                entry = _closed(entries, entry)
            current = None
            if text.startswith("#,"):
                entry.flags, entry.is_fuzzy = number, "fuzzy" in [flag.strip() for flag in text[2:].split(",")]
            elif text.startswith("#|") and entry.insert is None:
                entry.insert = number
        elif not text:
            if entry.translations:
                entry = _closed(entries, entry)
            current = None
        elif keyword := _KEYWORD.match(line):
            if keyword[1] in ("msgid", "msgctxt") and entry.translations:
                entry = _closed(entries, entry)
            if entry.insert is None:
                entry.insert = number
            current = Text(polib.unescape(keyword[3]), number, number + 1)
            if keyword[1].startswith("msgstr"):
                entry.translations[int(keyword[2] or 0)] = current
            else:
                entry.strings[keyword[1]] = current
        elif (continued := _CONTINUED.match(line)) and current is not None:
            current.value += polib.unescape(continued[1])
            current.last = number + 1
        else:
            raise CorpusError(
                f"{name}:{number + 1}: not a line of a catalog: {text[:60]!r}; correct it (msgfmt says more)"
            )
    _closed(entries, entry)
    return entries


def _closed(entries: list[Entry], entry: Entry) -> Entry:
    """Keep a finished entry, and begin another."""
    if "msgid" in entry.strings and entry.translations:
        entries.append(entry)
    return Entry()
