"""A sweep and its nodes, with what can be known of them before the long work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from neuronspec.core.errors import NeuronspecError, RecipeError, RunError
from neuronspec.core.run_folder import default_sweep
from neuronspec.recipe import Recipe
from neuronspec.runs.requirements import check_installed, check_model, warnings_of
from neuronspec.sweep.nodes import Node, base_of, nodes_of
from neuronspec.sweep.settings import Sweep, entries_named

logger = logging.getLogger(__name__)


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


def check_nodes(nodes: Sequence[Node], here: bool) -> None:
    """Check, before anything is done, that what is left of a sweep can be done.

    Args:
        nodes: of the sweep.
        here: whether they are done on this machine; then also that what they need is installed.

    Raises:
        RecipeError: a model can't do what the recipe of an entry asks for; names the entries.
        RunError: something isn't installed; names the entries.
    """
    mistakes: dict[str, dict[str, None]] = {}
    errors: dict[tuple[frozenset[str], str], NeuronspecError | None] = {}
    for node in nodes:
        if node.given or node.done():
            continue
        stages = _stages(node.tasks)
        key = stages, _without_seeds(node.recipe).model_dump_json()
        if key not in errors:
            errors[key] = _mistake(node.recipe, stages, here)
        if error := errors[key]:
            mistakes.setdefault(str(error), {}).update({node.cell.entry: None} if node.cell else {})
    if mistakes:
        text = "\n".join(f"{entries_named(found)}: {error}" if found else error for error, found in mistakes.items())
        misused = all(isinstance(error, RecipeError) for error in errors.values() if error)
        raise RecipeError(text) if misused else RunError(text)


def warn_of_nodes(nodes: Sequence[Node], here: bool) -> None:
    """Warn of what `validate` warns of for the recipes of entries, as far as it is left to do; of each once.

    Args:
        nodes: of the sweep.
        here: whether they are done on this machine; then also of what it lacks.

    Raises:
        RecipeError: a model alone takes more memory than this machine has.
    """
    left = {node.folder: node for node in nodes if not node.given and not node.done()}
    told: dict[str, list[str]] = {}
    found: dict[tuple[frozenset[str], str], list[str]] = {}
    for node in left.values():
        if node.cell is None:
            continue
        needed = (left[folder].tasks for folder in node.needs if folder in left)
        stages = _stages(node.tasks, *needed)
        key = stages, _without_seeds(node.recipe).model_dump_json()
        if key not in found:
            try:
                with node.recipe.located():
                    found[key] = list(warnings_of(node.recipe, stages, here))
            except RecipeError as error:
                raise RecipeError(f"{entries_named([node.cell.entry])}: {error}") from None
        for text in found[key]:
            told.setdefault(text, []).append(node.name)
    for text, (first, *others) in told.items():
        logger.warning("%s%s: %s", first, f" (and {len(others)} more)" if others else "", text)


def _stages(*tasks: Sequence[str]) -> frozenset[str]:
    return frozenset(name.partition("/")[0] for some in tasks for name in some)


def _mistake(recipe: Recipe, stages: frozenset[str], here: bool) -> NeuronspecError | None:
    try:
        with recipe.located():
            check_model(recipe, stages)
        if here:
            check_installed(recipe, stages)
    except NeuronspecError as error:
        return error
    return None


def _without_seeds(recipe: Recipe) -> Recipe:
    sections = {"training": recipe.training, "continuation": recipe.continuation}
    kept = {name: section.model_copy(update={"seed": None}) for name, section in sections.items() if section}
    return recipe.model_copy(update=kept)
