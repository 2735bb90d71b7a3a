"""gettext catalogs (`.po`): fill what isn't translated, mark it fuzzy, and leave every other byte as it was."""

from __future__ import annotations

import re
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.checks import kept, log_problems, lost
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.po_file import Catalog, Entry, escape, read_catalog
from neuronspec.deploy.translator import Translator


def translate_po(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Fill the untranslated entries (with `options.fuzzy` those marked fuzzy, too) and mark them fuzzy.

    A translation that doesn't have exactly the placeholders of its source isn't taken: the entry stays as it was, and
    is listed. Plural entries get the translation of the singular as form 0 and of the plural as the others; languages
    with one form get the plural's.

    Raises:
        CorpusError: the catalog can't be read; see `read_catalog`.
    """
    catalog = read_catalog(source.name, source.stream.read())
    wanted = [
        entry
        for entry in catalog.entries
        if not entry.is_header and (not entry.is_translated or (options.fuzzy and entry.is_fuzzy))
    ]
    _check_plurals(catalog, wanted)
    found = iter(translator([text for entry in wanted for text in _texts(entry)], str(direction)))
    problems = []
    for entry in wanted:
        pairs = [(text, _framed(text, next(found))) for text in _texts(entry)]
        problem = next((_problem(text, translation) for text, translation in pairs if _problem(text, translation)), "")
        if problem:
            problems.append(f"{catalog.name}:{entry.strings['msgid'].first + 1}: {problem}")
        else:
            _fill(catalog, entry, [translation for _, translation in pairs])
    stream.write(catalog.encoded())
    log_problems(len(wanted) - len(problems), len(wanted), problems, "entries and marked them fuzzy")


def _texts(entry: Entry) -> list[str]:
    return [entry.msgid] if entry.msgid_plural is None else [entry.msgid, entry.msgid_plural]


def _framed(source: str, translation: str) -> str:
    """The translation with the white space that the source begins and ends with."""
    body = source.strip()
    first = source.index(body) if body else 0
    return source[:first] + translation.strip() + source[first + len(body) :]


def _problem(source: str, translation: str) -> str:
    if not translation.strip():
        return "the translation is empty"
    return "" if kept(source, translation) else f"the translation is {lost(source, translation)}"


def _fill(catalog: Catalog, entry: Entry, translations: list[str]) -> None:
    """Write the translations into the lines of an entry, which keep their number."""
    for number, text in entry.translations.items():
        value = translations[0]
        if entry.msgid_plural is not None and (number > 0 or catalog.plurals == 1):
            value = translations[1]
        keyword = "msgstr" if entry.msgid_plural is None else f"msgstr[{number}]"
        end = re.search(r"\r?\n?$", catalog.lines[text.last - 1])
        catalog.lines[text.first] = _quoted(keyword, value, end[0] if end else "\n")
        catalog.lines[text.first + 1 : text.last] = [""] * (text.last - text.first - 1)
    _mark_fuzzy(catalog, entry)


def _quoted(keyword: str, value: str, end: str) -> str:
    """A line, or for text with line breaks inside an empty one and a line for each of its lines, as gettext does."""
    pieces = re.findall(r"[^\n]*\n|[^\n]+", value)
    if len(pieces) < 2:
        return f'{keyword} "{escape(value)}"{end}'
    rest = f"{end or chr(10)}".join(f'"{escape(piece)}"' for piece in pieces)
    return f'{keyword} ""{end or chr(10)}{rest}{end}'


def _mark_fuzzy(catalog: Catalog, entry: Entry) -> None:
    if entry.is_fuzzy:
        return
    if entry.flags is not None:
        catalog.lines[entry.flags] = re.sub(r"#,\s*", "#, fuzzy, ", catalog.lines[entry.flags], count=1)
        return
    at = entry.insert if entry.insert is not None else entry.strings["msgid"].first
    end = "\r\n" if catalog.lines[at].endswith("\r\n") else "\n"
    catalog.lines[at] = f"#, fuzzy{end}{catalog.lines[at]}"


def _check_plurals(catalog: Catalog, wanted: list[Entry]) -> None:
    for entry in wanted:
        if entry.msgid_plural is None:
            continue
        if catalog.plurals is None:
            raise CorpusError(
                f"{catalog.name}:1: the header has no Plural-Forms (nplurals=...), but line "
                f"{entry.strings['msgid'].first + 1} has plural forms; add them"
            )
        if sorted(entry.translations) != list(range(catalog.plurals)):
            raise CorpusError(
                f"{catalog.name}:{entry.strings['msgid'].first + 1}: {len(entry.translations)} plural forms, and the "
                f"header says nplurals={catalog.plurals}"
            )


PO = Format(translate_po, ("fuzzy",))
