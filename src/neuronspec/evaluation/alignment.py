"""Which sentences the test sets of several directions have in common, told by the text that was evaluated.

Nothing stored says which row of a multi-parallel corpus a test sentence came from, and test sets may come from other
files than these. So two directions are taken to share a sentence where they have the same text in the same language: in
the language that most directions have (the pivot), or, for directions without it, in one that they share with those.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from neuronspec.core.direction import Direction
from neuronspec.evaluation.samples import read_lines
from neuronspec.models.text_cleaning import clean_text
from neuronspec.scoring.joint import Ids


def sentence_ids(folders: Sequence[Path], directions: Sequence[str]) -> dict[str, Ids]:
    """The sentences of each direction by number, from the evaluation folders of arms.

    Args:
        folders: `RUN/evaluation/ARM`; the first that has translated a direction is read.
        directions: those asked for; one that no arm has translated is left out.

    Raises:
        EvaluationError: a file is damaged.
    """
    texts: dict[str, tuple[list[str], ...]] = {}
    for name in directions:
        folder = next((folder for folder in folders if (folder / f"{name}.ref").exists()), None)
        if folder is not None:
            texts[name] = tuple(_cleaned(read_lines(folder / f"{name}.{part}")) for part in ("src", "ref"))
    return align(texts)


def _cleaned(lines: Sequence[str]) -> list[str]:
    """Lines as models read them: a sentence is cleaned where it is a source, and as it was read where a reference."""
    return [clean_text(line).text for line in lines]


def align(texts: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Ids]:
    """Number the sentences of test sets so that those which directions share have one number.

    Args:
        texts: by direction, sources and references.

    Returns:
        By direction, the number of each line.
    """
    sides = {name: _sides(name, *lines) for name, lines in texts.items()}
    languages = Counter(language for found in sides.values() for language in found)
    if not languages:
        return {}
    hub = min(languages, key=lambda language: (-languages[language], language))
    numbers: dict[tuple[str, str], int] = {}
    fresh, ids = count(), {}
    for name, found in sorted(sides.items(), key=lambda item: hub not in item[1]):  # those with the hub first
        own = []
        for line in zip(*found.values(), strict=True):
            keys = list(zip(found, line, strict=True))
            known = [numbers[key] for key in keys if key in numbers and (key[0] == hub or hub not in found)]
            number = known[0] if known else next(fresh)
            for key in keys:
                numbers.setdefault(key, number)
            own.append(number)
        ids[name] = np.array(own, dtype=np.int64)
    return ids


def _sides(name: str, sources: Sequence[str], references: Sequence[str]) -> dict[str, Sequence[str]]:
    direction = Direction.parse(name)
    return {direction.source: sources, direction.target: references}
