"""The text of a gettext catalog, entry by entry, with the place of every line.

So one entry can be changed and every other byte stays.
"""

from __future__ import annotations

import codecs
import gettext
import logging
import re
from dataclasses import dataclass, field

from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.checks import kept

logger = logging.getLogger(__name__)

_KEYWORD = re.compile(r'\s*(msgctxt|msgid_plural|msgid|msgstr(?:\[(\d{1,3})\])?)\s*"(.*)"\s*$', re.DOTALL)
_JOINT = re.compile(r'((?<!\\)(?:\\\\)*)"\s*"')
_CONTINUED = re.compile(r'\s*"(.*)"\s*$', re.DOTALL)
_PLURALS = re.compile(r"nplurals\s*=\s*(\d{1,9})\s*;(?:\s*plural\s*=\s*([^;\n]+))?")
_LANGUAGE = re.compile(r"^Language:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = dict(zip('abfnrtv"\\', '\a\b\f\n\r\t\v"\\', strict=True))
_NOT_ASCII = 0x80
"""The first number that is a byte of the catalog's charset, not a character."""

_MOST_PLURALS = 10
"""No language has more; Arabic has 6."""
_COUNTS = 201
"""The formulas depend on the last two digits."""

_HEADER = re.compile(rb'(?:\A|(?<=[\r\n]))[ \t]*msgid[ \t]+""[ \t]*[\r\n]+(?:[ \t]*(?:msgstr[ \t]*)?"[^\r\n]*[\r\n]*)+')
_ASCII = bytes(range(0x20, 0x7F)) + b"\t\r\n\\n\\x41\\u0041 +AGE- ~{ =41 .xn--bcher-kva. \x1b$B"
"""With what escapes in encodings that aren't of text alone."""
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
        flags: the last line of `#,`, if there is one.
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


@dataclass(slots=True)
class Catalog:
    """A catalog.

    Args:
        name: for messages.
        lines: with their ends.
        entries: obsolete ones left out.
        encoding: that its header names.
        plurals: number of plural forms (`nplurals`); None where the header has none that makes sense.
        one: the form for the number 1, by the header's formula.
        one_alone: whether that form is for no other number, as 21 in Russian.
        language: that its header names; may be empty.
    """

    name: str
    lines: list[str]
    entries: list[Entry]
    encoding: str
    plurals: int | None
    one: int = 0
    one_alone: bool = False
    language: str = ""

    @property
    def line_end(self) -> str:
        """The end of the first line."""
        first = self.lines[0] if self.lines else ""
        return first[len(first.rstrip("\r\n")) :] or "\n"

    def forms_of(self, entry: Entry) -> list[int]:
        """The numbers of all forms that an entry should have."""
        return [0] if entry.msgid_plural is None or self.plurals is None else list(range(self.plurals))

    def lacks(self, entry: Entry) -> list[int]:
        """The numbers of the forms that have no text, or aren't there."""
        present = {form for form, text in entry.translations.items() if text.value}
        return [form for form in dict.fromkeys((*entry.translations, *self.forms_of(entry))) if form not in present]

    def text_of(self, entry: Entry, form: int) -> str:
        """What is translated for a form: the singular for the number 1, else the plural.

        A form for 1 and other numbers gets the plural where the singular leaves the number out ("an hour").
        """
        if entry.msgid_plural is None:
            return entry.msgid
        for_one = form == self.one and self.plurals != 1
        if for_one and (self.one_alone or kept(entry.msgid, entry.msgid_plural)):
            return entry.msgid
        return entry.msgid_plural

    def problem_of(self, entry: Entry) -> str:
        """Why an entry can't be filled: its plural forms don't fit the header. Empty where it can."""
        forms = sorted(entry.translations)
        if entry.msgid_plural is None:
            return "" if forms == [0] else "it has several translations and no msgid_plural"
        if self.plurals is None:
            return "it has plural forms, and the header has no Plural-Forms with a number of them (nplurals=2, ...)"
        if forms != list(range(len(forms))) or len(forms) > self.plurals:
            return f"it has the plural forms {', '.join(map(str, forms))}, and the header says nplurals={self.plurals}"
        return ""

    def encoded(self) -> bytes:
        """Its bytes: in its encoding or, where that lacks a character of a translation, in UTF-8, which is told."""
        try:
            return "".join(self.lines).encode(self.encoding)
        except UnicodeEncodeError as error:
            lacking = error.object[error.start]
        logger.warning("%s: %s has no %r; written in UTF-8, with charset=UTF-8", self.name, self.encoding, lacking)
        header = self.entries[0].translations[0]
        for number in range(header.first, header.last):
            self.lines[number], times = _CHARSET.subn("charset=UTF-8", self.lines[number], count=1)
            if times:
                break
        return "".join(self.lines).encode()


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
    lines = re.findall(r"[^\n]*\n|[^\n]+" if "\n" in text else r"[^\r]*\r|[^\r]+", text)
    entries = _entries(name, lines)
    header = entries[0].translations.get(0) if entries and entries[0].is_header else None
    if header is None:
        raise CorpusError(f"{name}:1: the catalog has no header (an entry with an empty msgid and the charset)")
    language = _LANGUAGE.search(header.value)
    return Catalog(
        name, lines, entries, encoding, *_plural_forms(header.value), language=language[1] if language else ""
    )


def _plural_forms(header: str) -> tuple[int | None, int, bool]:
    """The number of plural forms (None where it makes no sense), the form for 1, and whether it is for 1 alone."""
    found = _PLURALS.search(header)
    number = int(found[1]) if found else 0
    if found is None or not 1 <= number <= _MOST_PLURALS:
        return None, 0, False
    try:
        form_of = gettext.c2py(found[2] or "n != 1")
        forms = [int(form_of(count)) for count in range(_COUNTS)]
    except (ValueError, ArithmeticError, RecursionError):
        return number, 0, False
    return number, forms[1] if 0 <= forms[1] < number else 0, forms.count(forms[1]) == 1


def escape(text: str) -> str:
    """As it is written between the quotes."""
    import polib

    return str(polib.escape(text))


def _encoding(name: str, raw: bytes) -> str:
    header = _HEADER.search(raw)
    found = _CHARSET.search(raw[: header.end()].decode("ascii", "replace"), header.start()) if header else None
    if header is None:
        raise CorpusError(f"{name}:1: the catalog has no header (an entry with an empty msgid and the charset)")
    if found is None:
        raise CorpusError(
            f'{name}:1: the header names no charset; it needs "Content-Type: text/plain; charset=UTF-8\\n"'
        )
    if _is_charset(found[1]):
        encoding = codecs.lookup(found[1]).name
        return "utf-8" if encoding == "utf-8-sig" else encoding  # the document keeps its own byte order mark
    line = raw[: found.start()].count(b"\n") + 1
    raise CorpusError(
        f"{name}:{line}: the header's charset {found[1]!r} is none, or none that keeps ASCII as it is; convert the "
        "catalog to UTF-8 and write charset=UTF-8"
    )


def _is_charset(name: str) -> bool:
    """Whether an encoding is one of text in which ASCII stays what it is; backslashes and quotes are escaped in it."""
    try:
        return _ASCII.decode(name) == _ASCII.decode("ascii")
    except (LookupError, ValueError, TypeError, AssertionError):
        return False


def _unescaped(written: str) -> str:
    """What is between the quotes of a line, which may have several strings."""
    return _ESCAPE.sub(_character, _JOINT.sub(r"\1", written))


def _character(escape: re.Match[str]) -> str:
    octal, digits, letter = escape.groups()
    if letter:
        return _LETTERS.get(letter, escape[0])
    code = int(octal or digits, 8 if octal else 16)
    return chr(code) if code < _NOT_ASCII else escape[0]


def _entries(name: str, lines: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    entry, current = Entry(), None
    for number, line in enumerate(lines):
        text = line.strip()
        if text.startswith("#~"):
            entry = _closed(entries, entry)  # comments and flags before it are its own
            current = None
        elif text.startswith("#"):
            if entry.translations:
                entry = _closed(entries, entry)
            current = None
            if text.startswith("#,"):
                entry.flags = number
                entry.is_fuzzy |= "fuzzy" in map(str.strip, text[2:].split(","))  # of any of several lines
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
            current = Text(_unescaped(keyword[3]), number, number + 1)
            if keyword[1].startswith("msgstr"):
                entry.translations[int(keyword[2] or 0)] = current
            else:
                entry.strings[keyword[1]] = current
        elif (continued := _CONTINUED.match(line)) and current is not None:
            current.value += _unescaped(continued[1])
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
