"""Subtitles: SubRip (`.srt`) and WebVTT (`.vtt`); the texts of cues are translated where they stand.

pysubs2 reads both, but writes numbers, times and tags anew and loses notes, styles and cue settings.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html import unescape
from typing import BinaryIO
from xml.sax.saxutils import escape

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.markup import Tag
from neuronspec.deploy.documents.spans import Line, Span, Text, framed, lines_of, rewrite, tag_of
from neuronspec.deploy.documents.wrapping import wrapped
from neuronspec.deploy.translator import Translator

_SRT_TIME = re.compile(r"\s*\d+:\d\d:\d\d[,.]\d{1,3}\s*-->\s*\d+:\d\d:\d\d[,.]\d{1,3}(\s.*)?")
_VTT_TIME = re.compile(r"(?:\d{2,}:)?\d\d:\d\d\.\d{3}[ \t]+-->[ \t]+(?:\d{2,}:)?\d\d:\d\d\.\d{3}([ \t].*)?")
_NAMED = r"<(?P<close>/?)(?P<name>[A-Za-z]\w*)(?:[.\s][^<>]*?)?(?P<alone>/?)>"
_SRT_MARKUP = re.compile(rf"{_NAMED}|\{{\\[^{{}}]*\}}")
_VTT_MARKUP = re.compile(rf"{_NAMED}|<[^<>]*>")
_SPEAKER = re.compile(r"\s*(?:(?:<[^<>]*>|\{\\[^{}]*\})\s*)*[-–—‐]\s*(?=\S)")
"""What a line begins with where another person begins to speak, also after markup."""


def translate_srt(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the cues of SubRip subtitles; the lines of a cue are one text, and as many lines afterwards.

    Raises:
        CorpusError: it isn't SubRip, or not UTF-8.
    """
    text = Text.read(source)
    lines = list(lines_of(text.text))
    times = [at for at, line in enumerate(lines) if _is_time(text, line, _SRT_TIME)]
    before = lines[: times[0]] if times else lines
    for line in before:
        written = text.text[slice(*line)].strip()
        if written and (not written.isdigit() or not times):
            raise CorpusError(f"{text.name}:{text.line(line[0])}: not SubRip: {written[:60]!r} stands before any times")
    spans: list[Span] = []
    for begin, end in itertools.pairwise([*times, len(lines)]):
        inside = lines[begin + 1 : end]
        if end < len(lines) and inside and text.text[slice(*inside[-1])].strip().isdigit():
            inside.pop()  # the number of the next cue
        for paragraph in _paragraphs(text, inside):
            spans += _spans(text, paragraph, _SRT_MARKUP, is_escaped=False)
    rewrite(translator, direction, text, spans, stream)


def translate_vtt(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Translate the cues of WebVTT subtitles; notes, styles, regions, names and settings of cues stay.

    Raises:
        CorpusError: it isn't WebVTT, or not UTF-8.
    """
    text = Text.read(source)
    if not re.match(r"WEBVTT(?=[ \t\r\n]|\Z)", text.text):
        raise CorpusError(f"{text.name}:1: not WebVTT: it begins with {text.text[:20]!r}, not with 'WEBVTT'")
    spans: list[Span] = []
    head, *blocks = _paragraphs(text, list(lines_of(text.text)))
    cues = [at for at, line in enumerate(head) if at and _is_time(text, line, _VTT_TIME)]
    spans += _cues(text, head, cues)  # right below the first lines, without a blank one between
    for block in blocks:
        if re.match(r"(?:NOTE|STYLE|REGION)(?=\s|\Z)", text.text[slice(*block[0])]):
            continue
        time = next((at for at, line in enumerate(block[:2]) if _is_time(text, line, _VTT_TIME)), None)
        if time is None:
            written = text.text[slice(*block[0])]
            raise CorpusError(f"{text.name}:{text.line(block[0][0])}: not WebVTT: {written[:60]!r} has no times")
        later = (at for at, line in enumerate(block) if at > time and _VTT_TIME.fullmatch(text.text, *line))
        spans += _cues(text, block, [time, *later])
    rewrite(translator, direction, text, spans, stream)


def _cues(text: Text, lines: list[Line], times: list[int]) -> Iterator[Span]:
    """The spans of WebVTT's cues, whose times are in some of the lines; each ends where the next begins."""
    for begin, end in itertools.pairwise([*times, len(lines)]):
        yield from _spans(text, lines[begin + 1 : end], _VTT_MARKUP, is_escaped=True)


def _is_time(text: Text, line: Line, pattern: re.Pattern[str]) -> bool:
    written = text.text[slice(*line)]
    if pattern.fullmatch(written):
        return True
    if "-->" in written:
        raise CorpusError(f"{text.name}:{text.line(line[0])}: not the times of a cue: {written[:60]!r}")
    return False


def _paragraphs(text: Text, lines: list[Line]) -> Iterator[list[Line]]:
    """Runs of lines that aren't blank."""
    found: list[Line] = []
    for line in lines:
        if text.text[slice(*line)].strip():
            found.append(line)
        elif found:
            yield found
            found = []
    if found:
        yield found


def _spans(text: Text, lines: list[Line], markup: re.Pattern[str], *, is_escaped: bool) -> Iterator[Span]:
    """A span for each person who speaks in a cue."""
    turns: list[list[Line]] = []
    for line in lines:
        if not turns or _SPEAKER.match(text.text, *line):
            turns.append([])
        turns[-1].append(line)
    for turn in turns:
        dash = _SPEAKER.match(text.text, *turn[0])
        start, end = (dash.end() if dash else turn[0][0]), turn[-1][1]
        yield _span(text, start, end, turn, markup, is_escaped)


def _span(text: Text, start: int, end: int, turn: list[Line], markup: re.Pattern[str], is_escaped: bool) -> Span:
    line_end = text.text[turn[0][1] : turn[1][0]] if len(turn) > 1 else "\n"
    inline: list[str | Tag] = []
    at = start
    for match in markup.finditer(text.text, start, end):
        inline += [_plain(text.text[at : match.start()], is_escaped)] if match.start() > at else []
        inline.append(tag_of(match, match[0]) if match["name"] else Tag(match[0], "single"))
        at = match.end()
    inline += [_plain(text.text[at:end], is_escaped)] if at < end or not inline else []

    def write(content: str) -> str:
        return line_end.join(wrapped(content, len(turn), inline))

    return Span(start, end, framed(inline, escape if is_escaped else str), write)


def _plain(written: str, is_escaped: bool) -> str:
    joined = re.sub(r"\s*[\r\n]+\s*", " ", written)
    return unescape(joined) if is_escaped else joined


SRT = Format(translate_srt, own_marks=True)
VTT = Format(translate_vtt, own_marks=True)
