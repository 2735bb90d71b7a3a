"""Nodes of a sweep as jobs of Slurm, through submitit.

All nodes are submitted at once. Those that wait for the same jobs are one job array, which depends on them, so a sweep
goes on without the process that started it. `SWEEP/jobs/jobs.json` remembers the job of each node: a sweep that is
started again waits for the jobs that are still there, and submits only what has no job and isn't done.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from neuronspec.core.errors import LONGEST_REASON, MissingExtraError, RunError
from neuronspec.core.files import write_json, write_text
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import RunFolder
from neuronspec.sweep.executors.executor import Ended, Executor, log_size, said
from neuronspec.sweep.executors.slurm_job import NodeJob
from neuronspec.sweep.settings import Sweep

if TYPE_CHECKING:
    from neuronspec.sweep.nodes import Node

logger = logging.getLogger(__name__)

JOBS = "jobs"
"""The folder of a sweep for scripts and logs of jobs."""

RECORD = "jobs.json"
"""The file there that says which job does which node."""

POLL_SECONDS = 5.0
SIGNAL_SECONDS = 180
"""Before the time limit, a job has these seconds to save."""

ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
)
"""States that a job doesn't leave."""


class _Record(TypedDict):
    job: str
    log: int


class _Records(TypedDict):
    jobs: dict[str, _Record]


@dataclass
class _Job:
    node: Node
    id: str
    log: int
    begun: float | None = None


