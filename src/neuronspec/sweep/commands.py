"""`neuronspec sweep`."""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from neuronspec.errors import NeuronspecError, RunError
from neuronspec.evaluation.table import export
from neuronspec.files import write_json
from neuronspec.sweep.gather import gather
from neuronspec.sweep.nodes import nodes_of
from neuronspec.sweep.runner import Runner
from neuronspec.sweep.settings import Sweep
from neuronspec.sweep.tables import sweep_tables

OWNER = "sweep.json"


class SweepFailed(NeuronspecError):
    """Some tasks of a sweep failed; the others are done."""


def run_sweep(
    file: Path, out: Path, overrides: list[str] | None, processes: int | None, tables: Path | None, console: Console
) -> None:
    """Do what isn't done of a sweep, and print its tables.

    Raises:
        RecipeError: mistakes in the file, or in the recipe of an entry.
        RunError: the folder is another sweep's, or in use.
        SweepFailed: some tasks failed.
        Interrupted: a signal came.
    """
    sweep = Sweep.load(file, overrides)
    _own(out, sweep)
    try:
        with FileLock(out / ".lock", timeout=0):
            _run(sweep, out, processes or _default_processes(), tables, console)
    except Timeout:
        raise RunError(f"{out} is in use by another sweep; wait for it, or choose another --out") from None


def plan_sweep(file: Path, out: Path, overrides: list[str] | None, console: Console) -> None:
    """Print every task of a sweep, and whether it is done."""
    for node in nodes_of(Sweep.load(file, overrides), out):
        console.print(f"{node.name}: {'done' if node.done() else 'to do'}", markup=False)


def _own(out: Path, sweep: Sweep) -> None:
    """Make sure that the folder is this sweep's."""
    path = out / OWNER
    if path.exists():
        try:
            owner = json.loads(path.read_text(encoding="utf-8"))["sweep"]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} is damaged ({error}); remove it if {out} is the folder of this sweep") from None
        if owner != sweep.name:
            raise RunError(f"{out} was made by another sweep: {owner!r}, not {sweep.name!r}; choose another --out")
        return
    if out.is_dir() and any(item.name != ".lock" for item in out.iterdir()):
        raise RunError(f"{out} is no sweep folder and not empty; choose another --out")
    write_json(path, {"sweep": sweep.name})


def _default_processes() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _run(sweep: Sweep, out: Path, processes: int, tables: Path | None, console: Console) -> None:
    nodes = nodes_of(sweep, out)
    outcome = Runner(nodes, out, processes, console).run()
    names = {node.folder: node.name for node in nodes}
    failed = {names[folder]: reason for folder, reason in outcome.failed.items()}
    failed |= {names[folder]: f"needs {needed}, which failed" for folder, needed in outcome.skipped.items()}
    if any(node.cell for node in nodes if node.folder in outcome.done):
        results = gather(sweep, nodes, outcome.done, failed, out, console)
        made = sweep_tables(results)
        for name in ("entries", "zero_shot_entries", "tiers", "costs"):
            if name in made:
                console.print(made[name].to_rich())
        if tables is not None:
            console.print(f"{len(export(made, tables))} files in {tables}", soft_wrap=True)
        console.print(f"results: {out / 'results.json'}", soft_wrap=True)
    if failed:
        lines = [f"  {name}: {reason}" for name, reason in failed.items()]
        raise SweepFailed("\n".join([f"{len(failed)} tasks of the sweep failed; run it again to retry:", *lines]))
