"""`train`: set up, train, clean up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.collate import Layout
from neuronspec.batching.in_order import eval_batches
from neuronspec.batching.stream import Store
from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.signals import StopSignals
from neuronspec.models.batch import Batch
from neuronspec.training.log import TrainingLog
from neuronspec.training.loss import InDirection, any_direction
from neuronspec.training.progress_state import TrainingResult
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.tracking import Trackers, Tracking
from neuronspec.training.trainer import Trainer


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    store: Store,
    settings: TrainingSettings,
    *,
    directions: Sequence[Direction],
    seed: int,
    folder: Path,
    in_direction: InDirection = any_direction,
    progress: Progress = SILENT,
    tracking: Tracking | None = None,
    dense: Mapping[str, str] | None = None,
) -> TrainingResult:
    """Train `model` and write the weights with the best validation loss into `folder`, a plain Hugging Face checkpoint.

    If `folder` holds checkpoints of the same training, it goes on from the newest whole one, and ends with the same
    weights, to the bit on a CPU, as if it had never been stopped. The order of the data depends on `seed`,
    `directions` and the batch settings alone, so arms that share them see the same batches.

    In several joined processes (`neuronspec.core.processes.join`) all call this alike; the first one reports and
    writes.

    Args:
        model: what to start from, on the device to train on; holds the best weights afterwards.
        store: gives training pairs (`train`) and validation pairs (`valid`).
        directions: all directions to train on; those with validation pairs decide which weights are best.
        in_direction: the context of a direction's forward and backward pass, such as masks.
        progress: shows the share of the budget that is used, the loss and the speed.
        tracking: where it is logged beside `log.jsonl`.
        dense: where modules were added to the model: by the name of each tensor of the plain checkpoint, its name in
            the model as it is now. Only these are exported; what was added is the caller's to save.

    Raises:
        TrainingError: no data, other settings than those of the checkpoints, a full disk, or no finite gradient in
            many updates.
        Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    joined = processes()
    layout = Layout.of(tokenizer, directions)
    valid = _validation_batches(store, directions, tokenizer, settings)
    trainer = Trainer(model, store, settings, sorted(directions), seed, folder, layout, in_direction, valid, joined)
    trainer.resume()
    with (
        torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []),
        Trackers(tracking if joined.is_main else None) as tracked,
        TrainingLog(folder / "log.jsonl" if joined.is_main else None, trainer.state.update, tracked.write) as log,
        StopSignals() as stop,
        (progress if joined.is_main else SILENT).task(folder.name, 1.0) as task,
    ):
        joined.wait()  # before anybody says that training goes on, all heed signals
        trainer.run(log, stop, task)
        return trainer.finish(tokenizer, dense)


def _validation_batches(
    store: Store, directions: Sequence[Direction], tokenizer: PreTrainedTokenizerBase, settings: TrainingSettings
) -> list[Batch]:
    available = set(store.directions("valid"))
    batches = [
        batch
        for direction in sorted(available.intersection(directions))
        for batch in eval_batches(
            store.pairs("valid", direction),
            direction,
            tokenizer,
            batch_tokens=settings.batch_tokens,
            limit=settings.validation_sentences,
        )
    ]
    if not batches:
        raise TrainingError(
            "there are no validation sentences for any direction, so the best weights can't be told: "
            "name validation files in the recipe, or raise corpus.valid_share"
        )
    return batches
