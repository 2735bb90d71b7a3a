"""A translator that puts a mark before each line, and knows which words belong together."""

from __future__ import annotations

import re

import numpy as np

from neuronspec.translation.alignment import Aligned, units
from neuronspec.translation.engine import Translations


class Marking:
    """Puts a mark before each line that has text; drops the placeholders of texts that say so."""

    n_best = 1

    def __call__(self, texts: list[str], direction: str) -> list[str]:
        marked = ["\n".join(f"¡{line}" if line.strip() else line for line in text.split("\n")) for text in texts]
        return [re.sub(r"%\(\w+\)s", "", text) if "careless" in text else text for text in marked]

    def translate(self, lines: list[str], direction: str, progress: object = None) -> Translations:
        """The same, with scores."""
        found = self(lines, direction)
        return Translations(found, nbest=[[(text, -1.0)] if text.strip() else [] for text in found])

    def align(self, texts: list[str], translations: list[str], direction: str) -> list[Aligned]:
        """The words belong together in their order; the mark belongs to none."""
        return [_in_order(*pair) for pair in zip(texts, translations, strict=True)]


def _in_order(text: str, translation: str) -> Aligned:
    source, target = units(text), units(translation)
    weights = np.eye(len(target), len(source), k=len(source) - len(target))
    return Aligned(source, target, weights)
