"""Translation memories: what people translated before (TMX, catalogs, XLIFF), looked up by the exact text."""

from __future__ import annotations

import re
import sqlite3
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from xml.etree.ElementTree import Element

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.core.languages import is_known, match_language
from neuronspec.corpus.readers.xml_units import MADE_HERE, language_of, local, read_units, text_of
from neuronspec.deploy.documents.checks import kept
from neuronspec.deploy.documents.po_file import read_catalog
from neuronspec.models.text_cleaning import Lines, clean_text, framed

_REVISED = re.compile(r"^PO-Revision-Date:(.*)$", re.MULTILINE)
_XLIFF_LANGUAGES = (("source-language", "target-language"), ("srcLang", "trgLang"))
_TABLE = """CREATE TABLE pairs (source TEXT, target TEXT, times INTEGER, latest TEXT, place INTEGER,
            PRIMARY KEY (source, target)) WITHOUT ROWID"""
_ADD = """INSERT INTO pairs VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE
          SET times = times + 1, latest = max(latest, excluded.latest), place = excluded.place"""
_FIND = "SELECT target, times FROM pairs WHERE source = ? ORDER BY times DESC, latest DESC, place DESC"


@dataclass(frozen=True, slots=True)
class Match:
    """What a memory has for a text.

    Args:
        text: the most frequent translation, of equally frequent ones the latest.
        times: by translation, how often it is there; that one first.
    """

    text: str
    times: dict[str, int]

    @property
    def is_sure(self) -> bool:
        """Whether all people who translated it agree."""
        return len(self.times) == 1


@dataclass(frozen=True, slots=True)
class _Pair:
    source: str
    target: str
    date: str


class TranslationMemory:
    """Translations of one direction, on disk while they are used: the memory doesn't grow with their number.

    `TranslationMemory(["memory.tmx"], "en-de").find("Save")`

    Of TMX files, the units that have both languages are read, whichever of them is the source, and without those that a
    model filled; of catalogs (`.po`), the finished entries without plural forms; of XLIFF, the finished units: in 1.2
    those that are `translated`, `signed-off`, `final` or without a state, in 2.0 and 2.1 `reviewed` or `final`. Pairs
    with different placeholders are left out, and so are units with markup that stands for something in the text (`ph`);
    TMX's formatting (`bpt`, `ept`, `hi`) is taken out of texts.

    Args:
        files: TMX and XLIFF files, catalogs; of catalogs, the language of `msgid` is the source.
        direction: of the translations; languages in files may be spelled otherwise.

    Attributes:
        left_out: how many pairs were left out.

    Raises:
        PathError: there is no such file.
        CorpusError: a file is damaged, or has no translations of the direction.
        RecipeError: a file is no memory.
    """

    def __init__(self, files: Sequence[str | Path], direction: DirectionLike) -> None:
        self.direction = Direction.parse(direction)
        self.left_out = 0
        # a file without a name is the process's own, and gone with it
        self._table = sqlite3.connect("", check_same_thread=False)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute(_TABLE)
        for file in files:
            self._read(Path(file))

    def __len__(self) -> int:
        return int(self._table.execute("SELECT count(*) FROM pairs").fetchone()[0])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The texts, cleaned, with the translation that `find` gives for each, in the order of the files."""
        for (source,) in self._table.execute("SELECT source FROM pairs GROUP BY source ORDER BY min(place)"):
            match = self.find(source)
            if match is not None:
                yield source, match.text

    def find(self, text: str) -> Match | None:
        """The translation of a text that is there exactly, but for white space around it and invisible characters.

        Args:
            text: of one or more lines; a translation that has another number of lines is none.
        """
        frame, lines = framed(text), len(Lines.of(framed(text).written).texts)
        if not frame.written:
            return None
        times: dict[str, int] = {}
        for target, count in self._table.execute(_FIND, [frame.text]):
            if lines == 1:  # it may have been wrapped in the file
                target = target if len(Lines.of(target).texts) == 1 else clean_text(target).text
            elif len(Lines.of(target).texts) != lines:
                continue
            times[frame.around(target)] = times.get(frame.around(target), 0) + count
        return Match(next(iter(times)), times) if times else None

    def _read(self, file: Path) -> None:
        read = _READERS.get(file.suffix.lower())
        if read is None:
            raise RecipeError(f"{file} is no translation memory; supported: {', '.join(_READERS)}")
        languages, place = _Languages(self.direction), 0
        try:
            for place, pair in enumerate(read(file, languages), start=1):
                source, target = framed(pair.source), framed(pair.target)
                if source.written and target.written and kept(pair.source, pair.target):
                    self._table.execute(_ADD, [source.text, target.written, pair.date, place])
                else:
                    self.left_out += 1
        except FileNotFoundError as error:
            raise PathError(f"{file} can't be read: {error.strerror}") from None
        except OSError as error:
            raise CorpusError(f"{file} can't be read: {error.strerror or error}") from None
        except sqlite3.OperationalError as error:
            raise CorpusError(f"{file} can't be kept in {tempfile.gettempdir()}: {error}") from None
        self.left_out += languages.marked_up
        if not place and not languages.marked_up:
            wanted = f"from {self.direction.source} to {self.direction.target}"
            raise CorpusError(f"{file} has no finished translations {wanted}; its languages are {languages}")


class _Languages:
    """Tells the languages of a direction in any spelling, and remembers which ones were seen."""

    def __init__(self, direction: Direction) -> None:
        self._wanted = (direction.source, direction.target)
        self._known: dict[str, str | None] = {}
        self.marked_up = 0

    def of(self, tag: str) -> str | None:
        """The direction's language that a tag means."""
        if tag not in self._known:
            self._known[tag] = match_language(tag, self._wanted)
        return self._known[tag]

    def of_unit(self, texts: list[tuple[str, str | None]]) -> Iterator[tuple[str, str]]:
        """The pairs of source and target among texts with the tags of their languages; None is one with markup."""
        sources, targets = ([text for tag, text in texts if self.of(tag) == one] for one in self._wanted)
        for source, target in product(sources, targets):
            if source is None or target is None:
                self.marked_up += 1
            else:
                yield source, target

    def is_target(self, tag: str) -> bool:
        """Whether a tag may be that of the target; one that says nothing is."""
        return not is_known(tag) or self.of(tag) == self._wanted[1]

    def __str__(self) -> str:
        return ", ".join(sorted(filter(None, self._known))) or "not named"


