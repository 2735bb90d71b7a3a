"""Which tasks of a recipe are up to date in a run folder, and running those that aren't.

`RUN/stages.json` remembers the fingerprint and settings of every task that was started or finished, and of those that
are finished `files`, the size and SHA-256 of every file that was made, and `inputs`, a digest of the files that each
task it needs had made. (Version 0.1 had neither; such tasks stay up to date while their outputs exist.)

In the processes that `torchrun` starts, all train, record and evaluate together; the main one does the rest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuronspec.core.checksums import FileFacts, facts_below, first_problem
from neuronspec.core.errors import RecipeError, RunError, nearest
from neuronspec.core.files import write_json, write_text
from neuronspec.core.processes import Processes, join
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import COST, RunFolder
from neuronspec.core.signals import SignalReceived
from neuronspec.corpus.old_form import from_old_form
from neuronspec.recipe import Recipe
from neuronspec.runs.requirements import check_machine, check_processes
from neuronspec.runs.run_log import RunLog, logging_to
from neuronspec.runs.stages import TRAININGS, Run
from neuronspec.runs.state import FileRecord, Made, TaskState, read_stages
from neuronspec.runs.tasks import STAGES, TOGETHER, Task, changes, fingerprint, tasks_of

logger = logging.getLogger(__name__)


class Pipeline:
    """A recipe in a run folder.

    Args:
        before: what is known of tasks that another run did for this one, since what they were made of may be gone.

    Raises:
        RunError: the folder holds something else, or a run of another recipe.
        RecipeError: as of `tasks_of`.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, progress: Progress = SILENT, before: Mapping[str, TaskState] | None = None
    ) -> None:
        self.recipe = recipe
        self.run = Run(recipe, RunFolder(folder), progress)
        self.state = _read_state(self.run.paths, recipe.name)
        with recipe.located():
            self.tasks = {task.name: task for task in tasks_of(recipe, {**(before or {}), **self.state})}
        self._ran: set[str] = set()

    def fingerprint(self, task: Task) -> str:
        """What the outcome of a task depends on, as a hex digest."""
        return fingerprint(task, self.tasks)

    def stale(self, task: Task, check: bool = True) -> str | None:
        """Why a task has to run, or None if its outputs are up to date.

        Args:
            task: one of `tasks`.
            check: whether the content of its files is checked, too.
        """
        known = self.state.get(task.name)
        if known is None:
            return "not run yet"
        if known["fingerprint"] != self.fingerprint(task):
            changed = changes(_readable(known["settings"]), _readable(json.loads(json.dumps(task.settings))))
            return f"changed: {', '.join(changed)}" if changed else f"{' or '.join(task.needs)} changed"
        if known["state"] != "finished":
            return "interrupted before, continues"
        return self._problem(task, check) or self._follows(task, known)

    def _problem(self, task: Task, check: bool = True) -> str | None:
        """What is wrong with the outputs of a finished task; None if nothing is."""
        folder = self.run.paths.folder
        missing = [output for output in task.outputs if not (folder / output).exists()]
        if missing:
            return f"{missing[0]} is missing"
        return first_problem(folder, _files_of(self.state.get(task.name))) if check else None

    def _follows(self, task: Task, known: TaskState) -> str | None:
        """Why a task has to run after one that it needs has; None if that one's files are as they were."""
        inputs = known.get("inputs", {})
        for need in _read_by(task):
            if need not in inputs:
                if need in self._ran:
                    return f"{need} ran again"
            elif "files" in self.state.get(need, {}) and inputs[need] != _digest(self.state[need]):
                return f"{need} changed"
        return None

    def plan(self, stage: str | None = None, names: Collection[str] = ()) -> list[tuple[Task, str | None]]:
        """The tasks of `stage`, or those of these names (all without either), each with the reason to run it.

        Raises:
            RecipeError: there is no such stage.
            RunError: what the stage needs isn't up to date.
        """
        if stage is not None and stage not in STAGES:
            raise RecipeError(f"unknown stage {stage!r}; {nearest(stage, STAGES)}")
        chosen = [
            task for task in self.tasks.values() if (task.name in names if names else stage in (None, task.stage))
        ]
        checked = {name for task in chosen for name in (task.name, *task.needs)}
        reasons: dict[str, str | None] = {}
        for task in self.tasks.values():
            reasons[task.name] = self.stale(task, task.name in checked) or self._cascade(task, reasons)
        if stage is not None or names:
            self._check_needs(chosen, reasons)
        return [(task, reasons[task.name]) for task in chosen]

    def _cascade(self, task: Task, reasons: dict[str, str | None]) -> str | None:
        """Why a task that is up to date may have to run after others that aren't."""
        for need in task.needs:
            if reasons[need]:
                inputs = self.state[task.name].get("inputs", {})
                return f"{need} runs again" + (f"; only if that changes {need}" if need in inputs else "")
        return None

    def execute(self, stage: str | None = None, names: Collection[str] = (), wait: float = 0) -> None:
        """Run what of `plan` isn't up to date, and say why.

        Args:
            stage: only this one; see `plan`.
            names: only these tasks.
            wait: seconds for another process to leave the run folder.

        Raises:
            NeuronspecError: from the stage that failed; what was finished stays.
        """
        joined = join()
        if not joined.is_main:
            self.run = replace(self.run, progress=SILENT)
        with locked(self.run.paths, wait) if joined.is_main else nullcontext(), self.recipe.located():
            joined.wait()
            planned = self._agreed(joined, stage, names)
            due = [name for name, reason in planned if reason]
            check_processes(self.recipe, due, joined.size)
            check_machine(self.recipe, {self.tasks[name].stage for name in due}, self.run.paths.tokenizer)
            if joined.is_main:
                write_text(self.run.paths.recipe, self.recipe.to_yaml())
            with logging_to(self.run.paths.log, logger) if joined.is_main else nullcontext() as log:
                for task in (self.tasks[name] for name, _ in planned):
                    # looked at anew: what ran before it may have come out as it was
                    reason = joined.gather(self.stale(task) if joined.is_main else None)[0]
                    if reason is not None:
                        self._execute(task, reason, joined, log)
                    elif joined.is_main:
                        logger.info("%s: up to date", task.name)

    def _agreed(self, joined: Processes, stage: str | None, names: Collection[str]) -> list[tuple[str, str | None]]:
        """The plan of the main process, by the names of tasks."""
        plan = [(task.name, reason) for task, reason in self.plan(stage, names)] if joined.is_main else []
        return joined.gather(plan)[0]

    def _execute(self, task: Task, reason: str, joined: Processes, log: RunLog | None) -> None:
        """Do a task; `log` is the main process's."""
        entry = TaskState(fingerprint=self.fingerprint(task), settings=task.settings, state="started")
        known, aside = self.state.get(task.name), {}
        if log is not None:
            logger.info("%s: starts (%s)", task.name, reason)
            log.write(f"{task.name}: starts ({reason})")
            aside = self._cleared(task, known)
            self._forget_rewritten(task)
            self.remember(task, entry)
        joined.wait()
        started = time.monotonic()
        try:
            if joined.is_main or task.name.startswith(TOGETHER):
                task.do(self.run)
        except BaseException as error:
            if log is not None and not isinstance(error, SignalReceived):
                log.write(f"{task.name}: stopped by {type(error).__name__}: {error}")
            if known is not None and aside and not any(path.exists() for path in aside):
                for path, moved in aside.items():  # it made nothing: what was there before is better than nothing
                    moved.rename(path)
                    logger.info("%s is back: %s stopped before it made another", path, task.name)
                self.remember(task, known)
            raise
        joined.wait()
        if log is None:
            return
        seconds = round(time.monotonic() - started, 1)
        finished, made = datetime.now(UTC).isoformat(timespec="seconds"), self._made(task)
        self._ran.add(task.name)
        self.remember(task, {**entry, "state": "finished", "seconds": seconds, "finished": finished, **made})
        log.write(f"{task.name}: finished in {seconds} s")
        logger.info("%s: done in %.0f s", task.name, seconds)

    def _continues(self, task: Task, known: TaskState) -> bool:
        """Whether a training can continue from its checkpoints: only a larger budget, or what it keeps, changed."""
        from neuronspec.arms.arm import arm_of
        from neuronspec.training.resume import may_change
        from neuronspec.training.settings import ContinuationSettings

        section = TRAININGS.get(task.stage)
        if task.stage == "specialize" and not arm_of(self.recipe, task.name.partition("/")[2])[0].extends:
            return False
        if section is None or fingerprint(task, self.tasks, known["settings"]) != known["fingerprint"]:
            return False
        before, now = known["settings"], json.loads(json.dumps(task.settings))
        if any(before.get(name) != now.get(name) for name in {*before, *now} - {section}):
            return False
        old, new = before[section] or {}, now[section] or {}
        changed = {key for key in {*old, *new} if old.get(key) != new.get(key)}
        budgets = changed & {"updates", "epochs", "minutes"}
        extended = all((new.get(key) or 0) >= (old.get(key) or 0) for key in budgets)
        return extended and changed <= may_change(ContinuationSettings.model_validate(new))

    def _check_needs(self, chosen: list[Task], reasons: dict[str, str | None]) -> None:
        planned = {task.name for task in chosen}
        for task in chosen:
            for need in task.needs:
                if reasons[need] and need not in planned:
                    raise RunError(
                        f"{task.name} needs {need}, which is not up to date ({reasons[need]}); "
                        f"run 'neuronspec {self.tasks[need].stage} {self.run.paths.folder}' first, "
                        "or 'neuronspec run' for all stages"
                    )

    def _made(self, task: Task) -> Made:
        """What is recorded of the files of a task that has just been done, and of those it was made from."""
        folder = self.run.paths.folder
        for name in task.needs if task.rewrites else ():
            known = self.state.get(name)
            if known is not None and "files" in known:
                known["files"] = _facts_below(folder, self.tasks[name])
        inputs = {name: _digest(self.state[name]) for name in _read_by(task) if "files" in self.state.get(name, {})}
        return {"files": _facts_below(folder, task), "inputs": inputs}

    def _forget_rewritten(self, task: Task) -> None:
        """While a task writes files of others anew, nothing is known of these files."""
        for name in task.needs if task.rewrites else ():
            known = self.state.get(name)
            files = known.get("files", {}) if known else {}
            for path in [path for path in files if any(Path(path).match(each) for each in task.rewrites)]:
                del files[path]

    def _cleared(self, task: Task, known: TaskState | None) -> dict[Path, Path]:
        """Move away what a task must not find: outputs of other settings, and damaged ones. Where each went."""
        if known is None:
            return {}
        if known["fingerprint"] != self.fingerprint(task):
            return {} if self._continues(task, known) else self._set_aside(task.outputs, "was made by other settings")
        if known["state"] != "finished" or not (problem := self._problem(task)):
            return {}
        if task.stage not in TRAININGS:
            return self._set_aside(task.outputs, f"is not whole ({problem})")
        # a training continues from its checkpoints, so the rest of its folder stays
        folder = self.run.paths.folder
        bad = [name for name, facts in _files_of(known).items() if facts.problem(folder / name)]
        return self._set_aside(bad, "is damaged")

    def record_files(self, name: str) -> None:
        """Record the files of a finished task anew, after what came later wrote some of them again."""
        known, files = self.state[name], _facts_below(self.run.paths.folder, self.tasks[name])
        if known.get("files", files) != files:
            self.remember(self.tasks[name], {**known, "files": files})

    def remember(self, task: Task, entry: TaskState) -> None:
        """Write what is known of a task into RUN/stages.json."""
        self.state[task.name] = entry
        write_json(self.run.paths.stages, {"recipe": self.recipe.name, "tasks": self.state})

    def _set_aside(self, outputs: Iterable[str], why: str) -> dict[Path, Path]:
        """Outputs that are made anew move to RUN/superseded, which keeps the last ones of each task; where to."""
        moved = {}
        for output in outputs:
            path = self.run.paths.folder / output
            if not path.exists():
                continue
            aside = self.run.paths.superseded / output
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside) if aside.is_dir() and not aside.is_symlink() else aside.unlink(missing_ok=True)
            moved[path] = path.rename(aside)
            logger.info("%s %s; it is now %s", path, why, aside)
        return moved


