"""The work of a sweep as run folders that share their tasks.

A *node* is a run folder in which some tasks of the pipeline are done; the outputs of the tasks before them are links
to the nodes that did those. Tasks before the arms are in `shared/`, one node for each outcome (named by the task's
fingerprint), so whatever entries have in common is computed once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from neuronspec.core.errors import RunError
from neuronspec.core.files import write_text
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import RunFolder
from neuronspec.models.pretrained import resolved
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline
from neuronspec.runs.state import TaskState, read_stages
from neuronspec.runs.tasks import Task
from neuronspec.sweep.settings import Cell, Sweep

OWNER = "sweep.json"
"""The file of a sweep folder that says whose it is."""

FLOOR = ("evaluate/copy", "evaluate/base")
"""What is evaluated beside the arms, once for each baseline."""


class Owner(TypedDict):
    """`sweep.json`: the name of the sweep, and the run that it began from."""

    sweep: str
    base: NotRequired[str | None]


@dataclass(frozen=True)
class Node:
    """A run folder and what is to be done in it.

    Args:
        folder: of the run.
        recipe: of the run.
        tasks: done here.
        linked: by task before them, the node that did it; each comes after what it needs.
        cell: whose arm is trained here; None in `shared/`.
        given: it is the run that the sweep began from, which stays as it is.
        start: the folder in which the baseline that the arm continues is evaluated; None in `shared/`.
    """

    folder: Path
    recipe: Recipe
    tasks: tuple[str, ...]
    linked: dict[str, Path]
    cell: Cell | None = None
    given: bool = False
    start: Path | None = None

    @property
    def needs(self) -> set[Path]:
        """The folders of the nodes that must be done before."""
        return set(self.linked.values())

    @property
    def name(self) -> str:
        """For messages: the cell's name, or the folder's in `shared/`."""
        return self.cell.name if self.cell else self.folder.name

    def pipeline(self) -> Pipeline:
        """The pipeline in the folder, in its present state."""
        return Pipeline(self.recipe, self.folder)

    def done(self) -> bool:
        """Whether nothing is left to do here."""
        if not RunFolder(self.folder).stages.exists():
            return False
        pipeline = self.pipeline()
        return all(pipeline.stale(pipeline.tasks[name]) is None for name in (*self.linked, *self.tasks))


def nodes_of(sweep: Sweep, folder: Path, base: Path | None = None, *, check_files: bool = True) -> list[Node]:
    """All nodes of a sweep; each comes after those that it needs.

    Args:
        sweep: see `Sweep`.
        folder: of the sweep.
        base: a run whose corpus, baseline, activations and masks are used where they are what an entry needs.
        check_files: as of `Sweep.load`.

    Raises:
        RunError: the baseline of `base` is none that the sweep needs; says why.
    """
    recipes = sweep.recipes(check_files=check_files)
    if not check_files:
        recipes = [(cell, _located(recipe, sweep.recipe.resolve().parent)) for cell, recipe in recipes]
    before = _tasks_in(base) if base is not None else {}
    pipelines = {cell.name: Pipeline(recipe, folder / "cells" / cell.name, before=before) for cell, recipe in recipes}
    trained: dict[str, Path] = {}  # an arm that another one needs may be an entry itself
    for cell, _ in recipes:
        pipeline = pipelines[cell.name]
        task = pipeline.tasks[f"specialize/{cell.arm}"]
        trained.setdefault(pipeline.fingerprint(task), pipeline.run.paths.folder)
    places = _Places(folder, base, recipes[0][1], trained)
    nodes: dict[Path, Node] = {}
    if base is not None:
        given = Pipeline(recipes[0][1], base)
        floor = tuple(name for name in FLOOR if places.of(given, name) == base)
        nodes[base] = Node(base, recipes[0][1], floor, {}, given=True)
    for cell, recipe in recipes:
        where, pipeline = folder / "cells" / cell.name, pipelines[cell.name]
        own = (f"specialize/{cell.arm}", f"evaluate/{cell.arm}")
        for name in (*_before(pipeline, {*own, *FLOOR}), *FLOOR):
            shared = places.of(pipeline, name)
            if shared not in places.cells:
                nodes.setdefault(shared, Node(shared, recipe, (name,), places.linked(pipeline, (name,))))
        start = places.of(pipeline, "evaluate/base")
        nodes[where] = Node(where, recipe, own, places.linked(pipeline, own), cell, start=start)
    places.check()
    return sorted(nodes.values(), key=lambda node: (node.cell is not None, bool(node.needs & places.cells)))


def _located(recipe: Recipe, folder: Path) -> Recipe:
    """A recipe whose files weren't checked, with the name of its checkpoint as a run keeps it."""
    if (name := recipe.model.pretrained) is None:
        return recipe
    try:
        name = resolved(name, folder)
    except ValueError:  # it was a folder
        name = str((folder / Path(name).expanduser()).resolve())
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"pretrained": name})})


def _tasks_in(folder: Path) -> dict[str, TaskState]:
    path = RunFolder(folder).stages
    return read_stages(path)["tasks"] if path.exists() else {}


