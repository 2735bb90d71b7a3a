"""Reader `iwslt`: TED talks as the IWSLT campaigns ship them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Literal, TypeAlias
from xml.sax.saxutils import unescape

from pydantic import Field

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import Aligned, Tagged
from neuronspec.corpus.readers.benchmark import FolderSource, of_pairs
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows, Split, in_columns
from neuronspec.corpus.readers.source import Wanted
from neuronspec.corpus.readers.xml_units import read_units, text_of

TRAIN = "train"
_NAME = r"(?P<pair>[^.]+)\.(?P<tag>[^.]+)"
_ABOUT = re.compile(
    r"\s*</?(?P<name>url|keywords|speaker|talkid|title|description|reviewer|translator|doc|transcript)\b[^<>]*>"
    r"(?P<value>[^<]*)"
)
"""Lines of training text that say something about a talk."""

_QUOTES = {"&quot;": '"', "&apos;": "'"}

_Sentence: TypeAlias = tuple[tuple[str, str], int, str]
"""Its talk and its number there, the line, and the text."""


class IwsltSource(FolderSource):
    """TED talks of the IWSLT campaigns (Cettolo et al. 2012), for the years 2011 to 2017.

    A folder in or below which the files of the language pairs are: `train.tags.de-en.de` and, for the other parts,
    `IWSLT17.TED.dev2010.de-en.de.xml`. Titles, descriptions and what else is said about a talk are no sentences; lines
    of it are counted. Sentences are matched by talk and number. Entities of XML (`&amp;`) are characters, also in
    training text, which isn't XML as a whole.
    """

    reader: Literal["iwslt"]
    path: RecipePath = Field(description="the folder; relative to the recipe's folder")
    parts: list[str] = Field(
        min_length=1, description="the parts that are read: [train], or development and test sets: [tst2010, tst2011]"
    )

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files of all pairs, part by part.

        Raises:
            CorpusError: a pair has none, or two sets.
        """
        for part in dict.fromkeys(self.parts):
            layout = "train.tags.de-en.de" if part == TRAIN else f"IWSLT17.TED.{part}.de-en.de.xml"
            yield from of_pairs(part, self.path, self._tagged(part), wanted, layout)

    def all_files(self) -> Iterable[Path]:
        """The files of the parts, of all pairs."""
        return (path for part in self.parts for _, _, path in self._tagged(part))

    def _tagged(self, part: str) -> list[Tagged]:
        kind = rf"train\.tags\.{_NAME}" if part == TRAIN else rf"IWSLT[^.]*\.[^.]+\.{re.escape(part)}\.{_NAME}\.xml"
        files = ((re.fullmatch(kind, path.name), path) for path in sorted(self.path.rglob("*")))
        return [(match["pair"], match["tag"], path) for match, path in files if match]

    def check(self, wanted: Wanted, split: Split) -> None:
        """Find all files; whether they fit each other is found while they are read.

        Raises:
            CorpusError: files are missing.
        """
        for _ in self.groups(wanted):
            pass

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The sentences, pair by pair.

        Raises:
            CorpusError: files are missing, can't be read, or don't have the same sentences.
        """
        for group in self.groups_of(wanted):
            yield from in_columns(_rows(group, split, counts), list(group.paths), split)


def _rows(group: Aligned, split: Split, counts: ReadCounts) -> Iterator[Row]:
    (one, first), (other, second) = group.paths.items()
    for left, right in zip_longest(_sentences(one, first, counts), _sentences(other, second, counts)):
        if left is None or right is None or left[0] != right[0]:
            places = [
                f"{path} ends"
                if found is None
                else f"{path}:{found[1]} is sentence {found[0][1]} of talk {found[0][0]}"
                for path, found in ((first, left), (second, right))
            ]
            raise CorpusError(f"sentences that don't belong together: {' and '.join(places)}; unpack both files again")
        counts.sources[group.name] += 1
        yield Row({one: left[2], other: right[2]}, f"{group.name}:{left[1]}", split)


def _sentences(code: str, path: Path, counts: ReadCounts) -> Iterator[_Sentence]:
    if path.suffix == ".xml":
        with opened(path) as file:
            for unit in read_units(str(path), file, "mteval", ("seg",)):
                key = (unit.around.get("docid", ""), unit.element.get("id", ""))
                yield key, unit.line, (text_of(unit.element) or "").strip()
        return
    talk, number = "", 0
    for first, lines in read_blocks(path):
        for line, text in enumerate(lines, start=first):
            about = _ABOUT.match(text)
            if about is None:
                number += 1
                yield (talk, str(number)), line, unescape(text, _QUOTES).strip()
                continue
            counts.skip(code, "about the talk")
            if about["name"] == "talkid":
                talk, number = about["value"].strip(), 0
