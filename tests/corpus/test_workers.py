"""Work in several processes: in order, few at a time, and none left behind."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neuronspec.corpus.workers import FEW, Workers, available_cores
from neuronspec.errors import CorpusError
from worker_functions import die_at_five, refuse_five, square_in

HELPER = Path(__file__).parent.parent / "worker_functions.py"


def test_results_come_in_order_from_several_processes() -> None:
    with Workers(2) as workers:
        results = list(workers.map(square_in, range(40)))
    assert [square for square, _ in results] == [number * number for number in range(40)]
    processes = {process for _, process in results}
    assert len(processes) == 2 and os.getpid() not in processes
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
    with subprocess.Popen([sys.executable, str(HELPER)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        processes = {int(parent.stdout.readline()) for _ in range(40)}
        parent.kill()
    assert len(processes) == 2 and parent.pid not in processes
    deadline = time.monotonic() + 60
    while any(map(alive, processes)):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_cores() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
