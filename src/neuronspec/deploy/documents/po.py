"""gettext catalogs (`.po`, `.pot`): fill what isn't translated, mark it fuzzy, and leave every other byte as it was."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import is_known, match_language
from neuronspec.deploy.documents.assisted import is_agreed
from neuronspec.deploy.documents.checks import log_problems
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.messages import translate_messages
from neuronspec.deploy.documents.po_file import Catalog, Entry, escape, read_catalog
from neuronspec.deploy.translator import Translator


@dataclass(frozen=True, slots=True)
class _Filling:
    """An entry to fill: by the number of each form that gets a translation, the text that is translated for it."""

    entry: Entry
    texts: dict[int, str]


def translate_po(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Fill the entries that lack a translation or a plural form, and mark them fuzzy.

    Only forms without text are filled; with `options.fuzzy`, all forms of entries that are marked fuzzy. The plural
    form that the catalog's formula gives for 1 gets the translation of the singular, the others that of the plural.
    Forms that the entry lacks are added. Tags go around the words that they belong to
    (`neuronspec.deploy.documents.messages`). A translation that doesn't have exactly the placeholders and tags of its
    source isn't taken. What a translation memory has in one way only isn't marked. Entries that can't be filled stay as
    they were, and are listed. A catalog whose charset lacks a character of a translation becomes UTF-8, as its header
    then says.

    Raises:
        CorpusError: the catalog can't be read (see `read_catalog`), or is of another language.
    """
    catalog = read_catalog(source.name, source.stream.read())
    _check_language(catalog, direction)
    fillings: list[_Filling] = []
    problems: list[str] = []
    for entry in catalog.entries:
        again = options.fuzzy and entry.is_fuzzy
        if entry.is_header or not (again or catalog.lacks(entry)):
            continue
        problem = catalog.problem_of(entry)
        if problem:
            problems.append(_located(catalog, entry, problem))
        else:
            forms = catalog.forms_of(entry) if again else catalog.lacks(entry)
            fillings.append(_Filling(entry, {form: catalog.text_of(entry, form) for form in forms}))
    wanted, filled, reused = len(fillings) + len(problems), 0, 0
    texts = [text for each in fillings for text in each.texts.values()]
    found = iter(translate_messages(translator, direction, texts))
    for each in fillings:
        translations = {form: next(found) for form in each.texts}
        problem = next((problem for _, problem in translations.values() if problem), "")
        if problem:
            problems.append(_located(catalog, each.entry, problem))
        else:
            # a memory doesn't say which of several plural forms a translation is
            finished = each.entry.msgid_plural is None and is_agreed(translator, each.entry.msgid)
            _fill(catalog, each.entry, {form: text for form, (text, _) in translations.items()}, finished)
            reused += finished
            filled += 1
    stream.write(catalog.encoded())
    marked = f"{filled - reused} of them" if reused else "them"
    log_problems(filled, wanted, problems, f"entries and marked {marked} fuzzy")


def _check_language(catalog: Catalog, direction: Direction) -> None:
    """Templates name no language, what isn't one, or the source's."""
    if is_known(catalog.language) and match_language(catalog.language, [direction.source, direction.target]) is None:
        raise CorpusError(
            f"{catalog.name}: the header says Language: {catalog.language}, and the translation is into "
            f"{direction.target}; correct the header, or take the catalog of {direction.target}"
        )


def _located(catalog: Catalog, entry: Entry, problem: str) -> str:
    return f"{catalog.name}:{entry.strings['msgid'].first + 1}: {problem}"


def _fill(catalog: Catalog, entry: Entry, translations: dict[int, str], finished: bool) -> None:
    """Write translations into the lines of an entry, or after them; the lines keep their number."""
    for form, value in sorted(translations.items()):
        text = entry.translations.get(form)
        if text is None:
            _add(catalog, entry, form, value)
            continue
        first, last = catalog.lines[text.first], catalog.lines[text.last - 1]
        keyword, end = re.match(r"[^\"]*", first), re.search(r"\s*$", last)
        assert keyword is not None and end is not None, "a line of a catalog has a keyword and an end"
        catalog.lines[text.first] = _quoted(keyword[0], value, end[0], catalog.line_end)
        catalog.lines[text.first + 1 : text.last] = [""] * (text.last - text.first - 1)
    if not finished:
        _mark_fuzzy(catalog, entry)


def _add(catalog: Catalog, entry: Entry, form: int, value: str) -> None:
    """Write a form that the entry doesn't have after its last one."""
    last = max(entry.translations.values(), key=lambda text: text.last).last - 1
    # lines that a filled form doesn't need any more are empty
    written = next(line for line in reversed(catalog.lines[: last + 1]) if line)
    ended = written.endswith(("\n", "\r"))  # or it is the last line of the file
    added = _quoted(f"msgstr[{form}] ", value, catalog.line_end if ended else "", catalog.line_end)
    catalog.lines[last] += added if ended else catalog.line_end + added


def _quoted(keyword: str, value: str, end: str, line_end: str) -> str:
    """A line, or for text with line breaks inside an empty one and a line for each of its lines, as gettext does."""
    pieces = re.findall(r"[^\n]*\n|[^\n]+", value)
    if len(pieces) < 2:
        return f'{keyword}"{escape(value)}"{end}'
    rest = line_end.join(f'"{escape(piece)}"' for piece in pieces)
    return f'{keyword}""{line_end}{rest}{end}'


def _mark_fuzzy(catalog: Catalog, entry: Entry) -> None:
    if entry.is_fuzzy:
        return
    if entry.flags is not None:
        catalog.lines[entry.flags] = re.sub(r"#,\s*", "#, fuzzy, ", catalog.lines[entry.flags], count=1)
        return
    at = entry.insert if entry.insert is not None else entry.strings["msgid"].first
    catalog.lines[at] = f"#, fuzzy{catalog.line_end}{catalog.lines[at]}"


PO = Format(translate_po, ("fuzzy",))
