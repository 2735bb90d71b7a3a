"""Memory is estimated as PyTorch uses it, and compared with what the machine or its container has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.footprint import activation_bytes, count_parameters, main_memory
from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings

UNEQUAL = {"encoder_layers": 1, "decoder_layers": 3, "encoder_ffn_dim": 48, "decoder_ffn_dim": 160}
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def build(settings: ModelSettings, vocabulary: int) -> Any:
    fields = PRESETS.get(settings.preset) | settings.overrides
    return M2M100ForConditionalGeneration(M2M100Config(**fields, **IDS, vocab_size=vocabulary))


@pytest.mark.parametrize("settings", [*({"preset": name} for name in PRESETS), {"preset": "tiny"} | UNEQUAL], ids=str)
def test_parameters_are_those_of_the_model(settings: dict[str, Any]) -> None:
    checked = ModelSettings.model_validate(settings)
    with torch.device("meta"):
        model = build(checked, 1234)
    assert count_parameters(checked, 1234) == model.num_parameters()


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    "settings", [{"preset": "tiny"}, {"preset": "tiny", "dropout": 0.1}, {"preset": "small"}, UNEQUAL], ids=str
)
def test_the_allowance_for_activations_is_near_what_is_kept(settings: dict[str, Any], checkpointing: bool) -> None:
    checked = ModelSettings.model_validate({"preset": "tiny"} | settings)
    model = build(checked, 300).train()
    use_fast_attention(model)
    if checkpointing:
        model.gradient_checkpointing_enable()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (storage := tensor.untyped_storage()).data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(3, 300, (8, 32), generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outcome = model.model(input_ids=ids, attention_mask=torch.ones_like(ids), decoder_input_ids=ids)
    assert outcome.last_hidden_state.requires_grad
    allowed, found = activation_bytes(checked, ids.numel(), checkpointing=checkpointing), sum(kept.values())
    if checkpointing:  # one layer at a time is computed again, which isn't seen here
        assert found < allowed < activation_bytes(checked, ids.numel())
    else:
        assert 0.8 * found < allowed < 1.25 * found


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, ("the machine", None, None)),
        ("max", ("the machine", None, None)),
        (str(2**60), ("the machine", None, None)),
        ("200000", ("the container", 200_000, 80_000)),
        ("100000", ("the container", 100_000, 0)),
    ],
)
def test_memory_is_the_containers_where_that_is_less(tmp_path: Path, limit: str | None, expected: tuple[Any]) -> None:
    if limit is not None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text("150000\n")
        (tmp_path / "memory.stat").write_text("anon 70000\ninactive_file 30000\nactive_file 50\n")
    found = main_memory(tmp_path)
    assert (found.where, found.total if expected[1] else None, found.free if expected[1] else None) == expected
    assert 0 <= found.free <= found.total <= psutil.virtual_memory().total
