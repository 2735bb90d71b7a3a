"""Compact models: the same outputs, fewer parameters, and the same again from disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.helpers.families import EACH, build_family, padded_inputs
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import toy_tokenizer
from torch import nn

from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.load import build_model
from neuronspec.models.settings import ModelSettings
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import compact, compact_report, count_parameters
from neuronspec.specialization.save import load, load_compact, save_compact, save_specialized
from neuronspec.specialization.scope import use_direction

SAME = 1e-6


def _logits(model: nn.Module, inputs: dict) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


def _difference(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference, relative to the largest value where that is above 1 (float32 has seven digits)."""
    return float((a - b).abs().max() / max(1.0, float(b.abs().max())))


@pytest.mark.parametrize("family", EACH)
@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_compact_is_the_specialized_model_and_survives_the_disk(family: str, semantics: str, tmp_path: Path) -> None:
    model = build_family(family)
    inputs, masks = padded_inputs(model), random_masks(model)
    dense = _logits(model, inputs)
    specialize(model, masks, semantics=semantics)
    with use_direction(model, "en-de"):
        expected = _logits(model, inputs)
    small = compact(model, "en-de")
    found = _logits(small, inputs)
    assert _difference(found, expected) < SAME
    assert _difference(found, dense) > 1e-3
    assert torch.equal(_logits(model, inputs), dense), "the model itself stays as it is"
    assert [site.width for site in find_ffn_sites(small)] == [int(mask.sum()) for mask in masks["en-de"].values()]
    save_compact(small, tmp_path / "small")
    again = load_compact(tmp_path / "small")
    assert _difference(_logits(again, inputs), found) < SAME
    assert compact_report(again) == compact_report(small)
    if family in ("m2m100", "gpt2", "llama-bias"):
        with pytest.raises(RuntimeError, match=r"[Mm]ismatch"):
            type(model).from_pretrained(tmp_path / "small")


def test_the_report_counts_parameters() -> None:
    model = build_family("m2m100")
    masks = random_masks(model)
    specialize(model, masks, components="decoder")
    report = compact_report(compact(model, "de-en"))
    saved = {name: int((~mask).sum()) for name, mask in masks["de-en"].items() if name.startswith("decoder")}
    assert report.direction == "de-en"
    assert report.dense_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert report.dense_parameters - report.parameters == sum(saved.values()) * (8 + 1 + 8)  # fc1, its bias, fc2
    assert report.widths == {name: 16 - number for name, number in saved.items()}
    with pytest.raises(ModelError, match="isn't a compact model"):
        compact_report(model)


class _ShiftedTanh(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x) + 0.5


def test_down_gets_a_bias_where_unselected_neurons_give_a_constant() -> None:
    model = build_family("t5")
    for site in find_ffn_sites(model):
        site.block.act = _ShiftedTanh()
    inputs = padded_inputs(model)
    specialize(model, random_masks(model))
    with use_direction(model, "en-de"):
        expected = _logits(model, inputs)
    small = compact(model, "en-de")
    assert all(site.down.bias is not None for site in find_ffn_sites(small))
    assert _difference(_logits(small, inputs), expected) < SAME
    assert all(site.down.bias is None for site in find_ffn_sites(model))


def test_a_full_mask_gives_the_dense_model() -> None:
    model = build_family("m2m100")
    inputs = padded_inputs(model)
    full = {site.name: torch.ones(site.width, dtype=torch.bool) for site in find_ffn_sites(model)}
    specialize(model, {"en-de": full})
    small = compact(model, "en-de")
    assert torch.equal(_logits(small, inputs), _logits(model, inputs))
    assert compact_report(small).parameters == compact_report(small).dense_parameters


def test_a_compact_model_in_bfloat16_comes_back_in_bfloat16(tmp_path: Path) -> None:
    model = build_family("m2m100").bfloat16()
    specialize(model, random_masks(model))
    small = compact(model, "en-de")
    save_compact(small, tmp_path)
    again = load_compact(tmp_path)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.bfloat16}
    inputs = padded_inputs(model)
    assert torch.allclose(_logits(again, inputs), _logits(small, inputs), atol=0.1)


def test_compact_needs_a_specialized_model_and_a_direction_it_has() -> None:
    model = build_family("m2m100")
    with pytest.raises(ModelError, match="isn't specialized"):
        compact(model, "en-de")
    specialize(model, random_masks(model))
    with pytest.raises(DirectionError, match="no masks for direction en-fr"):
        compact(model, "en-fr")
    with pytest.raises(ModelError, match="isn't a compact model"):
        save_compact(model, "never-written")
    assert not Path("never-written").exists()


def test_folders_that_are_not_compact_are_refused(tmp_path: Path) -> None:
    model = build_family("m2m100")
    specialize(model, random_masks(model))
    save_specialized(model, tmp_path / "specialized")
    with pytest.raises(ModelError, match="holds no compact model"):
        load_compact(tmp_path / "specialized")
    save_compact(compact(model, "en-de"), tmp_path / "small")
    with pytest.raises(ModelError, match="read it with load_compact"):
        load(tmp_path / "small")
    path = tmp_path / "small" / "neuronspec_compact.json"
    content = json.loads(path.read_text())
    for change, message in (
        ({"version": 2}, "version is 2 and should be 1"),
        ({"model_class": "Nothing"}, "no model class 'Nothing'"),
        ({"sites": {"encoder.9": {"width": 3, "down_bias": True}}}, "encoder.9"),
        ({"sites": {"encoder.0": {"width": 3, "down_bias": True}}}, "can't be loaded"),
    ):
        path.write_text(json.dumps(content | change))
        with pytest.raises(ModelError, match=message):
            load_compact(tmp_path / "small")
    path.write_text(json.dumps(content))
    weights = tmp_path / "small" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="can't be loaded"):
        load_compact(tmp_path / "small")


def test_an_encoder_with_its_own_embeddings_keeps_them(tmp_path: Path) -> None:
    settings = ModelSettings(preset="tiny", d_model=16, share_embeddings="decoder")
    model = build_model(settings, toy_tokenizer(), seed=1).eval()
    torch.nn.init.normal_(model.model.encoder.embed_tokens.weight)
    specialize(model, random_masks(model))
    small = compact(model, "en-de")
    save_compact(small, tmp_path)
    again = load_compact(tmp_path)
    tables = [one.get_encoder().embed_tokens.weight for one in (model, small, again)]
    assert all(torch.equal(table, tables[0]) for table in tables)
    assert again.lm_head.weight is again.model.shared.weight is again.model.decoder.embed_tokens.weight
    assert not torch.equal(tables[0], again.lm_head.weight)
    assert count_parameters(again) == count_parameters(small)
