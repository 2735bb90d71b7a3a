"""What training logs, shown by TensorBoard, Weights & Biases and MLflow too, through Accelerate's trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.registry import Registry

TRACKERS = Registry[Any]("tracker", {})
"""The classes below, by the name that `tracking` gives."""


class Tracker:
    """A tool that shows curves. Subclasses name the package that they need and its extra, and start Accelerate's.

    Args:
        run: name of the run that is tracked.
        folder: where the tool's files go.
    """

    package: ClassVar[str]
    extra: ClassVar[str] = "tracking"

    def __init__(self, run: str, folder: Path) -> None:
        self._tracker = self.start(run, folder)
        self._tracker.start()

    def start(self, run: str, folder: Path) -> Any:
        """Accelerate's tracker of a run, not started."""
        raise NotImplementedError

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Show values by name, after update number `step`."""
        self._tracker.log(values, step=step)

    def finish(self) -> None:
        """Write what is left."""
        self._tracker.finish()


@TRACKERS.register("tensorboard")
class TensorBoard(Tracker):
    """Event files in `FOLDER/tensorboard/RUN`."""

    package = "tensorboard"

    def start(self, run: str, folder: Path) -> Any:
        """Accelerate's tracker of a run, not started."""
        from accelerate.tracking import TensorBoardTracker

        return TensorBoardTracker(run, logging_dir=folder / "tensorboard")


@TRACKERS.register("wandb")
class WeightsAndBiases(Tracker):
    """An offline run in `FOLDER/wandb`: nothing leaves the machine until `wandb sync` is called on it."""

    package = "wandb"

    def start(self, run: str, folder: Path) -> Any:
        """Accelerate's tracker of a run, not started."""
        from accelerate.tracking import WandBTracker

        return WandBTracker("neuronspec", name=run, dir=str(folder), mode="offline")


@TRACKERS.register("mlflow")
class MLflow(Tracker):
    """A run of the experiment `neuronspec` in the database `FOLDER/mlflow.db`; no server is asked for."""

    package = "mlflow"
    extra = "mlflow"  # its own: it brings dozens of packages

    def start(self, run: str, folder: Path) -> Any:
        """Accelerate's tracker of a run, not started."""
        import mlflow
        from accelerate.tracking import MLflowTracker

        mlflow.set_tracking_uri(f"sqlite:///{(folder / 'mlflow.db').resolve().as_posix()}")
        return MLflowTracker("neuronspec", logging_dir=(folder / "mlflow").resolve().as_uri(), run_name=run)


def check_trackers(names: Sequence[str]) -> None:
    """Check that the tools' packages are there, before the long work.

    Args:
        names: of `TRACKERS`.

    Raises:
        MissingExtraError: one isn't.
    """
    for name in names:
        tracker = TRACKERS.get(name)
        if importlib.util.find_spec(tracker.package) is None:
            raise MissingExtraError(tracker.package, tracker.extra, f"tracking: [{name}]")


@dataclass(frozen=True, slots=True)
class Tracking:
    """Which tools a training is logged to, and as what.

    Args:
        names: of `TRACKERS`.
        folder: where their files go, `RUN/tracking`.
        run: what they call this training: `base`, an arm's name, or a part of an arm such as `finetune/en-de`.
    """

    names: Sequence[str]
    folder: Path
    run: str


class Trackers:
    """Sends the lines of the training log to trackers. Use as a context manager.

    Args:
        tracking: which ones; None for none.

    Raises:
        MissingExtraError: a tool's package isn't installed.
    """

    def __init__(self, tracking: Tracking | None) -> None:
        self._trackers: list[Tracker] = []
        if tracking is None or not tracking.names:
            return
        check_trackers(tracking.names)
        tracking.folder.mkdir(parents=True, exist_ok=True)
        self._trackers = [TRACKERS.get(name)(tracking.run, tracking.folder) for name in tracking.names]

    def __enter__(self) -> Trackers:
        return self

    def __exit__(self, *exception: object) -> None:
        for tracker in self._trackers:
            tracker.finish()

    def write(self, line: Mapping[str, Any]) -> None:
        """Log the numbers in a line of `log.jsonl`, by kind: `training/nll`, `validation/de-en`, ..."""
        kind = line["kind"]
        if kind not in ("training", "validation", "average"):
            return
        numbers = {name: value for name, value in line.items() if name not in ("kind", "update", "losses", "best")}
        numbers |= line.get("losses", {})
        values = {f"{kind}/{name}": value for name, value in numbers.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.log(values, step=line["update"])
