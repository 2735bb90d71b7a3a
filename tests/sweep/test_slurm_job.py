"""What jobs of a sweep are, without a cluster: settings, scripts, and the job itself in submitit's local executor."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
import submitit
from tests.helpers.slurm_host import within
from tests.helpers.slurm_stub import STEPS, stub_nodes
from tests.helpers.slurm_stub_job import StubJob
from tests.helpers.toy_sweep import write_sweep
from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.core.errors import RecipeError, RunError
from neuronspec.core.files import write_text
from neuronspec.core.run_folder import RunFolder
from neuronspec.sweep.executors import slurm, slurm_job
from neuronspec.sweep.executors.executor import threads_environment
from neuronspec.sweep.executors.slurm import SlurmExecutor
from neuronspec.sweep.executors.slurm_job import NodeJob
from neuronspec.sweep.nodes import nodes_of
from neuronspec.sweep.settings import Sweep

ROOT = Path(__file__).parents[2]
TEXT = """\
arms: {dense: , specialized: , half: {arm: averaged, set: {baselines.averaged.of: dense}}}
slurm: {partition: gpu, minutes: 90, gpus: 1, cpus: 4, memory: 2.5, setup: [module load cuda], options: {account: me}}
"""


def test_a_warned_job_saves_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    node = stub_nodes(tmp_path, {"one": []})["one"]
    node.folder.mkdir()
    job = submitit.LocalExecutor(tmp_path / "jobs").submit(StubJob(node.folder, (), {}, 1))
    assert within(60, lambda: node.holds)
    (task,) = psutil.Process(
        int(job.job_id)
    ).children()  # as Slurm does; the local executor warns at its time limit only
    task.send_signal(signal.SIGUSR2)
    assert within(60, lambda: node.starts == 2 and node.holds)
    (tmp_path / "go").touch()
    job.result()
    assert node.steps == [str(number) for number in range(STEPS)] and node.done()


def test_a_failed_worker_is_a_failed_job(tmp_path: Path) -> None:
    node = stub_nodes(tmp_path, {"bad": []})["bad"]
    node.folder.mkdir()
    with pytest.raises(RunError, match="it is bad"):
        StubJob(node.folder, (), {}, 1)()


def test_a_job_does_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = nodes_of(Sweep.load(write_sweep(tmp_path, "arms: {dense: }\n")), tmp_path / "out")[0]
    node.folder.mkdir(parents=True)
    write_text(RunFolder(node.folder).recipe, node.recipe.to_yaml())
    started: list[tuple[Any, ...]] = []
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(slurm_job, "start_worker", lambda *words: started.append(words))
    NodeJob(node.folder, node.tasks, node.linked, 3).start()
    ((folder, tasks, environment),) = started
    assert (folder, tasks, environment["OMP_NUM_THREADS"]) == (node.folder, ("prepare",), "3")


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, ("3", "3")), ({"OMP_NUM_THREADS": "1"}, ("1", "1")), ({"MKL_NUM_THREADS": "2"}, ("2", "2")),
     ({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "2"}, ("1", "2"))],
)  # fmt: skip
def test_all_libraries_get_one_number_of_threads(
    given: dict[str, str], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = threads_environment(3)
    assert tuple(found[name] for name in names) == expected


def test_what_waits_for_the_same_is_one_array(tmp_path: Path) -> None:
    sweep = Sweep.load(write_sweep(tmp_path, TEXT + "seeds: [1, 2]\n"))
    nodes = nodes_of(sweep, tmp_path / "out")
    arrays = [[node.name for node in array] for _, array in SlurmExecutor(sweep, tmp_path / "out").arrays(nodes, set())]
    kinds = [[name.rpartition("-")[0] if "/" not in name else name for name in array] for array in arrays]
    assert [sorted(kind) for kind in kinds] == [
        ["prepare"], ["evaluate-copy", "train"],
        ["dense/seed-1", "dense/seed-2", "evaluate-base", "record"], ["select"], ["half/seed-1"], ["half/seed-2"],
        ["specialized/seed-1", "specialized/seed-2"],
    ]  # fmt: skip


def test_a_dry_run_prints_the_jobs(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, TEXT)
    words = ["sweep", str(path), "--out", str(tmp_path / "out"), "--executor", "slurm", "--dry-run"]
    said = CliRunner().invoke(app, words).output
    assert "job array: train-" in said and "job: half/seed-1, after dense/seed-1" in said
    for option in (
        "partition=gpu",
        "time=90",
        "gpus-per-node=1",
        "cpus-per-task=4",
        "mem=2560MB",
        "account=me",
        "requeue",
    ):
        assert f"#SBATCH --{option}\n" in said
    assert "\nmodule load cuda\n" in said and "srun --unbuffered" in said and "--cpus-per-task=4 " in said
    assert not (tmp_path / "out").exists()


def test_mistakes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="time can't be an option: it is minutes"):
        Sweep.load(write_sweep(tmp_path, "arms: {dense: }\nslurm: {options: {time: 5}}\n"))
    path = write_sweep(tmp_path, "arms: {dense: }\n")
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["sweep", str(path), "--executor", "slrum"])
    assert isinstance(told.exception, RecipeError) and "did you mean 'slurm'?" in str(told.exception)
    assert not (tmp_path / "sweeps").exists()
    told = CliRunner().invoke(app, ["sweep", str(path), "--detach"])
    assert isinstance(told.exception, RecipeError) and "--executor slurm" in str(told.exception)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = CliRunner().invoke(app, ["sweep", str(path), "--out", str(tmp_path / "out"), "--executor", "slurm"])
    assert isinstance(told.exception, RunError) and "no Slurm on this machine (no srun)" in str(told.exception)
    with pytest.raises(RunError, match="there is no squeue here"):
        slurm._states()


def test_squeue_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho 'no controller' >&2\nexit 1\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(RunError, match="squeue doesn't answer: no controller"):
        slurm._states()