class SlurmExecutor(Executor):
    """Jobs of Slurm.

    Args:
        sweep: its section `slurm` says what a job gets.
        folder: of the sweep.
        processes: jobs of an array at a time; without it, as many as Slurm runs.

    Raises:
        MissingExtraError: submitit isn't installed.
    """

    outlives = True

    def __init__(self, sweep: Sweep, folder: Path, processes: int | None = None) -> None:
        if find_spec("submitit") is None:
            raise MissingExtraError("submitit", "cluster", "--executor slurm")
        self._settings, self._name, self._processes = sweep.slurm, sweep.name, processes
        self._folder = folder.resolve() / JOBS
        self._jobs: dict[Path, _Job] = {}
        self._polled = 0.0
        self._seen: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """See `Executor`."""
        return len(self._jobs)

    @property
    def width(self) -> int:
        """See `Executor`: the number of jobs that run, as last seen."""
        return max(1, self._seen["RUNNING"])

    def plan(self, nodes: Sequence[Node], done: AbstractSet[Path]) -> Iterator[str]:
        """See `Executor`: the jobs, and what sbatch is given."""
        names, left = {node.folder: node.name for node in nodes}, [node for node in nodes if node.folder not in done]
        for needs, array in self.arrays(left, done):
            after = f", after {', '.join(sorted(names[need] for need in needs))}" if needs else ""
            yield f"job{' array' if len(array) > 1 else ''}: {', '.join(node.name for node in array)}{after}"
        if left:
            yield f"each of them, but for --array and --dependency, with:\n{self.script(left[:1])}"

    def start(self, waiting: Sequence[Node], done: AbstractSet[Path]) -> list[tuple[Node, str]]:
        """See `Executor`: all of them, since jobs wait for each other."""
        if not waiting:
            return []
        self._adopt(waiting)
        found = [(node, f"waits for job {self._jobs[node.folder].id}") for node in waiting if node.folder in self._jobs]
        for needs, nodes in self.arrays(waiting, done):
            jobs = [self._jobs[need].id for need in sorted(needs)]
            for node, job in zip(nodes, self._submit(nodes, jobs), strict=True):
                self._jobs[node.folder] = _Job(node, job, log_size(node.folder))
                found.append((node, f"submitted as job {job}"))
            self._remember()
        return found

    def arrays(self, waiting: Sequence[Node], done: AbstractSet[Path]) -> Iterator[tuple[frozenset[Path], list[Node]]]:
        """The nodes that have no job yet, by the nodes that each must wait for; these come first.

        The next ones are looked for when the last ones have been submitted.
        """
        placed = done | self._jobs.keys()
        left = [node for node in waiting if node.folder not in placed]
        while left:
            ready = [node for node in left if node.needs <= placed]
            for needs in dict.fromkeys(frozenset(node.needs - done) for node in ready):
                yield needs, [node for node in ready if frozenset(node.needs - done) == needs]
            placed |= {node.folder for node in ready}
            left = [node for node in left if node.folder not in placed]

    def script(self, nodes: Sequence[Node], jobs: Sequence[str] = ()) -> str:
        """What sbatch is given for some nodes.

        Args:
            nodes: of an array.
            jobs: that it waits for.
        """
        from submitit.slurm import slurm

        parameters = self._parameters(jobs) | ({"map_count": len(nodes)} if len(nodes) > 1 else {})
        command = shlex.join([sys.executable, "-u", "-m", "submitit.core._submit", str(self._folder)])
        return str(slurm._make_sbatch_string(command, self._folder, **parameters))

    def _parameters(self, jobs: Sequence[str]) -> dict[str, Any]:
        """As submitit names them."""
        settings = self._settings
        return {
            "job_name": self._name,
            "time": settings.minutes,
            "partition": settings.partition,
            "cpus_per_task": settings.cpus,
            "gpus_per_node": settings.gpus or None,
            "mem": None if settings.memory is None else f"{round(settings.memory * 1024)}MB",
            "setup": settings.setup or None,
            "signal_delay_s": SIGNAL_SECONDS,
            "srun_args": [f"--cpus-per-task={settings.cpus}"],  # srun no longer takes it from sbatch
            "wckey": None,
            "dependency": f"afterok:{':'.join(jobs)}" if jobs else None,
            "additional_parameters": {"requeue": True, "kill-on-invalid-dep": "yes", **settings.options},
            **({"array_parallelism": self._processes} if self._processes else {}),
        }

    def job(self, node: Node) -> NodeJob:
        """What the job of a node does."""
        linked = {name: folder.resolve() for name, folder in node.linked.items()}
        return NodeJob(node.folder.resolve(), node.tasks, linked, self._settings.cpus)

    def _submit(self, nodes: Sequence[Node], jobs: Sequence[str]) -> list[str]:
        """Submit an array (one node: a job); the jobs' names in Slurm."""
        import submitit

        if shutil.which("srun") is None:
            raise RunError(
                "there is no Slurm on this machine (no srun): call this where the cluster takes jobs, or train here "
                "without --executor slurm"
            )
        for node in nodes:
            node.folder.mkdir(parents=True, exist_ok=True)
            write_text(RunFolder(node.folder).recipe, node.recipe.to_yaml())
        try:
            executor = submitit.SlurmExecutor(self._folder, max_num_timeout=self._settings.restarts)
            executor.update_parameters(**self._parameters(jobs))
            with executor.batch():
                submitted = [executor.submit(self.job(node)) for node in nodes]
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            what = " ".join(str(error).split())[:LONGEST_REASON]
            raise RunError(
                f"Slurm took no jobs: {what}; --dry-run prints what sbatch is given, from the sweep's section slurm"
            ) from None
        return [job.job_id for job in submitted]

    def _adopt(self, waiting: Sequence[Node]) -> None:
        """Find the jobs that were submitted before and haven't ended."""
        path = self._folder / RECORD
        if not path.exists():
            return
        known = read_json(path, _Records, "no job is known without it; scancel them and delete the file")["jobs"]
        states = _states()
        for node in waiting:
            record = known.get(str(node.folder.resolve()))
            if record and states.get(record["job"], "COMPLETED") not in ENDED:
                self._jobs[node.folder] = _Job(node, record["job"], record["log"])

    def _remember(self) -> None:
        jobs = {str(folder.resolve()): _Record(job=job.id, log=job.log) for folder, job in self._jobs.items()}
        write_json(self._folder / RECORD, {"jobs": jobs})

    def ended(self) -> list[Ended]:
        """See `Executor`; Slurm is asked every few seconds."""
        if not self._jobs or time.monotonic() - self._polled < POLL_SECONDS:
            return []
        try:
            states = _states()
        except RunError as error:
            logger.warning("%s; it is asked again", error)
            return []
        finally:
            self._polled = time.monotonic()
        found = []
        for folder, job in list(self._jobs.items()):
            state = states.get(job.id)
            if state == "RUNNING" and job.begun is None:
                job.begun = time.monotonic()
            if state is None or state in ENDED:
                del self._jobs[folder]
                seconds = time.monotonic() - (job.begun or time.monotonic())
                found.append(Ended(job.node, seconds, self._failure(job, state)))
        self._show(Counter(states[job.id] for job in self._jobs.values()))
        return found

    def _failure(self, job: _Job, state: str | None) -> str | None:
        """Why a job that ended failed; None if its node is done. Slurm forgets jobs after some minutes."""
        if state == "COMPLETED" or (state is None and job.node.done()):
            return None
        if state in ("FAILED", None) and (words := said(job.node.folder, job.log)):
            return words
        return f"job {job.id}: {(state or 'unknown to Slurm').lower()}; see {self._folder / job.id}_0_log.err"

    def _show(self, seen: Counter[str]) -> None:
        if seen != self._seen and seen:
            logger.info("jobs: %s", ", ".join(f"{count} {state.lower()}" for state, count in sorted(seen.items())))
        self._seen = seen

    def stop(self) -> str:
        """See `Executor`: jobs go on."""
        ids = " ".join(sorted({job.id.partition("_")[0] for job in self._jobs.values()}, key=int))
        return f"its jobs go on ('scancel {ids}' ends them)" if ids else "no job is left"


def _states() -> dict[str, str]:
    """The states of this user's jobs by name, of those that Slurm still knows.

    squeue is asked and not sacct, which needs an accounting database.

    Raises:
        RunError: squeue fails.
    """
    command = ["squeue", "--me", "--array", "--noheader", "--states=all", "--format=%i %T"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except FileNotFoundError:
        raise RunError("there is no squeue here: --executor slurm must be started where Slurm's commands are") from None
    except subprocess.SubprocessError as error:
        told = getattr(error, "stderr", None) or str(error)
        raise RunError(f"squeue doesn't answer: {' '.join(str(told).split())[:LONGEST_REASON]}") from None
    return {name: state for name, _, state in (line.partition(" ") for line in answer.stdout.splitlines())}
