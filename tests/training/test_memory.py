"""The arithmetic of a machine, and the peak of memory."""

from __future__ import annotations

import os

import pytest
import torch
from tests.helpers.toy_corpus import toy_model

from neuronspec.training.memory import peak_memory, reset_peak_memory


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="this system can't reset a process's peak")
def test_the_peak_of_memory_is_measured_anew() -> None:
    model = toy_model()
    reset_peak_memory(torch.device("cpu"))
    before = peak_memory(model)
    held = torch.ones(2**28, dtype=torch.uint8)
    during = peak_memory(model)
    del held
    reset_peak_memory(torch.device("cpu"))
    assert during > before + 2**27 > peak_memory(model)
