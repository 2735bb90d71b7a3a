"""The tasks of a recipe: what each needs, makes and depends on.

A *task* is a stage, or a stage for one arm (`specialize/dense`). Its fingerprint covers the recipe keys that
change its outcome and the fingerprints of the tasks it needs, so a changed recipe reruns just what it affects.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any

from neuronspec.core.checksums import digest
from neuronspec.core.errors import RecipeError
from neuronspec.core.plugins import plugin_stamp
from neuronspec.core.run_folder import RunFolder
from neuronspec.core.settings import is_left_out, without_added
from neuronspec.corpus.old_form import to_old_form
from neuronspec.models.pretrained import facts_of
from neuronspec.models.settings import TOKENIZED_BY
from neuronspec.recipe import Recipe
from neuronspec.runs import stages
from neuronspec.runs.state import TaskState, checkpoint_in

logger = logging.getLogger(__name__)

TOGETHER = ("train", "record", "specialize/", "evaluate/")
"""How the names of tasks begin that all processes work on."""

STAGES = ("prepare", "train", "record", "select", "specialize", "evaluate", "analyse", "report")


HERE = RunFolder(Path())
"""Paths relative to the run folder."""


@dataclass(frozen=True, slots=True)
class Task:
    """One step of a run.

    Args:
        name: the stage, or `STAGE/ARM`.
        needs: tasks whose outputs it reads.
        settings: what of the recipe changes its outcome, as plain JSON values.
        outputs: what it makes, relative to the run folder.
        work: does it.
        rewrites: which files of the tasks it needs it writes anew, by their names (`*` stands for any part).
    """

    name: str
    needs: tuple[str, ...]
    settings: dict[str, Any]
    outputs: tuple[str, ...]
    work: Callable[[stages.Run], None]
    rewrites: tuple[str, ...] = ()

    def do(self, run: stages.Run) -> None:
        """Do the work, with the attention that the recipe chooses."""
        chosen = run.recipe.model.attention
        if chosen == "auto":
            self.work(run)
            return
        from neuronspec.models.fast_attention import attention

        with attention(chosen):
            self.work(run)

    @property
    def stage(self) -> str:
        """The stage that the task is, or is part of."""
        return self.name.partition("/")[0]


def tasks_of(recipe: Recipe, known: Mapping[str, TaskState] | None = None) -> list[Task]:
    """The tasks of a recipe, in an order in which each comes after what it needs.

    Args:
        recipe: of the run.
        known: what is known of the tasks of its run, whose checkpoint and text may be gone by now.

    Raises:
        RecipeError: there is no such checkpoint, and the run has recorded nothing of it.
        Mistakes: as of `check_arms`.
    """
    from neuronspec.arms.kinds import check_arms

    check_arms(recipe)
    settings = partial(_settings, recipe)
    corpus = settings("corpus", "tokenizer")
    corpus["corpus"] = to_old_form(corpus["corpus"])
    corpus["corpus"].pop("workers", None)
    families = {"families": corpus["corpus"].pop("families", {})}
    checkpoint = _checkpoint(recipe, checkpoint_in(known or {}) or {})
    text = {"inputs": _text(recipe, known or {})} | _ready_tokenizer(recipe, known or {})
    inputs = {"zero_shot": recipe.evaluation.zero_shot} | text
    selection = _of_selection(recipe, families)
    tasks = [
        Task("prepare", (), corpus | inputs | checkpoint, _made(HERE.data), stages.prepare),
        Task(
            "train",
            ("prepare",),
            settings("model", "training") | checkpoint,
            _made(HERE.base),
            stages.train_base,
        ),
        Task("record", ("train",), settings("recording"), _made(HERE.activations), stages.record),
        Task("select", ("record",), selection, _made(HERE.masks), stages.select),
    ]
    last = sorted(recipe.arm_names, key=lambda name: recipe.arm(name).kind == "averaged")  # they need other arms
    tasks += [_arm_task(recipe, name, families) for name in last]
    return tasks + _scoring_tasks(recipe, families)


def _arm_task(recipe: Recipe, name: str, families: dict[str, Any]) -> Task:
    """The training of an arm, whose settings are the recipe's with those of its own."""
    from neuronspec.arms.arm import arm_of

    arm, own = arm_of(recipe, name)
    settings = _settings(own, *arm.sections) | (_of_selection(own, families) if arm.selects else {})
    return Task(f"specialize/{name}", arm.needed(own), settings, _made(HERE.arm(name)), stages.continue_arm(name))


def _scoring_tasks(recipe: Recipe, families: dict[str, Any]) -> list[Task]:
    """The tasks that come after the training of the arms."""
    settings = partial(_settings, recipe)
    translation = settings("evaluation")
    translation["evaluation"] = recipe.evaluation.translation
    tasks = []
    arms = {"copy": "prepare", "base": "train"} | {arm: f"specialize/{arm}" for arm in recipe.arm_names}
    for name, need in arms.items():
        work = stages.evaluate(name)
        tasks.append(Task(f"evaluate/{name}", (need,), translation, _made(HERE.evaluation(name)), work))
    evaluated = tuple(f"evaluate/{arm}" for arm in arms)
    return [
        *tasks,
        Task(
            "evaluate",
            evaluated,
            families | settings("evaluation"),
            _made(HERE.results),
            stages.gather_results,
            rewrites=stages.SCORES,
        ),
        Task(
            "analyse",
            ("select", *_continued(recipe)),
            settings("analysis") | families,
            _made(HERE.analysis),
            stages.analyse,
        ),
        Task("report", ("evaluate", "analyse"), settings("report"), _made(HERE.report), stages.report),
    ]


