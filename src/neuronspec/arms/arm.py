"""What every arm is: a way to continue from the baseline, at a cost that is recorded.

An arm is trained in its folder, RUN/arms/NAME, and read from there. `arms.registry` lists the arms by name. What an
arm declares about itself is read to plan a run, so the modules of arms import torch and what needs it in functions.
"""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from neuronspec.arms.registry import ARMS
from neuronspec.arms.settings import OWN
from neuronspec.core.direction import Direction
from neuronspec.core.errors import Mistakes
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import COST, TRAINING_LOG
from neuronspec.recipe import Recipe
from neuronspec.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from neuronspec.corpus.store import TokenStore
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.training.loss import InDirection
    from neuronspec.training.progress_state import TrainingResult
    from neuronspec.training.trained import Part

Method = Literal["auto", "compact", "rows"]


@dataclass(frozen=True, slots=True)
class Given:
    """What an arm is made from.

    Args:
        recipe: of the run; `declared` restricts it to what the arm declares.
        folder: of the arm.
        base: the baseline's checkpoint folder.
        activations: recorded on the baseline.
        masks: selected from them; None for an arm that selects its own.
        store: the text.
        progress: shows how far the work is.
    """

    recipe: Recipe
    folder: Path
    base: Path
    activations: Path
    masks: Path | None
    store: TokenStore
    progress: Progress = SILENT

    @property
    def seed(self) -> int:
        """Of what is random in the arm: data order, dropout, random masks, new weights."""
        own = self.recipe.continuation.seed
        return self.recipe.seed if own is None else own

    def selected(self) -> NeuronMasks:
        """The masks of all trained directions: those of the stage `select`, or the arm's own.

        Raises:
            MaskError: the activations don't fit the arm's criterion or granularity.
        """
        from neuronspec.neurons.activations import Activations
        from neuronspec.neurons.masks import NeuronMasks
        from neuronspec.neurons.selection import select_masks

        if self.masks is not None:
            return NeuronMasks.load(self.masks)
        acts, recipe = Activations.load(self.activations), self.recipe
        return select_masks(acts, recipe.selection, recipe.corpus, lambda: start(self))

    @property
    def directions(self) -> list[Direction]:
        """All directions with training text, sorted; there are masks, adapters and the like for each."""
        return self.recipe.corpus.all_directions

    @property
    def adapted(self) -> list[Direction]:
        """Those of them that the arm trains on, sorted."""
        return self.recipe.adapted_directions

    @property
    def replayed(self) -> list[Direction]:
        """The other directions, where some of their text is drawn, too."""
        if not self.recipe.continuation.replay:
            return []
        return [direction for direction in self.directions if direction not in self.adapted]


@dataclass(frozen=True, slots=True)
class Cost:
    """What an arm took; `cost.json` in its folder.

    Args:
        trained_parameters: that got gradients.
        extra_parameters: beside those of the dense model, over all directions together.
        prepare_seconds: of training before the training that is compared (LaSS fine-tunes first). Recording and
            selecting are stages of their own, timed in `stages.json`.
        update_seconds: median time of one update.
        peak_memory: bytes while the arm was made: of the process (CPU) or of torch on the device (GPU).
    """

    trained_parameters: int
    extra_parameters: int
    prepare_seconds: float
    update_seconds: float | None
    peak_memory: int


class Arm(ABC):
    """One way to continue from the baseline.

    Attributes:
        needs: the tasks of the pipeline that it reads from.
        sections: of the recipe that change its outcome, or parts of sections (`baselines.lora`). It can read these,
            and what the tasks that it needs depend on; see `arms.declared`.
        composes: whether it can translate zero-shot directions.
        converts: whether the `ctranslate2` engine can compute it.
        extends: whether a larger budget continues from its checkpoints.
        mixes: whether it can compute batches whose rows are of several directions.
        selects: whether it selects neurons of its own instead of reading those of the stage `select`.
        files: in its folder, without which the checkpoint there would be another model.
    """

    needs: ClassVar[tuple[str, ...]] = ("train",)
    sections: ClassVar[tuple[str, ...]] = ("continuation",)
    composes: ClassVar[bool] = True
    converts: ClassVar[bool] = True
    mixes: ClassVar[bool] = True
    extends: ClassVar[bool] = True
    files: ClassVar[tuple[str, ...]] = ()
    selects: bool = False

    def needed(self, recipe: Recipe) -> tuple[str, ...]:
        """`needs`; for an arm that selects neurons of its own, the activations in place of the masks.

        Args:
            recipe: as the arm has it.
        """
        return tuple("record" if self.selects and need == "select" else need for need in self.needs)

    @property
    def read(self) -> tuple[str, ...]:
        """`sections`; for an arm that selects neurons of its own, also what they are selected by."""
        return (*self.sections, *(("selection", "corpus.families") if self.selects else ()))

    @abstractmethod
    def train(self, given: Given) -> Cost:
        """Train the arm in `given.folder`, or resume where it was stopped; joined processes all call this."""

    @abstractmethod
    def load(
        self, given: Given, zero_shot: Sequence[Direction] = (), method: Method = "auto"
    ) -> tuple[PreTrainedModel, InDirection]:
        """The trained model, and the context that a direction is computed in.

        Args:
            given: as for `train`.
            zero_shot: untrained directions that will be asked for too; only if the arm `composes`.
            method: how masked layers compute; see `specialize`.
        """

    def directions(self, recipe: Recipe) -> list[Direction]:
        """The directions of the test that the arm can translate."""
        return recipe.evaluated_directions if self.composes else recipe.corpus.all_directions

    def check(self, recipe: Recipe) -> None:
        """Whether the recipe's continuation suits the arm.

        Raises:
            Mistakes: it doesn't.
        """
        if not self.mixes and recipe.continuation.mix_directions:
            raise Mistakes(
                "continuation.mix_directions is true, but arms with parameters by direction (adapters, LoRA, LaSS) "
                "compute one direction per batch: set it to false, or leave those arms out"
            )