def _readable(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a task as recipes write them today; fingerprints are of the corpus section's old form."""
    return settings | {"corpus": from_old_form(settings["corpus"], warn=False)} if "corpus" in settings else settings


def _read_by(task: Task) -> list[str]:
    """The tasks whose files a task reads: also the text, which nearly all do."""
    return list(dict.fromkeys([*task.needs, *(["prepare"] if task.needs else [])]))


def _files_of(entry: TaskState | None) -> dict[str, FileFacts]:
    """The facts of the files that a finished task made, by path."""
    files = entry.get("files", {}) if entry else {}
    return {name: FileFacts.model_validate(facts) for name, facts in files.items()}


def _facts_below(folder: Path, task: Task) -> dict[str, FileRecord]:
    return {
        name: FileRecord(bytes=facts.bytes, sha256=facts.sha256)
        for name, facts in facts_below(folder, task.outputs).items()
    }


def _digest(entry: TaskState) -> str:
    """Of all files of a task but those that say how long it took."""
    files = {name: facts["sha256"] for name, facts in entry["files"].items() if Path(name).name != COST}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def _read_state(run: RunFolder, name: str) -> dict[str, TaskState]:
    path, folder = run.stages, run.folder
    if not path.exists():
        strangers = [one.name for one in folder.glob("*") if one not in (run.lock, run.parts)]
        if strangers and not run.exists:
            raise RunError(
                f"{folder} is not a run folder and not empty (it holds {strangers[0]}); choose another --out"
            )
        return {}
    content = read_stages(path)
    if (owner := content["recipe"]) != name:
        raise RunError(
            f"{folder} was made by another recipe: {owner!r}, not {name!r}; choose another --out, "
            "or give the recipe that name if it is the same experiment"
        )
    return content["tasks"]


@contextmanager
def locked(run: RunFolder, wait: float = 0) -> Iterator[None]:
    """One process at a time in a run folder; a killed process leaves no lock behind."""
    from filelock import FileLock, Timeout

    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run.lock, timeout=wait):
            yield
    except Timeout:
        raise RunError(
            f"{run.folder} is in use by another neuronspec process; wait for it, or choose another --out"
        ) from None
