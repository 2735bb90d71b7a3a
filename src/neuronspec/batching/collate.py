"""From token ids of sentence pairs to a batch."""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch, MixedBatch
from neuronspec.models.frames import Sides
from neuronspec.models.text_format import TextFormat


def collate(direction: Direction, sides: Sides, text_format: TextFormat) -> Batch:
    """Sentence pairs of one direction as a batch.

    Args:
        direction: of all pairs.
        sides: sources and targets as the token store has them.
        text_format: how the model reads them.
    """
    return Batch(direction, text_format.pieces([direction] * len(sides[0]), sides))


def collate_mixed(directions: Sequence[Direction], sides: Sides, text_format: TextFormat) -> MixedBatch:
    """Sentence pairs, row `i` of `directions[i]`, as a batch that mixes directions; rows as in `collate`."""
    return MixedBatch(directions[0], text_format.pieces(directions, sides), tuple(directions))
