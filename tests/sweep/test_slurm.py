"""Sweeps in jobs of a real Slurm, of one node; its work is a stub's, which takes moments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.helpers.slurm_host import SlurmHost, slurm_host, within
from tests.helpers.slurm_stub import STEPS, StubNode, stub_nodes
from tests.helpers.slurm_stub_job import StubExecutor
from tests.helpers.toy_sweep import SMALL, command, sweep, write_sweep

from neuronspec.core.signals import Interrupted
from neuronspec.sweep.executors import slurm
from neuronspec.sweep.runner import Outcome, Runner
from neuronspec.sweep.settings import SlurmSettings

ROOT = Path(__file__).parents[2]
LONGEST = 60.0
ALL = [str(number) for number in range(STEPS)]


@pytest.fixture(scope="module")
def started() -> Iterator[SlurmHost]:
    with slurm_host() as host:
        if isinstance(host, str):
            pytest.skip(host)
        yield host


@pytest.fixture
def host(started: SlurmHost, monkeypatch: pytest.MonkeyPatch) -> SlurmHost:
    monkeypatch.setenv("SLURM_CONF", started.environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.2)
    return started


def runner(folder: Path, nodes: dict[str, StubNode], **settings: Any) -> Runner:
    made: Any = SimpleNamespace(name="stub", slurm=SlurmSettings(minutes=20, **settings))
    return Runner(list(nodes.values()), folder, StubExecutor(made, folder))  # type: ignore[arg-type]


def jobs_of(folder: Path) -> dict[str, str]:
    records = json.loads((folder / "jobs" / "jobs.json").read_text())["jobs"]
    return {Path(node).name: record["job"] for node, record in records.items()}


def run_again(folder: Path, nodes: dict[str, StubNode], said: str) -> Outcome:
    """Run the sweep; its jobs end when its log says something, since what ended before isn't waited for."""
    log = folder / "sweep.log"

    def go() -> None:
        within(LONGEST, lambda: log.exists() and said in log.read_text())
        (folder / "go").touch()

    going = threading.Thread(target=go)
    going.start()
    outcome = runner(folder, nodes).run()
    going.join()
    return outcome


def test_cancelled_jobs_lost_nodes_and_warnings_repeat_and_lose_nothing(host: SlurmHost, tmp_path: Path) -> None:
    needs: dict[str, list[str]] = {
        "first": [], "warned": ["first"], "cancelled": ["first"], "lost": ["first"], "last": ["first", "lost"],
    }  # fmt: skip
    nodes = stub_nodes(tmp_path, needs)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "steps").write_text("\n".join(ALL) + "\n")  # it has nothing to wait for
    assert runner(tmp_path, nodes).submit() == 5
    jobs = jobs_of(tmp_path)
    array = {jobs[name].partition("_")[0] for name in ("warned", "cancelled", "lost")}
    assert len(array) == 1 and jobs["last"].isdigit(), "what waits for the same jobs is one array"
    middle = [nodes[name] for name in ("warned", "cancelled", "lost")]
    assert within(LONGEST, lambda: all(node.holds for node in middle))

    # drained before the warning: a job that is requeued early would start here, and once more after the node is lost
    host.run("scontrol", "update", "nodename=localhost", "state=drain", "reason=test")
    host.run("scancel", "--signal=USR2", jobs["warned"])
    host.run("scancel", jobs["cancelled"])
    assert within(LONGEST, lambda: not nodes["warned"].holds and not nodes["cancelled"].holds)
    assert "drain" in host.run("sinfo", "--noheader", "--format=%T", "--partition=low") and nodes["lost"].holds
    host.run("scontrol", "update", "nodename=localhost", "state=down", "reason=test")
    host.run("scontrol", "update", "nodename=localhost", "state=resume")
    again = [nodes["warned"], nodes["lost"]]
    assert within(LONGEST, lambda: all(node.starts == 2 and node.holds for node in again))

    outcome = run_again(tmp_path, nodes, f"lost: waits for job {jobs['lost']}")
    assert outcome.done == {node.folder for node in nodes.values()} and not outcome.failed
    assert {name: node.steps for name, node in nodes.items()} == dict.fromkeys(nodes, ALL)
    assert (nodes["first"].starts, nodes["last"].starts, nodes["cancelled"].starts) == (1, 1, 2)
    log = (tmp_path / "sweep.log").read_text()
    assert all(f"{name}: waits for job {jobs[name]}" in log for name in ("warned", "lost"))
    assert log.count("cancelled: submitted as job") == 2
    assert "1 of 5 tasks are done already; 4 to do" in log


