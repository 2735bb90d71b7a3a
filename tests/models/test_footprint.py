"""Memory is estimated as PyTorch uses it, and compared with what the machine or its container has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tests.helpers.families import build_family
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.models.dimensions import Dimensions
from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.footprint import Plan, activation_bytes, footprint, main_memory
from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings
from neuronspec.models.sites import FFNSite, find_ffn_sites

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
    assert Dimensions.of_settings(checked, 1234).parameters == model.num_parameters()
    assert Dimensions.of_config(model.config.to_dict()) == Dimensions.of_settings(checked, 1234)


@pytest.mark.parametrize(
    ("family", "off"),
    [("mbart", 0), ("bart", 0), ("marian", 0), ("pegasus", 0), ("t5", 0), ("t5-gated", 0), ("mt5", 0), ("llama", 0),
     ("gemma", 0), ("qwen3", 0.03), ("gemma2", 0.05), ("gpt-neox", 0.15), ("nemotron", 0.05)],
)  # fmt: skip
def test_parameters_of_other_families(family: str, off: float) -> None:
    """Of some the norms inside of attention, or beside it, aren't counted."""
    model = build_family(family)
    shape = Dimensions.of_config(model.config.to_dict())
    assert shape is not None
    assert abs(shape.parameters - model.num_parameters()) <= off * model.num_parameters()
    ffn = sum(site_parameters(site) for site in find_ffn_sites(model))
    assert shape.ffn == ffn


def site_parameters(site: FFNSite) -> int:
    return sum(parameter.numel() for layer in (*site.ups, site.down) for parameter in layer.parameters())


def test_a_config_of_unknown_sizes_has_no_dimensions() -> None:
    assert Dimensions.of_config({"model_type": "gpt2", "n_embd": 8}) is None


SHAPES = {"mT-small": (512, 1024, 6, 32_000), "mT-big": (1024, 4096, 6, 64_000), "NLLB": (1024, 4096, 12, 256_206)}
MEASURED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "gpu.json").read_text())["steps"]


@pytest.mark.parametrize("name", [name for name in MEASURED if name.endswith("tokens")])
def test_the_footprint_is_near_what_was_measured_on_a_gpu(name: str) -> None:
    kind, _, tokens = name.removesuffix(" tokens").partition(", ")
    width, ffn, layers, vocabulary = SHAPES[kind]
    sizes = {"encoder_ffn_dim": ffn, "decoder_ffn_dim": ffn, "encoder_layers": layers, "decoder_layers": layers}
    shape = Dimensions.of_settings(ModelSettings(d_model=width, encoder_attention_heads=8, decoder_attention_heads=8,
                                                 **sizes), vocabulary)  # fmt: skip
    found = footprint(shape, Plan(int(tokens), bf16=True, logits=2**27)).total
    assert found == pytest.approx(2**30 * MEASURED[name]["peak GiB"]["dense"], rel=0.15)


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
    shape = Dimensions.of_settings(checked, 300)
    allowed, found = activation_bytes(shape, ids.numel(), checkpointing=checkpointing), sum(kept.values())
    if checkpointing:  # one layer at a time is computed again, which isn't seen here
        assert found < allowed < activation_bytes(shape, ids.numel())
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
