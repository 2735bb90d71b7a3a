"""Settings for all tests: one thread, so that sums are made in one order."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest
import torch
from hypothesis import settings

from tests.helpers.made_up import make_activations, make_masks  # noqa: F401 - fixtures

torch.set_num_threads(1)
settings.register_profile("suite", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def library_log() -> Iterator[None]:
    """A command that runs in the tests' process shows the library's log; after each test it is as it was before."""
    library = logging.getLogger("neuronspec")
    handlers, level, propagate = list(library.handlers), library.level, library.propagate
    yield
    library.handlers, library.propagate = handlers, propagate
    library.setLevel(level)