def _pairs_of_tmx(file: Path, languages: _Languages) -> Iterator[_Pair]:
    """The pairs of a TMX file, unit by unit."""
    with file.open("rb") as stream:
        for unit in read_units(str(file), stream, "tmx", ("tu",)):
            yield from _pairs_of_unit(unit.element, languages)


def _pairs_of_unit(unit: Element, languages: _Languages) -> Iterator[_Pair]:
    dates = [unit.get("changedate") or unit.get("creationdate") or ""]
    texts: list[tuple[str, str | None]] = []
    for variant in unit:
        if local(variant.tag) != "tuv" or variant.get("creationid") == MADE_HERE:
            continue
        dates.append(variant.get("changedate") or variant.get("creationdate") or "")
        segment = next((one for one in variant if local(one.tag) == "seg"), None)
        tag = language_of(variant)
        if segment is not None and languages.of(tag) is not None:
            texts.append((tag, text_of(segment)))
    for source, target in languages.of_unit(texts):
        yield _Pair(source, target, _digits(max(dates)))


def _pairs_of_xliff(file: Path, languages: _Languages) -> Iterator[_Pair]:
    """The finished units of an XLIFF file, segment by segment."""
    with file.open("rb") as stream:
        for unit in read_units(str(file), stream, "xliff", ("trans-unit", "segment")):
            sides = {local(one.tag): one for one in unit.element if local(one.tag) in ("source", "target")}
            if len(sides) == 2 and _is_finished(unit.element, sides["target"]):
                tags = next(
                    (
                        (unit.around[source], unit.around.get(target, ""))
                        for source, target in _XLIFF_LANGUAGES
                        if source in unit.around
                    ),
                    ("", ""),
                )
                texts = [(tag, text_of(sides[side])) for tag, side in zip(tags, ("source", "target"), strict=True)]
                for source, target in languages.of_unit(texts):
                    yield _Pair(source, target, "")


def _is_finished(unit: Element, target: Element) -> bool:
    """Whether a person finished a unit; in XLIFF 2, what a model filled is `translated`, too."""
    if local(unit.tag) == "segment":
        return unit.get("state") in ("reviewed", "final")
    return target.get("state") in ("translated", "signed-off", "final", None) and unit.get("approved") != "no"


def _pairs_of_catalog(file: Path, languages: _Languages) -> Iterator[_Pair]:
    """The finished entries of a catalog that have no plural forms."""
    catalog = read_catalog(str(file), file.read_bytes().removeprefix(BOM_UTF8))
    if not languages.is_target(catalog.language):
        return
    header = catalog.entries[0].translations[0].value
    revised = _REVISED.search(header)
    for entry in catalog.entries:
        text = entry.translations.get(0)
        if not (entry.is_header or entry.is_fuzzy or entry.msgid_plural) and text is not None and text.value:
            yield _Pair(entry.msgid, text.value, _digits(revised[1]) if revised else "")


def _digits(date: str) -> str:
    """A date so that later ones sort last: `20240131T120000Z`, or `2024-01-31 12:00+0100` without its zone."""
    return re.sub(r"\D", "", date)[:12]


_READERS: dict[str, Callable[[Path, _Languages], Iterator[_Pair]]] = {
    ".tmx": _pairs_of_tmx,
    ".po": _pairs_of_catalog,
    ".xlf": _pairs_of_xliff,
    ".xliff": _pairs_of_xliff,
}
