"""What training logs, shown by TensorBoard and Weights & Biases too, through Accelerate's trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neuronspec.core.errors import MissingExtraError

TRACKERS = ("tensorboard", "wandb")
"""The tools that training can be logged to."""


def check_trackers(names: Sequence[str]) -> None:
    """Check that the tools' packages are there, before the long work.

    Raises:
        MissingExtraError: one isn't.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(name, "tracking", f"tracking: [{name}]")


class Trackers:
    """Sends the lines of the training log to trackers. Use as a context manager.

    Their files go to `RUN/tracking`, whose runs are named as the folders that are trained in. Weights & Biases runs
    offline: nothing leaves the machine until `wandb sync` is called on them.

    Args:
        names: of `TRACKERS`.
        folder: that is trained in, `RUN/base` or `RUN/arms/ARM`.

    Raises:
        MissingExtraError: a tool's package isn't installed.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        check_trackers(names)
        run = folder.parents[1] if folder.parent.name == "arms" else folder.parent
        self._trackers = [_start(name, folder.name, run / "tracking") for name in names]

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


def _start(name: str, run: str, folder: Path) -> Any:
    from accelerate.tracking import TensorBoardTracker, WandBTracker

    folder.mkdir(parents=True, exist_ok=True)
    if name == "tensorboard":
        tracker = TensorBoardTracker(run, logging_dir=folder / name)
    else:
        tracker = WandBTracker("neuronspec", name=run, dir=str(folder), mode="offline")
    tracker.start()
    return tracker
