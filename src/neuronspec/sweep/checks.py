"""A sweep file and the nodes that follow from it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from neuronspec.core.errors import NeuronspecError, RecipeError
from neuronspec.core.run_folder import default_sweep
from neuronspec.sweep.nodes import Node, base_of, nodes_of
from neuronspec.sweep.settings import Sweep


class Opened(NamedTuple):
    """A sweep in its folder.

    Args:
        sweep: see `Sweep`.
        folder: of the sweep.
        base: the run that it began from.
        nodes: all of it; each comes after those that it needs.
    """

    sweep: Sweep
    folder: Path
    base: Path | None
    nodes: list[Node]


def open_sweep(file: Path, overrides: list[str] | None, out: Path | None, base: Path | None) -> Opened:
    """Read a sweep file. What its recipe names may be gone where all that is made of it is there.

    Args:
        file: of the sweep.
        overrides: recipe keys as given with `--set`.
        out: folder of the sweep; by default, `sweeps/NAME`.
        base: the run to begin from.

    Raises:
        RecipeError: mistakes in the file, or in the recipe of an entry.
        RunError: the folder is another sweep's, or `base` isn't what the sweep needs.
    """
    try:
        return _opened(file, overrides, out, base)
    except RecipeError as error:
        mistake = error
    try:
        found = _opened(file, overrides, out, base, check_files=False)
    except NeuronspecError:
        raise mistake from None
    if any("prepare" in node.tasks and not node.done() for node in found.nodes):
        raise mistake
    return found


def _opened(
    file: Path, overrides: list[str] | None, out: Path | None, base: Path | None, check_files: bool = True
) -> Opened:
    sweep = Sweep.load(file, overrides, check_files=check_files)
    folder = out or default_sweep(sweep.name)
    base = base_of(folder, sweep, base)
    return Opened(sweep, folder, base, nodes_of(sweep, folder, base, check_files=check_files))
