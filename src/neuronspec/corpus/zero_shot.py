"""Directions without training text: which two trained ones compose one, and what is wrong with those a recipe names."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError
from neuronspec.corpus.settings import CorpusSettings, not_among


def composable(corpus: CorpusSettings) -> list[Direction]:
    """The directions that aren't trained, and that two trained ones compose, sorted."""
    trained = set(corpus.all_directions)
    found = {
        Direction(into.source, out.target)
        for into in trained
        for out in trained
        if into.target == out.source and into.source != out.target
    }
    return sorted(found - trained)


def zero_shot_problems(corpus: CorpusSettings, zero_shot: list[str]) -> Iterator[str]:
    """What is wrong with the zero-shot directions of a recipe."""
    trained = set(corpus.all_directions)
    for text in zero_shot:
        try:
            direction = Direction.parse(text)
        except DirectionError as error:
            yield str(error)
            continue
        missing = [code for code in (direction.source, direction.target) if code not in corpus.all_languages]
        pivots = {d.target for d in trained if d.source == direction.source} & {
            d.source for d in trained if d.target == direction.target
        }
        if missing:
            yield f"{text}: {not_among(missing[0], corpus.all_languages)}"
        elif direction in trained or zero_shot.count(text) > 1:
            yield f"{text} is {'trained' if direction in trained else 'named twice'}; leave it out"
        elif not pivots:
            middle = corpus.pivot
            yield f"{text} needs trained directions such as {direction.source}-{middle} and {middle}-{direction.target}"