class _Places:
    """Where the tasks that arms need are done: in the given run if it has them, in an arm's cell, else in `shared/`."""

    def __init__(self, folder: Path, base: Path | None, recipe: Recipe, trained: dict[str, Path]) -> None:
        self._folder, self._base, self._used, self._trained = folder, base, False, trained
        self.cells = set(trained.values())
        self._given = Pipeline(recipe, base) if base else None
        self._there: dict[str, bool] = {}

    def of(self, pipeline: Pipeline, name: str) -> Path:
        fingerprint = pipeline.fingerprint(pipeline.tasks[name])
        if self._base and self._has(pipeline.recipe, name, fingerprint):
            self._used |= name == "train"
            return self._base
        if fingerprint in self._trained:
            return self._trained[fingerprint]
        return self._folder / "shared" / f"{name.replace('/', '-')}-{fingerprint}"

    def _has(self, recipe: Recipe, name: str, fingerprint: str) -> bool:
        """Whether the given run has the outcome of a task, whole: what it lacks is made elsewhere."""
        known = self._given.state.get(name) if self._given else None
        if self._given is None or known is None or known["fingerprint"] != fingerprint:
            return False
        if fingerprint not in self._there:
            given = Pipeline(recipe, self._given.run.paths.folder)
            self._there[fingerprint] = given.stale(given.tasks[name]) is None
        return self._there[fingerprint]

    def linked(self, pipeline: Pipeline, own: Iterable[str]) -> dict[str, Path]:
        return {name: self.of(pipeline, name) for name in _before(pipeline, own)}

    def check(self) -> None:
        if self._given and not self._used:
            reasons = (self._given.stale(self._given.tasks[name]) for name in ("prepare", "train"))
            why = next((reason for reason in reasons if reason), "every entry changes it")
            raise RunError(f"the baseline in {self._base} is not that of the sweep's recipe ({why}); leave --base out")


def _before(pipeline: Pipeline, own: Iterable[str]) -> list[str]:
    """The tasks that some tasks need, directly or not, in the pipeline's order."""
    found: set[str] = set()
    own = set(own)
    waiting = list(own)
    while waiting:
        for need in pipeline.tasks[waiting.pop()].needs:
            if need not in found and need not in own:
                found.add(need)
                waiting.append(need)
    return [name for name in pipeline.tasks if name in found]


def link(node: Node) -> None:
    """Make the node's folder hold what the nodes before it made.

    Raises:
        RunError: something else is where a link belongs, or the node is the run that the sweep began from.
    """
    if node.given:
        raise RunError(f"{node.folder} has changed since the sweep looked at it; run the sweep again")
    node.folder.mkdir(parents=True, exist_ok=True)
    write_text(RunFolder(node.folder).recipe, node.recipe.to_yaml())  # first, as it says whose folder this is
    before = {name: tasks[name] for name, source in node.linked.items() if name in (tasks := _tasks_in(source))}
    pipeline = Pipeline(node.recipe, node.folder, before=before)
    for name, source in node.linked.items():
        task = pipeline.tasks[name]
        for target, place in _outputs(task, source, node.folder):
            _point(place, target)
        entry = read_stages(RunFolder(source).stages)["tasks"][name]
        if pipeline.state.get(name) != entry:
            pipeline.remember(task, entry)


def _outputs(task: Task, source: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    for output in task.outputs:
        yield source / output, folder / output


def _point(place: Path, target: Path) -> None:
    if place.is_symlink():
        if place.resolve() == target.resolve():
            return
        place.unlink()
    elif place.exists():
        raise RunError(f"{place} is where a link to {target} belongs; move it away, or choose another --out")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(os.path.relpath(target.resolve(), place.parent.resolve()))


def base_of(out: Path, sweep: Sweep, base: Path | None) -> Path | None:
    """The run that the sweep starts from: the one given now, or when it began.

    Raises:
        RunError: the folder is another sweep's or something else's, or the sweep began from another run.
    """
    if base is not None and not RunFolder(base).exists:
        raise RunError(f"--base {base} is not a run folder: it has no recipe.yaml")
    path = out / OWNER
    if not path.exists():
        if out.exists() and (not out.is_dir() or any(item != RunFolder(out).lock for item in out.iterdir())):
            raise RunError(f"{out} is no sweep folder and not empty; choose another --out")
        return base
    content = read_json(
        path,
        Owner,
        f"if {out} is the folder of this sweep, write {json.dumps({'sweep': sweep.name, 'base': None})} into the file, "
        "with the folder that --base named if it was given",
    )
    owner, began = content["sweep"], content.get("base")
    if owner != sweep.name:
        raise RunError(f"{out} was made by another sweep: {owner!r}, not {sweep.name!r}; choose another --out")
    if began and not RunFolder(Path(began)).exists:
        raise RunError(
            f"{out} began from the run {began}, which isn't there; move it back, or write where it is now into {path}"
        )
    if base is not None and (began is None or Path(began) != base.resolve()):
        raise RunError(f"{out} began from {began or 'a baseline of its own'}, not {base}; choose another --out")
    return Path(began) if began else None
