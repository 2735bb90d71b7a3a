"""Translations over as many lines as their sources, where those were wrapped."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable

from neuronspec.deploy.documents.markup import Inline, Tag

# Between two characters of scripts that are written without spaces, but not before a mark.
_UNSPACED = "\u0e01-\u0e30\u0e40-\u0e46\u1000-\u102a\u1780-\u17b3\u3041-\u3096\u30a1-\u30fa\u3400-\u9fff"
_BREAK = re.compile(rf" +|(?<=[{_UNSPACED}、。，])(?=[{_UNSPACED}])")

_AHEAD = 200
"""Characters by which it is told whether a line may begin with them."""


def wrapped(
    text: str, lines: int, inline: Inline, fits: Callable[[str], bool] = bool, *, is_source: bool = False
) -> list[str]:
    """A text in up to so many lines of about equal length.

    Args:
        text: in one line, with its tags.
        lines: how many there may be; there are fewer where there is no place to break.
        inline: holds the tags, which aren't shown and aren't broken.
        fits: whether a line may begin with what follows.
        is_source: whether these are the lines of a source: they end at spaces only, and tags have a length.
    """
    tags = re.compile("|".join(re.escape(piece.written) for piece in inline if isinstance(piece, Tag)) or r"(?!)")
    solid = {place for match in tags.finditer(text) for place in range(match.start(), match.end())}
    breaks = [
        match.span()
        for match in _BREAK.finditer(text)
        if match.start() not in solid and (match[0] or not is_source) and fits(text[match.end() : match.end() + _AHEAD])
    ]
    lengths = [0]
    for place in range(len(text)):
        lengths.append(lengths[-1] + (is_source or place not in solid))
    chosen: list[tuple[int, int]] = []
    after = [lengths[start] for start, _ in breaks]
    low = 0
    for number in range(1, lines):
        if low == len(breaks):
            break
        wanted = lengths[-1] * number / lines
        near = bisect_left(after, wanted, low)
        best = min(
            (place for place in (near - 1, near) if low <= place < len(breaks)), key=lambda at: abs(after[at] - wanted)
        )
        chosen.append(breaks[best])
        low = best + 1
    edges = [0, *(place for each in chosen for place in each), len(text)]
    return [text[edges[at] : edges[at + 1]] for at in range(0, len(edges), 2)]
