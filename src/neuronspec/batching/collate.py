"""From token ids of sentence pairs to a batch."""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.direction import Direction
from neuronspec.models.batch import Batch, MixedBatch, Ready
from neuronspec.models.frames import IGNORED, Inputs, Sides, shifted
from neuronspec.models.packed import Packing, Side
from neuronspec.models.text_format import TextFormat


def collate(direction: Direction, sides: Sides, text_format: TextFormat) -> Batch:
    """Sentence pairs of one direction as a batch.

    Args:
        direction: of all pairs.
        sides: sources and targets as the token store has them.
        text_format: how the model reads them.
    """
    inputs = text_format.pieces([direction] * len(sides[0]), sides)
    return Batch(direction, inputs, ready(inputs, text_format.is_causal))


def collate_mixed(directions: Sequence[Direction], sides: Sides, text_format: TextFormat) -> MixedBatch:
    """Sentence pairs, row `i` of `directions[i]`, as a batch that mixes directions; rows as in `collate`."""
    inputs = text_format.pieces(directions, sides)
    return MixedBatch(directions[0], inputs, ready(inputs, text_format.is_causal), tuple(directions))


def ready(inputs: Inputs, is_causal: bool) -> Ready:
    """What a loss needs to know of inputs that are on the CPU.

    Args:
        inputs: with `labels` and `attention_mask`.
        is_causal: whether a decoder-only model reads them.
    """
    labels = shifted(inputs["labels"]) if is_causal else inputs["labels"]
    positions = (labels != IGNORED).flatten().nonzero().squeeze(1)
    packing = None
    if not is_causal:
        packing = Packing(Side.of(inputs["attention_mask"]), Side.of(inputs["decoder_attention_mask"]))
    padded = not bool(inputs["attention_mask"].all())
    return Ready(positions, labels.flatten()[positions], padded, packing)
