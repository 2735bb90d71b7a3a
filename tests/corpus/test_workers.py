"""Work in several processes: in order, few at a time, and none left behind."""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest
from tests.helpers.worker_functions import die_at_five, refuse_five, square_in

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.workers import FEW, Workers, available_cores

ROOT = Path(__file__).parents[2]


def test_results_come_in_order_from_several_processes() -> None:
    with Workers(2) as workers:
        results = list(workers.map(square_in, range(40)))
    assert [square for square, _ in results] == [number * number for number in range(40)]
    processes = {process for _, process in results}
    assert 1 <= len(processes) <= 2 and os.getpid() not in processes
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("number", "items"), [(1, 40), (2, FEW - 1), (2, 0)])
def test_one_worker_or_few_items_stay_in_this_process(number: int, items: int) -> None:
    with Workers(number) as workers:
        results = list(workers.map(square_in, range(items)))
    assert [square for square, _ in results] == [item * item for item in range(items)]
    assert {process for _, process in results} <= {os.getpid()}


def test_few_items_are_under_way_at_once() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    with Workers(2) as workers:
        results = workers.map(square_in, items())
        for _ in range(10):
            next(results)
    assert 10 <= taken <= 10 + FEW


def test_an_error_in_a_worker_is_the_callers_and_ends_the_workers() -> None:
    with pytest.raises(ValueError, match="five"), Workers(2) as workers:
        list(workers.map(refuse_five, range(40)))
    assert not multiprocessing.active_children()


def test_a_killed_worker_is_one_readable_error() -> None:
    with pytest.raises(CorpusError, match=r"was killed.*corpus.workers below 2"), Workers(2) as workers:
        list(workers.map(die_at_five, range(40)))
    assert not multiprocessing.active_children()


def test_workers_end_with_their_parent_however_it_ends() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.worker_functions"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        processes: set[int] = set()
        while len(processes) < 2:
            processes.add(int(parent.stdout.readline()))
        parent.kill()
    assert parent.pid not in processes
    wait_until(lambda: not any(map(alive, processes)))


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_cores() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_ctrl_c_leaves_neither_files_nor_processes(tmp_path: Path) -> None:
    """The table is a pipe that doesn't end before, so that the text is still being read when the signal comes."""
    table = tmp_path / "table.tsv"
    os.mkfifo(table)
    recipe = {
        "name": "stopped",
        "corpus": {"train": {"reader": "tsv", "path": "table.tsv"}, "languages": ["de"], "workers": 2},
        "training": {"updates": 1},
        "continuation": {"updates": 1},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    run = tmp_path / "run"
    command = [sys.executable, "-m", "neuronspec", "run", str(tmp_path / "recipe.yaml"), "--out", str(run)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    ) as process:  # fmt: skip
        writer = opened_for_writing(table, process)
        rows = [f"{number} one two\t{number} eins zwei\n" for number in range(80_000)]
        writer.write("en\tde\n" + "".join(rows))
        writer.flush()
        # workers have sent something
        while not any(file.stat().st_size >= 10_000 for file in run.glob(".data.*.new/rows/train.arrow")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(BrokenPipeError):
            writer.close()  # another thread may have got the signal, which leaves a read waiting
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in output, output.decode()
    assert not [path.name for path in run.iterdir() if "data" in path.name]
    wait_until(lambda: not any(alive(int(other.name)) for other in session(process.pid)))


def opened_for_writing(pipe: Path, reader: subprocess.Popen[bytes]) -> TextIO:
    """A named pipe, once `reader` has opened it."""
    while True:
        try:
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO and reader.poll() is None
            time.sleep(0.01)
        else:
            os.set_blocking(descriptor, True)
            return os.fdopen(descriptor, "w", encoding="utf-8")


def session(leader: int) -> Iterator[Path]:
    """The processes in the session of `leader`."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text().rpartition(")")[2].split()[3]) == leader:
                yield process
        except OSError:
            continue


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)
