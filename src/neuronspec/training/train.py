"""`train`: one training from start to end, of the baseline or of an arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.stream import Store
from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.models.precision import tensor_cores
from neuronspec.training.loss import InDirection, any_direction
from neuronspec.training.progress_state import TrainingResult
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.step import compiling
from neuronspec.training.tracking import Tracking
from neuronspec.training.trained import Part
from neuronspec.training.trainer import Job, Trainer


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
    parts: Mapping[str, Part] | None = None,
    replayed: Sequence[Direction] = (),
) -> TrainingResult:
    """Train `model` and write the weights with the best validation loss into `folder`, a plain Hugging Face checkpoint.

    If `folder` holds checkpoints of the same training, it resumes from the newest whole one, and ends with the same
    weights, to the bit on a CPU, as if it had never been stopped. The order of the data depends on `seed`,
    `directions` and the batch settings alone, so arms that share them see the same batches.

    In several joined processes (`neuronspec.core.processes.join`) all call this alike; the first one reports and
    writes.

    Args:
        model: what to start from, on the device to train on; holds the best weights afterwards.
        tokenizer: of the model; exported with it.
        store: gives training pairs (`train`) and validation pairs (`valid`).
        settings: how to train, and for how long.
        directions: all directions to train on; those with validation pairs decide which weights are best.
        seed: of data order and dropout.
        folder: for checkpoints, `log.jsonl` and the exported model.
        in_direction: the context of a direction's forward and backward pass, such as masks.
        progress: shows the share of the budget that is used, the loss and the speed.
        tracking: where it is logged beside `log.jsonl`.
        dense: where modules were added to the model: by the name of each tensor of the plain checkpoint, its name in
            the model as it is now. Only these are exported; what was added is the caller's to save.
        replayed: other directions, of whose text `settings.replay` is drawn; they don't decide which weights are best.
        parts: by name, the parts of the parameters of which not all rows or columns are trained.

    Returns:
        What came of it: updates, validation losses, tokens, seconds.

    Raises:
        TrainingError: no data, other settings than those of the checkpoints, a full disk, or no finite gradient in
            many updates.
        Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    job = Job(
        model=model,
        tokenizer=tokenizer,
        store=store,
        settings=settings,
        directions=directions,
        seed=seed,
        folder=folder,
        in_direction=in_direction,
        dense=dense,
        parts=parts,
        replayed=replayed,
        processes=processes(),
        progress=progress,
        tracking=tracking,
    )
    with tensor_cores(model.device), compiling(settings):
        return Trainer(job).run()
