"""Where things are in a run folder; nothing else spells these paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in each folder that is trained in."""

CHECKPOINT_RECORD = "trainer.json"
"""What a checkpoint says about itself, in its folder."""

TRAINING_LOG = "log.jsonl"
"""The log in each folder that is trained in."""

COST = "cost.json"
"""What an arm took, in its folder."""


def default_run(name: str) -> Path:
    """The folder of a run that none was named for, by the name of its recipe."""
    return Path("runs") / name


def default_sweep(name: str) -> Path:
    """The folder of a sweep that none was named for, by its name."""
    return Path("sweeps") / name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of a run.

    A folder that `analyse` made of a model without a run has some of them too: activations, masks, analysis, report.

    Args:
        folder: the run folder; with `Path()` all paths are relative to it.

    Examples:
        >>> RunFolder(Path("runs/demo")).arm("dense").as_posix()
        'runs/demo/arms/dense'
    """

    folder: Path

    @property
    def exists(self) -> bool:
        """Whether the folder is a run: whether it has a recipe."""
        return self.recipe.is_file()

    @property
    def recipe(self) -> Path:
        """The recipe as resolved."""
        return self.folder / "recipe.yaml"

    @property
    def stages(self) -> Path:
        """Fingerprint, state and time of every task that was started."""
        return self.folder / "stages.json"

    @property
    def lock(self) -> Path:
        """Locked while a process works in the folder."""
        return self.folder / ".lock"

    @property
    def log(self) -> Path:
        """What happened when."""
        return self.folder / "run.log"

    @property
    def superseded(self) -> Path:
        """The last outputs that were made by other settings."""
        return self.folder / "superseded"

    @property
    def data(self) -> Path:
        """Tokenizer, token store and corpus report."""
        return self.folder / "data"

    @property
    def parts(self) -> Path:
        """What jobs have read of the text, until it is prepared."""
        return self.folder / "parts"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the text."""
        return self.data / "tokenizer"

    @property
    def base(self) -> Path:
        """The baseline."""
        return self.folder / "base"

    @property
    def arms(self) -> Path:
        """The folders of all arms."""
        return self.folder / "arms"

    def arm(self, name: str) -> Path:
        """The folder of an arm; `base` is one of them."""
        return self.base if name == "base" else self.arms / name

    def training_log(self, arm: str) -> Path:
        """The log of an arm's training; `base` is one of them."""
        return self.arm(arm) / TRAINING_LOG

    @property
    def tracking(self) -> Path:
        """The files of TensorBoard, Weights & Biases and MLflow."""
        return self.folder / "tracking"

    @property
    def activations(self) -> Path:
        """The activations of the baseline."""
        return self.folder / "activations.safetensors"

    @property
    def masks(self) -> Path:
        """The masks selected from them."""
        return self.folder / "masks.safetensors"

    @property
    def evaluations(self) -> Path:
        """The folders of translations of all arms."""
        return self.folder / "evaluation"

    def evaluation(self, arm: str) -> Path:
        """The translations of an arm; `base` and `copy` are some of them."""
        return self.evaluations / arm

    @property
    def results(self) -> Path:
        """The scores."""
        return self.folder / "results.json"

    @property
    def frontier(self) -> Path:
        """Of a sweep: the picture of gain against forgetting."""
        return self.folder / "frontier.svg"

    @property
    def analysis(self) -> Path:
        """What the neurons do."""
        return self.folder / "analysis.json"

    @property
    def report(self) -> Path:
        """The folder of the report."""
        return self.folder / "report"

    @property
    def page(self) -> Path:
        """The report itself."""
        return self.report / "index.html"
