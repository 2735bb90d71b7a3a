"""The command `sweep`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from neuronspec.cli.options import NoVerifyOption, SetOption, TablesOption
from neuronspec.cli.output import console, progress
from neuronspec.core.errors import MissingExtraError, NeuronspecError, RecipeError, RunError
from neuronspec.core.files import write_json
from neuronspec.core.run_folder import RunFolder

if TYPE_CHECKING:
    from neuronspec.sweep.nodes import Node
    from neuronspec.sweep.runner import Runner
    from neuronspec.sweep.settings import Sweep
    from neuronspec.sweep.sweep_results import SweepResults

commands = typer.Typer()
logger = logging.getLogger(__name__)


class SweepFailed(NeuronspecError):
    """Some tasks of a sweep failed; the others are done."""


@commands.command(epilog="Example: neuronspec sweep recipes/sweeps/bible-cpu.yaml --out sweeps/bible --processes 2")
def sweep(
    file: Annotated[Path, typer.Argument(metavar="SWEEP", help="Sweep file (YAML).", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Sweep folder to create or to continue; by default, sweeps/NAME.", show_default=False
        ),
    ] = None,
    overrides: SetOption = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="Number of trainings at a time; by default, one per GPU, or one; with slurm, as many as it runs.",
            show_default=False,
        ),
    ] = None,
    executor: Annotated[
        str, typer.Option(help="Where trainings run: in processes here (local), or in jobs of a cluster (slurm).")
    ] = "local",
    detach: Annotated[
        bool, typer.Option("--detach", help="With slurm: submit the jobs, and leave; the same command gathers later.")
    ] = False,
    base: Annotated[
        Path | None,
        typer.Option(help="Run of the recipe whose corpus and baseline are used as they are.", show_default=False),
    ] = None,
    tables: TablesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is done, what isn't, and the jobs of Slurm; and exit.")
    ] = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Train arms x seeds x settings over one corpus and baseline, and compare them. A stopped sweep continues."""
    from neuronspec.sweep.registry import EXECUTORS

    if detach and not EXECUTORS.get(executor).outlives:
        raise RecipeError("--detach leaves jobs of a cluster alone: it needs --executor slurm")
    if dry_run:
        plan_sweep(file, out, overrides, base, executor, processes)
    else:
        run_sweep(file, out, overrides, base=base, executor=executor, processes=processes, tables=tables, detach=detach)


def run_sweep(
    file: Path,
    out: Path | None,
    overrides: list[str] | None,
    *,
    base: Path | None,
    executor: str = "local",
    processes: int | None,
    tables: Path | None,
    detach: bool = False,
) -> None:
    """Do what isn't done of a sweep, and print its tables.

    Raises:
        RecipeError: mistakes in the file, or in the recipe of an entry.
        RunError: the folder is another sweep's, or in use; or something that an entry needs isn't installed.
        SweepFailed: some tasks failed.
        Interrupted: a signal came.
    """
    from filelock import FileLock, Timeout

    from neuronspec.sweep.checks import check_nodes, open_sweep, warn_of_nodes
    from neuronspec.sweep.nodes import OWNER
    from neuronspec.sweep.registry import EXECUTORS
    from neuronspec.sweep.runner import Runner

    sweep, out, base, nodes = open_sweep(file, overrides, out, base)
    made = EXECUTORS.get(executor)(sweep, out, processes)
    check_nodes(nodes, here=not made.outlives)
    warn_of_nodes(nodes, here=not made.outlives)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / OWNER, {"sweep": sweep.name, "base": str(base.resolve()) if base else None})
    try:
        with FileLock(RunFolder(out).lock, timeout=0):
            runner = Runner(nodes, out, made)
            if detach:
                logger.info("%d jobs are left to Slurm; the same command without --detach gathers", runner.submit())
            else:
                _run(sweep, nodes, out, runner, tables)
    except Timeout:
        raise RunError(f"{out} is in use by another sweep; wait for it, or choose another --out") from None


def plan_sweep(
    file: Path,
    out: Path | None,
    overrides: list[str] | None,
    base: Path | None,
    executor: str = "local",
    processes: int | None = None,
) -> None:
    """Print every task of a sweep, whether it is done, and warnings; of jobs, what a cluster would be given."""
    from neuronspec.sweep.checks import check_nodes, open_sweep, warn_of_nodes
    from neuronspec.sweep.registry import EXECUTORS

    sweep, out, _, nodes = open_sweep(file, overrides, out, base)
    made = EXECUTORS.get(executor)(sweep, out, processes)
    check_nodes(nodes, here=False)
    warn_of_nodes(nodes, here=not made.outlives)
    done = {node.folder for node in nodes if node.done()}
    for node in nodes:
        typer.echo(f"{node.name}: {'done' if node.folder in done else 'to do'}")
    for line in made.plan(nodes, done):
        typer.echo(line)


def _run(sweep: Sweep, nodes: list[Node], out: Path, runner: Runner, tables: Path | None) -> None:
    from neuronspec.core.table import export
    from neuronspec.sweep.cell_results import gather
    from neuronspec.sweep.sweep_tables import sweep_tables

    outcome = runner.run()
    names = {node.folder: node.name for node in nodes}
    failed = {names[folder]: reason for folder, reason in outcome.failed.items()}
    failed |= {names[folder]: f"needs {needed}, which failed" for folder, needed in outcome.skipped.items()}
    lines = [f"  {name}: {reason}" for name, reason in failed.items()]
    failures = "\n".join([f"{len(failed)} tasks of the sweep failed; run it again to retry:", *lines])
    if any(node.cell for node in nodes if node.folder in outcome.done):
        try:
            results = gather(sweep, nodes, outcome.done, failed, out, progress())
        except NeuronspecError as error:
            raise (SweepFailed(f"{failures}\nno table: {error}") if failed else error) from None
        made = sweep_tables(results)
        for name in ("entries", "frontier", "frontier_loss", "zero_shot_entries", "tiers", "costs"):
            if name in made:
                console().print(made[name].to_rich())
        if tables is not None:
            logger.info("%d files in %s", len(export(made, tables)), tables)
        logger.info("results: %s", RunFolder(out).results)
        _draw(results, out)
    if failed:
        raise SweepFailed(failures)


def _draw(results: SweepResults, out: Path) -> None:
    """The picture of an adaptation, `SWEEP/frontier.svg`; without matplotlib a line says why there is none."""
    from neuronspec.report.paper.frontier import frontier_figure
    from neuronspec.report.paper.write import save
    from neuronspec.sweep.frontier import frontiers

    found = frontiers(results)
    if not found:
        return
    try:
        picture = frontier_figure({each.method: (each.places(each.points), each.places(each.best)) for each in found})
        path = save(picture, RunFolder(out).frontier)
    except MissingExtraError as error:
        logger.warning("%s", error)
        return
    logger.info("gain against forgetting: %s", path)
