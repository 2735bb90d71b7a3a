"""Which token positions of a batch count: those that aren't padding, and in decoder-only models those chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, get_args

from neuronspec.core.errors import MaskError, nearest
from neuronspec.neurons.settings import Positions

if TYPE_CHECKING:
    import torch

SIDES = ("encoder", "decoder", "layers")
IGNORED_LABEL = -100


def side_of(site: str) -> str:
    """`encoder`, `decoder`, or `layers` (of a decoder-only model): the side that a site's name begins with.

    Raises:
        MaskError: another name.
    """
    side = site.split(".")[0]
    if side not in SIDES:
        raise MaskError(f"FFN site {site!r}: expected a name such as 'encoder.0', 'decoder.0' or 'layers.0'")
    return side


def check_positions(positions: str, sides: Iterable[str]) -> None:
    """Refuse a mistyped choice of positions, and any but "both" for a model with an encoder.

    Raises:
        MaskError: see above.
    """
    if positions not in get_args(Positions):
        raise MaskError(f"positions={positions!r}: {nearest(positions, get_args(Positions))}")
    if positions != "both" and set(sides) != {"layers"}:
        raise MaskError(
            f"positions={positions!r} is for decoder-only models; in an encoder-decoder model the encoder reads the "
            "source and the decoder the target, so leave it at 'both'"
        )


def counted_positions(
    inputs: Mapping[str, torch.Tensor],
    sides: Iterable[str],
    pad_id: int | None,
    positions: Positions = "both",
    count_padding: bool = False,
) -> dict[str, torch.Tensor]:
    """Find the positions that count.

    Encoder and decoder-only: `attention_mask`, or `input_ids` other than padding. Decoder:
    `decoder_attention_mask`; else everything up to the last label of a row that is neither -100 nor padding
    (a -100 further in front is a real token without loss); else the same of `decoder_input_ids`.

    Args:
        inputs: of a batch.
        sides: `encoder`, `decoder`, `layers`: those of the model.
        pad_id: the id of padding, if it is known.
        positions: of decoder-only models.
        count_padding: count padding, too, as the paper's scripts do.

    Returns:
        By side, a BoolTensor `[batch, time]`.

    Raises:
        MaskError: the inputs don't say where padding is, or which positions are prompt and continuation.
    """
    finders = {
        "encoder": lambda: source_positions(inputs, pad_id),
        "decoder": lambda: _target_positions(inputs, pad_id),
        "layers": lambda: _chosen_positions(inputs, pad_id, positions),
    }
    found = {side: finders[side]() for side in sides}
    return {side: mask.new_ones(mask.shape) for side, mask in found.items()} if count_padding else found


def source_positions(inputs: Mapping[str, torch.Tensor], pad_id: int | None) -> torch.Tensor:
    """The positions of `input_ids` that aren't padding: BoolTensor `[batch, time]`."""
    mask = inputs.get("attention_mask")
    if mask is not None:
        return _checked(mask != 0, "attention_mask")
    if "input_ids" not in inputs or pad_id is None:
        raise MaskError("the batch has no attention_mask and padding can't be told from its inputs: add attention_mask")
    return inputs["input_ids"] != pad_id


def _target_positions(inputs: Mapping[str, torch.Tensor], pad_id: int | None) -> torch.Tensor:
    mask = inputs.get("decoder_attention_mask")
    if mask is not None:
        return _checked(mask != 0, "decoder_attention_mask")
    for name in ("labels", "decoder_input_ids"):
        tokens = inputs.get(name)
        if tokens is not None:
            real = tokens != IGNORED_LABEL
            return _up_to_last(real if pad_id is None else real & (tokens != pad_id))
    raise MaskError(
        f"the batch has no decoder_input_ids and no labels (it has {', '.join(sorted(inputs))}): "
        "neurons are recorded under teacher forcing, so add the target"
    )


def _chosen_positions(inputs: Mapping[str, torch.Tensor], pad_id: int | None, positions: Positions) -> torch.Tensor:
    real = source_positions(inputs, pad_id)
    if positions == "both":
        return real
    labels = inputs.get("labels")
    if labels is None:
        raise MaskError(
            f"positions={positions!r} needs labels in the batch, aligned with input_ids and -100 on the prompt; "
            "add them, or record positions='both'"
        )
    continuation = labels != IGNORED_LABEL
    return real & (continuation if positions == "continuation" else ~continuation)


def _up_to_last(real: torch.Tensor) -> torch.Tensor:
    """True up to and including the last True of each row."""
    return real.flip(1).cummax(1).values.flip(1)


def _checked(mask: torch.Tensor, name: str) -> torch.Tensor:
    if mask.dim() != 2:
        raise MaskError(f"{name} has shape {list(mask.shape)}: expected [batch, time] to tell where padding is")
    return mask
