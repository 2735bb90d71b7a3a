"""Arm `specialized`: each direction restricted to the neurons that it was found to use.

With `specialization.rerecord_every` the masks are found anew every so many updates, from the weights as they are then.
The training is cut into segments. In its folder, `masks-UPDATE.safetensors` are the masks of the segment that begins
after that update, and `rerecording.json` says how long finding them took. A resumed run uses the masks that
are there, so it ends with the weights of one that was never stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from neuronspec.arms.arm import Cost, Given, continue_training, cost_of
from neuronspec.arms.continued import start_continued
from neuronspec.arms.masked import Masked, put_on
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.processes import processes
from neuronspec.core.run_folder import CHECKPOINTS
from neuronspec.training.settings import budget

if TYPE_CHECKING:
    from neuronspec.neurons.masks import NeuronMasks


class Specialized(Masked):
    """Neuron specialization (Tan et al., 2024, arXiv 2404.11201).

    With `specialization.rerecord_every` the neurons are found anew in between, which the paper doesn't do; see
    `train_in_segments`.
    """

    def masks(self, given: Given) -> NeuronMasks:
        """The masks that were selected on the baseline, or that the arm's own settings select there."""
        return given.selected()

    def train(self, given: Given) -> Cost:
        """Train the baseline on with masks, found anew in between if the recipe says so; see `Arm.train`."""
        every, updates = given.recipe.specialization.rerecord_every, given.recipe.continuation.updates
        if every is None or updates is None:
            return super().train(given)
        return train_in_segments(given, every, updates, lambda: self.masks(given))


SECONDS = "rerecording.json"


def train_in_segments(given: Given, every: int, updates: int, first: Callable[[], NeuronMasks]) -> Cost:
    """Train the baseline for `updates` updates with new masks after each `every` of them.

    They are recorded on the newest weights, which training continues from, not on the best so far, computed densely.
    The exported weights are the best of all segments; the masks beside them are those of their segment (with
    `average_checkpoints`, those of the last one).

    Args:
        given: see `Given`.
        every: updates of a segment.
        updates: of the whole training.
        first: gives the masks of the first segment.
    """
    from neuronspec.specialization.apply import unspecialize
    from neuronspec.specialization.methods import save_masks

    root = given.folder / CHECKPOINTS
    begin = _segment_of(_newest(root), every)
    while True:
        masks = _masks_of(given, begin, first)
        (model, parts), end = start_continued(given), min(begin + every, updates)
        in_direction, budgeted = put_on(model, masks, given), budget(given.recipe.continuation, end)
        result = continue_training(given, model, in_direction, settings=budgeted, parts=parts)
        if result.updates < end or end == updates:  # patience may end it before
            break
        begin = end
    averaged = given.recipe.continuation.average_checkpoints is not None
    held = _segment_of(result.updates if averaged else result.best_update, every)
    if held != begin:
        unspecialize(model)
        put_on(model, _masks_of(given, held, first), given)
    if processes().is_main:
        save_masks(model, given.folder)
    return cost_of(given, model, prepare_seconds=sum(_seconds(given).values()), parts=parts)


def masks_file(folder: Path, update: int) -> Path:
    """The masks of the segment that begins after `update`."""
    return folder / f"masks-{update}.safetensors"


def _segment_of(update: int, every: int) -> int:
    """The update after which the segment that holds `update` begins; the last update of a segment belongs to it."""
    return max(0, update - 1) // every * every


def _newest(root: Path) -> int:
    """The update of the newest checkpoint that can be read, which training will continue from; 0 without any."""
    from neuronspec.training import checkpoint

    return next((update for update in reversed(checkpoint.updates_saved(root)) if checkpoint.is_whole(root, update)), 0)


def _masks_of(given: Given, begin: int, first: Callable[[], NeuronMasks]) -> NeuronMasks:
    """The masks of a segment: those that are there, or found now on the weights after update `begin`."""
    from neuronspec.neurons.masks import NeuronMasks

    path = masks_file(given.folder, begin)
    if not processes().gather(path.exists())[0]:
        started = time.monotonic()
        masks = first() if begin == 0 else _recorded(given, begin)
        seconds = time.monotonic() - started
        if processes().is_main:
            if begin:
                write_json(given.folder / SECONDS, _seconds(given) | {str(begin): seconds})
            masks.save(path)
        processes().wait()
    return NeuronMasks.load(path)


def _recorded(given: Given, update: int) -> NeuronMasks:
    """The masks that the recipe selects for the dense model with the weights of a checkpoint."""
    from neuronspec.neurons.recording import record_activations, recording_batches
    from neuronspec.neurons.selection import select_masks
    from neuronspec.training import checkpoint

    model, _ = start_continued(given)
    checkpoint.restore_model(model, given.folder / CHECKPOINTS, update)
    joined = processes()
    recipe = given.recipe
    batches = recording_batches(given.store, given.directions, recipe.recording, given.progress)
    activations = record_activations(
        model,
        islice(batches, joined.rank, None, joined.size),
        positions=recipe.recording.positions,
        count_padding=recipe.recording.count_padding,
        precision=recipe.recording.precision,
    )
    return select_masks(activations, recipe.selection, recipe.corpus, lambda: model)


def _seconds(given: Given) -> dict[str, float]:
    """By update, how long recording and selecting took."""
    path = given.folder / SECONDS
    return read_json(path, dict[str, float], f"remove {given.folder} to train the arm again") if path.exists() else {}
