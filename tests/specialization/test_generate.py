"""`generate` on specialized models: greedy, beam search, sampling, with the key-value cache, one direction a row."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.families import EOS, PAD, build_family, padded_inputs
from tests.helpers.masked import random_masks
from torch import nn

from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import compact
from neuronspec.specialization.scope import use_direction, use_directions

WAYS = {
    "greedy": {"num_beams": 1, "do_sample": False},
    "beam": {"num_beams": 3, "do_sample": False},
    "sampling": {"num_beams": 1, "do_sample": True, "num_return_sequences": 2},
}


def _generate(model: nn.Module, rows: slice, way: str, **options: object) -> list[list[int]]:
    inputs = padded_inputs(model, rows=4, left=not model.config.is_encoder_decoder)
    torch.manual_seed(7)
    tokens = model.generate(
        input_ids=inputs["input_ids"][rows], attention_mask=inputs["attention_mask"][rows], max_new_tokens=6,
        min_new_tokens=6, pad_token_id=PAD, eos_token_id=EOS, **WAYS[way], **options,
    )  # fmt: skip
    return tokens.tolist()


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama", "opt"])
@pytest.mark.parametrize("way", WAYS)
def test_every_method_generates_what_the_compact_model_generates(family: str, way: str) -> None:
    for method in ("compact", "rows", "auto"):
        model = build_family(family, dtype=torch.float64)
        dense = _generate(model, slice(None), way)
        specialize(model, random_masks(model), method=method)
        small = compact(model, "en-de")
        expected = _generate(small, slice(None), way)
        with use_direction(model, "en-de"):
            assert _generate(model, slice(None), way) == expected
            assert _generate(model, slice(None), way, use_cache=False) == expected
        assert _generate(model, slice(None), way) == dense


@pytest.mark.parametrize("family", ["m2m100", "t5", "llama", "opt"])
@pytest.mark.parametrize("way", ["greedy", "beam"])
def test_a_direction_for_each_row(family: str, way: str) -> None:
    model = build_family(family)
    specialize(model, random_masks(model))
    expected = []
    for row, direction in enumerate(["en-de", "de-en", "en-de", "de-en"]):
        with use_direction(model, direction):
            expected += _generate(model, slice(row, row + 1), way)
    with use_directions(model, ["en-de", "de-en", "en-de", "de-en"]):
        found = _generate(model, slice(None), way)
    assert found == expected


def test_sampled_rows_share_the_direction_of_their_source() -> None:
    """Four identical sources, two directions, two samples each: in rows of one direction `generate` sees the same
    first scores."""
    model = build_family("m2m100")
    specialize(model, random_masks(model))
    source = padded_inputs(model, rows=1)["input_ids"].expand(2, -1)
    with use_directions(model, ["en-de", "de-en"]):
        out = model.generate(
            input_ids=source, max_new_tokens=2, do_sample=True, num_return_sequences=2, output_logits=True,
            return_dict_in_generate=True, num_beams=1,
        )  # fmt: skip
    first = out.logits[0]
    assert torch.allclose(first[0], first[1], atol=1e-5)
    assert torch.allclose(first[2], first[3], atol=1e-5)
    assert not torch.allclose(first[0], first[2], atol=1e-3)
