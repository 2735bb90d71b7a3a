"""What an analysis takes, against the tensors that the model then has."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs

from neuronspec.analysis.memory_needed import MemoryNeeded, check_memory, memory_of
from neuronspec.core.errors import RecipeError
from neuronspec.models.batch import Batch
from neuronspec.models.footprint import Room
from neuronspec.models.load import load_model, outline_model

NEEDED = MemoryNeeded(weights=14 * 10**9, recorded=10**8, batch=9 * 10**8, dtype="bfloat16", parameters=7 * 10**9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, "auto"])
@pytest.mark.parametrize("family", ["m2m100", "marian", "t5", "mt5", "madlad", "llama", "gemma2", "qwen3"])
def test_weights_are_those_that_are_loaded(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    build_family(family, dtype=torch.bfloat16).save_pretrained(tmp_path)
    outline, model = outline_model(tmp_path, dtype), load_model(tmp_path, dtype=dtype)
    assert {parameter.device.type for parameter in outline.parameters()} == {"meta"}
    held = sum(tensor.numel() * tensor.element_size() for tensor in [*model.parameters(), *model.buffers()])
    needed = memory_of(outline, {"en-de": [Batch("en-de", padded_inputs(model))]})
    assert abs(needed.weights - held) <= 4 * 128 * 8  # M2M100 makes its positions when it is first called
    assert needed.parameters == model.num_parameters()


def test_a_direction_more_takes_its_sums() -> None:
    model = build_family("llama")
    batch = Batch("en-de", padded_inputs(model))
    one, two = (memory_of(model, {f"en-x{number}": [batch] for number in range(count)}) for count in (1, 2))
    assert two.recorded == 2 * one.recorded == 2 * 3 * 12 * 16 * 6
    assert two.batch == one.batch > 0


def test_weights_that_do_not_fit_are_refused_with_a_way_out() -> None:
    with pytest.raises(RecipeError, match=r"14.0 GB for 7,000 million parameters in bfloat16.*has 8.0 GB.*device-map"):
        check_memory(NEEDED, None, Room("the machine", 8 * 10**9, 6 * 10**9))
    check_memory(NEEDED, "auto", Room("the machine", 8 * 10**9, 6 * 10**9))


@pytest.mark.parametrize(("free", "warns"), [(16, False), (14.5, True)])
def test_it_is_told_and_a_warning_where_it_may_not_fit(
    free: float, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "neuronspec"):
        check_memory(NEEDED, None, Room("the machine", 20 * 10**9, int(free * 10**9)))
    told, *more = caplog.records
    assert "needs about 15.0 GB" in told.getMessage() and f"has {free:.1f} GB free" in told.getMessage()
    assert [record.levelno for record in more] == [logging.WARNING] * warns
