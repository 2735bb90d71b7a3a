"""The process that does one node of a sweep: `python -m neuronspec.sweep.worker RUN TASK...`.

It is a process of its own, so that its failure is its own, its memory is measured alone and a GPU is freed after it.
It stops, saving what a training has, when the sweep that started it is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from neuronspec.core.errors import NeuronspecError
from neuronspec.core.progress import Bars
from neuronspec.core.signals import INTERRUPTED, SignalReceived, heed_signals

logger = logging.getLogger(__name__)

LONGEST_WAIT = 120.0
"""Seconds for a worker of a killed sweep to leave the folder."""


def main(arguments: list[str]) -> int:
    """Do the tasks in a run folder that `nodes.link` prepared; the exit code."""
    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    heed_signals()
    _stop_with_parent()
    folder, tasks = Path(arguments[0]), arguments[1:]
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("neuronspec").setLevel(logging.INFO)
    try:
        Pipeline(Recipe.of_run(folder), folder, Bars()).execute(names=tasks, wait=LONGEST_WAIT)
    except NeuronspecError as error:
        logger.error("error: %s", error)
        return error.exit_code
    except SignalReceived as stopped:
        logger.error("%s", stopped)
        return INTERRUPTED
    return 0


def _stop_with_parent() -> None:
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
