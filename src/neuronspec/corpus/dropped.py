"""A sample of what each rule dropped, `DATA/dropped.json`, which `neuronspec inspect RUN --dropped` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neuronspec.core.json_files import read_json

DROPPED = "dropped.json"

MOST = 10
"""Texts that are kept of each rule and language, or language pair."""

Example: TypeAlias = dict[str, str]
"""A text, or two, by language, and where it was read, as `origin`."""


class DroppedSample:
    """Keeps, of what each rule dropped, a few texts: those with the smallest hashes, whatever the order they come in.

    Attributes:
        found: by rule and by language or pair of languages (`de-en`), examples by hash.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], dict[int, Example]] = {}

    def add(self, rule: str, name: str, examples: Iterable[tuple[int, Example]]) -> None:
        """Add what a rule dropped of a language or pair, with its hashes."""
        kept = self.found.setdefault((rule, name), {})
        kept.update(examples)
        for number in sorted(kept)[MOST:]:
            del kept[number]

    def update(self, other: DroppedSample) -> None:
        """Add the texts of another sample."""
        for (rule, name), examples in other.found.items():
            self.add(rule, name, examples.items())

    def report(self) -> dict[str, dict[str, list[Example]]]:
        """Examples by rule and by language or pair; as plain JSON."""
        report: dict[str, dict[str, list[Example]]] = {}
        for (rule, name), examples in sorted(self.found.items()):
            report.setdefault(rule, {})[name] = [examples[number] for number in sorted(examples)]
        return report


def smallest(hashes: npt.NDArray[np.uint64], dropped: npt.NDArray[np.bool_]) -> list[int]:
    """The places of the dropped texts with the smallest hashes."""
    places = np.flatnonzero(dropped)
    if len(places) > MOST:
        places = places[np.argpartition(hashes[places], MOST)[:MOST]]
    return [int(place) for place in places]


def read_dropped(path: Path) -> Mapping[str, Mapping[str, list[Example]]]:
    """Read `dropped.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    found: Any = read_json(path, dict[str, dict[str, list[Example]]], f"remove {path.parent} to prepare the text again")
    return found