def arm_of(recipe: Recipe, name: str) -> tuple[Arm, Recipe]:
    """An arm of a recipe, and the recipe as this arm has it.

    Raises:
        RecipeError: the recipe has no such arm.
        Mistakes: a setting of its own means nothing for it.
    """
    entry = recipe.arm(name)
    arm, own = get_arm(entry.kind), recipe.for_arm(name)
    arm.selects = entry.selects
    if arm.selects and "select" not in arm.needs:
        keys = [key for key, place in OWN.items() if place.startswith("selection.") and getattr(entry, key) is not None]
        raise Mistakes(f"arms: {name}: the arm {entry.kind} selects no neurons; leave {', '.join(keys)} out")
    for key in entry.changes:
        if not any(key == known or key.startswith(f"{known}.") for known in arm.read):
            its = next(name for name, place in OWN.items() if place == key)
            raise Mistakes(f"arms: {name}: the arm {entry.kind} doesn't depend on {its}; leave it out")
    return arm, own


def get_arm(name: str) -> Arm:
    """The arm of a name.

    Raises:
        RecipeError: there is no such arm; the message has the nearest name.
    """
    return ARMS.get(name)()


def make(arm: Arm, given: Given) -> None:
    """Train an arm and record its cost.

    Args:
        arm: to train.
        given: what it is made from.
    """
    from neuronspec.models.load import default_device
    from neuronspec.training.memory import reset_peak_memory

    arm.check(given.recipe)
    reset_peak_memory(default_device())
    cost = arm.train(given)
    if processes().is_main:
        write_json(given.folder / COST, asdict(cost))


def read_cost(folder: Path) -> Cost:
    """What `make` wrote down in the folder of an arm.

    Raises:
        RunError: the file is missing or damaged.
    """
    path = folder / COST
    return read_json(path, Cost, f"remove {folder} to train the arm again")


def continue_training(
    given: Given,
    model: PreTrainedModel,
    in_direction: InDirection | None = None,
    *,
    settings: TrainingSettings | None = None,
    directions: Sequence[Direction] | None = None,
    folder: Path | None = None,
    dense: Mapping[str, str] | None = None,
    parts: Mapping[str, Part] | None = None,
) -> TrainingResult:
    """Train `model` as every arm is trained: the continuation's updates and data order, optimizer and schedule reset.

    Where less than half of the weights changed, they alone are kept, beside those of the baseline.

    Args:
        given: see `Given`.
        model: what to start from.
        in_direction: the context of a direction; none by default.
        settings: other than the continuation's.
        directions: other than those that arms train on.
        folder: other than the arm's.
        dense: by name in the exported checkpoint, the name in the model, where layers were added; see `train`.
        parts: of the parameters that are trained in part; see `train`.
    """
    from neuronspec.models.changed_weights import keep_changes
    from neuronspec.training.loss import any_direction
    from neuronspec.training.tracking import Tracking
    from neuronspec.training.train import train

    where, run = folder or given.folder, given.base.parent
    result = train(
        model,
        given.store.tokenizer,
        given.store,
        settings or given.recipe.continuation,
        directions=directions or given.adapted,
        seed=given.seed,
        folder=where,
        in_direction=in_direction or any_direction,
        progress=given.progress,
        tracking=Tracking(given.recipe.tracking, run / "tracking", where.relative_to(run / "arms").as_posix()),
        dense=dense,
        parts=parts,
        replayed=given.replayed if directions is None else (),
    )
    if processes().is_main:
        keep_changes(where, given.base)
    processes().wait()
    return result


def cost_of(
    given: Given,
    model: nn.Module,
    *,
    extra: int = 0,
    prepare_seconds: float = 0.0,
    folder: Path | None = None,
    parts: Mapping[str, Part] | None = None,
) -> Cost:
    """Measure the cost of an arm.

    Args:
        given: of the arm.
        model: that was trained.
        extra: parameters beside those of the dense model.
        prepare_seconds: of training before the training that is compared.
        folder: where it was trained, if not in the arm's folder.
        parts: of the parameters that were trained in part.
    """
    from neuronspec.training.log import read_log
    from neuronspec.training.memory import peak_memory
    from neuronspec.training.trained import trained_parameters

    lines = read_log((folder or given.folder) / TRAINING_LOG)
    times = [time for line in lines if (time := line.get("update_seconds")) is not None]
    return Cost(
        trained_parameters(model, parts),
        extra,
        prepare_seconds,
        statistics.median(times) if times else None,
        peak_memory(model),
    )


def start(given: Given) -> PreTrainedModel:
    """The baseline, in the type in which it was saved."""
    from neuronspec.models.load import load_model

    return load_model(given.base, dtype="auto")
