"""The tasks of a recipe: what each needs, makes and depends on.

A *task* is a stage, or a stage for one arm (`specialize/dense`). Its fingerprint covers the recipe keys that
change its outcome and the fingerprints of the tasks it needs, so a changed recipe reruns just what it affects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from neuronspec.core.run_folder import RunFolder
from neuronspec.corpus.settings import CatalogsCorpus, MosesCorpus, TsvCorpus
from neuronspec.recipe import Recipe
from neuronspec.runs import stages

TOGETHER = ("train", "record", "specialize/", "evaluate/")
"""How the names of tasks begin that all processes work on."""

TRAININGS = {"train": "training", "specialize": "continuation"}
"""The stages that train, and their section of the recipe."""

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
    """

    name: str
    needs: tuple[str, ...]
    settings: dict[str, Any]
    outputs: tuple[str, ...]
    work: Callable[[stages.Run], None]

    @property
    def stage(self) -> str:
        """The stage that the task is, or is part of."""
        return self.name.partition("/")[0]


def tasks_of(recipe: Recipe) -> list[Task]:
    """The tasks of a recipe, in an order in which each comes after what it needs."""
    from neuronspec.arms.registry import get_arm

    def settings(*sections: str) -> dict[str, Any]:
        """Of sections of the recipe, or of parts of one (`baselines.lora`), by those names; None if not given."""
        # without what isn't given, so that keys which are added later don't count as changed
        names = ("seed", *sections)
        found: dict[str, Any] = {}
        dumped = recipe.model_dump(mode="json", include={name.split(".")[0] for name in names}, exclude_none=True)
        for name in names:
            found[name] = dumped
            for key in name.split("."):
                found[name] = found[name].get(key)
        return found

    corpus = settings("corpus", "tokenizer")
    corpus["corpus"].pop("workers", None)
    families = {"families": corpus["corpus"].pop("families", {})}
    inputs = {"inputs": input_stamps(recipe), "zero_shot": recipe.evaluation.zero_shot}
    selection = settings("selection") | (families if recipe.selection.granularity == "family" else {})
    tasks = [
        Task("prepare", (), corpus | inputs, _made(HERE.data), stages.prepare),
        Task("train", ("prepare",), settings("model", "training"), _made(HERE.base), stages.train_base),
        Task("record", ("train",), settings("recording"), _made(HERE.activations), stages.record),
        Task("select", ("record",), selection, _made(HERE.masks), stages.select),
    ]
    for each in recipe.arms:
        arm, work = get_arm(each), stages.continue_arm(each)
        arm.check(recipe)
        tasks.append(Task(f"specialize/{each}", arm.needs, settings(*arm.sections), _made(HERE.arm(each)), work))
    translation = settings("evaluation")
    translation["evaluation"] = recipe.evaluation.translation
    arms = {"copy": "prepare", "base": "train"} | {arm: f"specialize/{arm}" for arm in recipe.arms}
    for name, need in arms.items():
        work = stages.evaluate(name)
        tasks.append(Task(f"evaluate/{name}", (need,), translation, _made(HERE.evaluation(name)), work))
    evaluated = tuple(f"evaluate/{arm}" for arm in arms)
    tasks += [
        Task("evaluate", evaluated, families | settings("evaluation"), _made(HERE.results), stages.gather_results),
        Task(
            "analyse",
            ("select", *_continued(recipe)),
            settings("analysis") | families,
            _made(HERE.analysis),
            stages.analyse,
        ),
        Task("report", ("evaluate", "analyse"), settings("report"), _made(HERE.report), stages.report),
    ]
    return tasks


def _continued(recipe: Recipe) -> list[str]:
    """The tasks whose models are recorded again."""
    return [f"specialize/{arm}" for arm in stages.RECORDED_AGAIN if arm in recipe.arms]


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


def input_stamps(recipe: Recipe) -> dict[str, Any]:
    """What shows whether the input text changed: package versions, or file sizes and times."""
    corpus = recipe.corpus
    if isinstance(corpus, CatalogsCorpus) and corpus.folder is None:
        return {package: _version(package) for package in corpus.packages}
    if isinstance(corpus, MosesCorpus):
        patterns = [pattern for pattern in (corpus.train, corpus.valid, corpus.test) if pattern]
        files = [path for pattern in patterns for path in _matching(pattern)]
    elif isinstance(corpus, TsvCorpus):
        files = [path for path in (corpus.train, corpus.valid, corpus.test) if path]
    else:
        files = sorted(corpus.folder.rglob("*.po*")) if corpus.folder else []
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.exists()}


def _matching(pattern: str) -> list[Path]:
    """The files that a Moses pattern can mean."""
    path = Path(pattern.replace("{pair}", "*").replace("{lang}", "*"))
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
