"""Settings for all tests: one thread, so that sums are made in one order."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
import transformers
from hypothesis import settings

from tests.helpers.absent import absent  # noqa: F401 - a fixture
from tests.helpers.made_up import make_activations, make_masks  # noqa: F401 - fixtures

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with it ignored
settings.register_profile("suite", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("suite")


def pytest_report_header() -> str:
    return f"tested with: transformers {transformers.__version__}, torch {torch.__version__}"


def pytest_collection_finish() -> None:
    """Modules stay: no collection of garbage, of which CTranslate2 asks for one per layer, looks through them."""
    gc.collect()
    gc.freeze()


_LIBRARY = logging.getLogger("neuronspec")
_UNUSED = list(_LIBRARY.handlers), _LIBRARY.level, _LIBRARY.propagate


@pytest.fixture(autouse=True)
def library_log() -> Iterator[None]:
    """What a command shows of the library's log, run in this process by a test or a fixture, is seen by no other."""
    _reset_library_log()
    yield
    _reset_library_log()


def _reset_library_log() -> None:
    handlers, level, _LIBRARY.propagate = _UNUSED
    _LIBRARY.handlers = list(handlers)
    _LIBRARY.setLevel(level)
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("neuronspec.") and isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)  # a server silences those of documents
            logger.disabled = False