def test_a_failed_job_leaves_out_what_needs_it(host: SlurmHost, tmp_path: Path) -> None:
    nodes = stub_nodes(tmp_path, {"bad": [], "after": ["bad"], "apart": []})
    (tmp_path / "go").touch()
    outcome = runner(tmp_path, nodes).run()
    assert outcome.failed == {tmp_path / "bad": "it is bad"}
    assert outcome.skipped == {tmp_path / "after": "bad"} and outcome.done == {tmp_path / "apart"}
    assert not nodes["after"].steps


def test_a_stopped_sweep_leaves_its_jobs(host: SlurmHost, tmp_path: Path) -> None:
    nodes = stub_nodes(tmp_path, {"one": []})

    def stop() -> None:
        within(LONGEST, lambda: nodes["one"].holds)
        os.kill(os.getpid(), signal.SIGINT)

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Interrupted, match=r"its jobs go on \('scancel \d+' ends them\)"):
        runner(tmp_path, nodes).run()
    stopping.join()
    (tmp_path / "go").touch()
    assert runner(tmp_path, nodes).run().done == {tmp_path / "one"}
    assert (nodes["one"].starts, nodes["one"].steps) == (1, ALL)


@pytest.mark.slow
def test_a_preempted_job_saves_and_continues(host: SlurmHost, tmp_path: Path) -> None:
    nodes = stub_nodes(tmp_path, {"one": []})
    runner(tmp_path, nodes, partition="low").submit()
    assert within(LONGEST, lambda: nodes["one"].holds)
    host.run("srun", "--partition=high", "--exclusive", "true")
    assert "stopped" in (tmp_path / "one" / "sweep.log").read_text()
    said = f"one: waits for job {jobs_of(tmp_path)['one']}"
    assert run_again(tmp_path, nodes, said).done == {tmp_path / "one"}
    assert (nodes["one"].starts, nodes["one"].steps) == (2, ALL)
    assert said in (tmp_path / "sweep.log").read_text(), "Slurm queued it again"


@pytest.mark.slow
@pytest.mark.cli
def test_a_real_sweep_has_the_results_of_a_local_one(host: SlurmHost, tmp_path: Path) -> None:
    text = SMALL + "arms: {dense: , specialized: , half: {arm: averaged, set: {baselines.averaged.of: dense}}}\n"
    path, out = write_sweep(tmp_path, text), tmp_path / "out"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    words = command(path, "--out", out, "--executor", "slurm")
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:  # until the text is there
            if line.startswith("prepare-") and ": done" in line:
                process.send_signal(signal.SIGKILL)
                break
    training = next(name for node, name in jobs_of(out).items() if node.startswith("train-"))
    host.run("scancel", training)
    assert within(LONGEST, lambda: training not in host.run("squeue", "--me", "--array", "--noheader", "--format=%i"))
    text_made = next((out / "shared").glob("prepare-*/data/corpus.json")).stat().st_mtime_ns
    again = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert next((out / "shared").glob("prepare-*/data/corpus.json")).stat().st_mtime_ns == text_made
    local = sweep(path, "--out", tmp_path / "local", "--processes", 2)
    assert local.returncode == 0, local.stdout + local.stderr
    found, expected = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("out", "local"))
    assert list(found["entries"]) == ["dense", "specialized", "half"]
    assert found["arms"].keys() == expected["arms"].keys()
    for arm, directions in found["arms"].items():
        for direction, scores in directions.items():
            other = expected["arms"][arm][direction]
            loss = other["loss"]
            assert scores == other | {"loss": loss and pytest.approx(loss, rel=1e-5)}, (arm, direction)
