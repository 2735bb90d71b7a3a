"""`neuronspec sweep`."""

from __future__ import annotations

import json
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from neuronspec.core.errors import NeuronspecError, RunError
from neuronspec.core.files import write_json
from neuronspec.core.table import export
from neuronspec.sweep.cell_results import gather
from neuronspec.sweep.nodes import Node, nodes_of
from neuronspec.sweep.runner import Runner
from neuronspec.sweep.settings import Sweep
from neuronspec.sweep.sweep_tables import sweep_tables

OWNER = "sweep.json"


class SweepFailed(NeuronspecError):
    """Some tasks of a sweep failed; the others are done."""


def run_sweep(
    file: Path,
    out: Path,
    overrides: list[str] | None,
    *,
    base: Path | None,
    processes: int | None,
    tables: Path | None,
    console: Console,
) -> None:
    """Do what isn't done of a sweep, and print its tables.

    Raises:
        RecipeError: mistakes in the file, or in the recipe of an entry.
        RunError: the folder is another sweep's, or in use.
        SweepFailed: some tasks failed.
        Interrupted: a signal came.
    """
    sweep = Sweep.load(file, overrides)
    base = base_of(out, sweep, base)
    nodes = nodes_of(sweep, out, base)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / OWNER, {"sweep": sweep.name, "base": str(base.resolve()) if base else None})
    try:
        with FileLock(out / ".lock", timeout=0):
            _run(sweep, nodes, out, processes or _default_processes(), tables, console)
    except Timeout:
        raise RunError(f"{out} is in use by another sweep; wait for it, or choose another --out") from None


def plan_sweep(file: Path, out: Path, overrides: list[str] | None, base: Path | None, console: Console) -> None:
    """Print every task of a sweep, and whether it is done."""
    sweep = Sweep.load(file, overrides)
    for node in nodes_of(sweep, out, base_of(out, sweep, base)):
        console.print(f"{node.name}: {'done' if node.done() else 'to do'}", markup=False)


def base_of(out: Path, sweep: Sweep, base: Path | None) -> Path | None:
    """The run that the sweep starts from: the one given now, or when it began.

    Raises:
        RunError: the folder is another sweep's or something else's, or the sweep began from another run.
    """
    if base is not None and not (base / "recipe.yaml").is_file():
        raise RunError(f"--base {base} is not a run folder: it has no recipe.yaml")
    path = out / OWNER
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(item.name != ".lock" for item in out.iterdir())):
            raise RunError(f"{out} is no sweep folder and not empty; choose another --out")
        return base
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        owner, began = content["sweep"], content.get("base")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is damaged ({error}); remove it if {out} is the folder of this sweep") from None
    if owner != sweep.name:
        raise RunError(f"{out} was made by another sweep: {owner!r}, not {sweep.name!r}; choose another --out")
    if base is not None and (began is None or Path(began) != base.resolve()):
        raise RunError(f"{out} began from {began or 'a baseline of its own'}, not {base}; choose another --out")
    return Path(began) if began else None


def _default_processes() -> int:
    import torch

    return max(1, torch.cuda.device_count())


def _run(sweep: Sweep, nodes: list[Node], out: Path, processes: int, tables: Path | None, console: Console) -> None:
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