def _settings(recipe: Recipe, *sections: str) -> dict[str, Any]:
    """Of sections of the recipe, or of parts of one (`baselines.lora`), by those names; None if not given.

    The seed is always among them, and the code of plug-ins where there are any, as nobody knows what depends on it.
    """
    # without what isn't given, so that keys which are added later don't count as changed
    names = ("seed", *sections)
    found: dict[str, Any] = {}
    included = {name.split(".")[0] for name in names}
    dumped = without_added(recipe, recipe.model_dump(mode="json", include=included, exclude_none=True))
    for name in names:
        *path, key = name.split(".")
        if not is_left_out(reduce(getattr, path, recipe), key):
            found[name] = reduce(dict.__getitem__, path, dumped).get(key)
    return found | ({"plugins": {name: plugin_stamp(name) for name in recipe.plugins}} if recipe.plugins else {})


def _of_selection(recipe: Recipe, families: dict[str, Any]) -> dict[str, Any]:
    """What neurons are selected by; the statistic that is chosen for models that are built with ReLU is said to be it.

    So run folders from before there was a choice stay up to date.
    """
    found = _settings(recipe, "selection")
    rectified = recipe.model.pretrained is None and recipe.model.activation_function in (None, "relu")
    if rectified and found["selection"]["statistic"] == "auto":
        found["selection"]["statistic"] = "count"
    return found | (families if recipe.selection.granularity == "family" else {})


def _checkpoint(recipe: Recipe, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """What identifies the checkpoint that the recipe starts from, if it does."""
    model = recipe.model
    if model.pretrained is None:
        return {}
    try:
        facts = facts_of(model)
    except RecipeError:
        # a run holds all that it made of its checkpoint, so it stays of use without it
        if (recorded.get("name"), recorded.get("revision")) != (model.pretrained, model.revision):
            raise
        _say_gone(f"the checkpoint {model.pretrained}")
        facts = dict(recorded)
    tokenized = model.model_dump(mode="json", include=set(TOKENIZED_BY), exclude_defaults=True)
    return {"pretrained": facts} | ({"tokenized": tokenized} if tokenized else {})


def _text(recipe: Recipe, known: Mapping[str, TaskState]) -> dict[str, Any]:
    """What shows whether the text has changed. A run holds all that it made of it, so it stays of use without it."""
    found = recipe.corpus.inputs
    before = known["prepare"]["settings"].get("inputs") if "prepare" in known else None
    if before and before != found and all(stamp is None for stamp in found.values()):
        _say_gone(f"the text that was prepared ({', '.join(before)})")
        return dict(before)
    return found


@cache
def _say_gone(what: str) -> None:
    """Say once what of a run is gone; the entries of a sweep share it."""
    logger.info("%s isn't there any more; it is taken to be as it was", what)


def _ready_tokenizer(recipe: Recipe, known: Mapping[str, TaskState]) -> dict[str, str | None]:
    """What identifies the tokenizer that the recipe names, if it does. A run has its own copy, so it may be gone."""
    path = recipe.tokenizer.path
    if path is None:
        return {}
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return {"ready_tokenizer": digest(file)}
    before = known["prepare"]["settings"].get("ready_tokenizer") if "prepare" in known else None
    if before:
        _say_gone(f"the tokenizer {path}")
    return {"ready_tokenizer": before}


def _continued(recipe: Recipe) -> list[str]:
    """The tasks whose models are recorded again."""
    return [f"specialize/{arm}" for arm in stages.RECORDED_AGAIN if arm in recipe.arm_names]


def _made(path: Path) -> tuple[str, ...]:
    return (path.as_posix(),)


def fingerprint(task: Task, tasks: Mapping[str, Task], settings: dict[str, Any] | None = None) -> str:
    """What the outcome of a task depends on, as a hex digest.

    Args:
        task: one of `tasks`.
        tasks: all tasks by name.
        settings: other than those of the task.
    """
    needed = [fingerprint(tasks[name], tasks) for name in task.needs]
    content = [task.name, task.settings if settings is None else settings, needed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def changes(old: Any, new: Any, path: str = "") -> list[str]:
    """`training.updates 100 -> 200` for every value of a task's settings that differs, and which text does."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        if path == "inputs":
            return [_change_of_text(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]
        return [line for key in keys for line in changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)]
    shown = ("not set" if value is None else json.dumps(value, ensure_ascii=False) for value in (old, new))
    return [] if old == new else ["{} {} -> {}".format(path, *shown)]


def _change_of_text(name: str, old: Any, new: Any) -> str:
    if isinstance(old, str) and isinstance(new, str):
        return f"text {name} {old} -> {new}"
    return f"text {name} is missing" if new is None else f"text {name} {'is new' if old is None else 'changed'}"
