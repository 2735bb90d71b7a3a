"""Sample translations with their differences marked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher

from neuronspec.evaluation.samples import Sample

# A word with its marks, a space, or one character of a script that is written without spaces.
_TOKENS = re.compile(r"\s+|[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\s\u0e00-\u0eff"
                     r"\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+")  # fmt: skip


@dataclass(frozen=True, slots=True)
class MarkedLine:
    """One arm's translation.

    Args:
        arm: its name.
        parts: stretches of text, and whether they differ from the reference.
        same_as: an arm further up that has the same text; empty if there is none.
    """

    arm: str
    parts: list[tuple[str, bool]]
    same_as: str


@dataclass(frozen=True, slots=True)
class MarkedSample:
    """A sample with every arm's translation marked."""

    source: str
    reference: str
    lines: list[MarkedLine]


def marked(sample: Sample) -> MarkedSample:
    """Mark in every translation the words that the reference doesn't have in that place."""
    lines: list[MarkedLine] = []
    seen: dict[str, str] = {}
    for arm, text in sample.translations.items():
        lines.append(MarkedLine(arm, differences(text, sample.reference), seen.get(text, "")))
        seen.setdefault(text, arm)
    return MarkedSample(sample.source, sample.reference, lines)


def differences(text: str, reference: str) -> list[tuple[str, bool]]:
    """`text` cut into stretches that are in the reference in that order (False), and others (True)."""
    mine, theirs = _TOKENS.findall(text), _TOKENS.findall(reference)
    matcher = SequenceMatcher(a=theirs, b=mine, autojunk=False)
    differs = [tag != "equal" for tag, _, _, start, end in matcher.get_opcodes() for _ in mine[start:end]]
    for place, token in enumerate(mine):
        if token.isspace():  # marked only between two words that are
            differs[place] = 0 < place < len(mine) - 1 and differs[place - 1] and differs[place + 1]
    return _joined(zip(mine, differs, strict=True))


def _joined(stretches: Iterable[tuple[str, bool]]) -> list[tuple[str, bool]]:
    joined: list[tuple[str, bool]] = []
    for token, differs in stretches:
        if joined and joined[-1][1] == differs:
            joined[-1] = (joined[-1][0] + token, differs)
        else:
            joined.append((token, differs))
    return joined
