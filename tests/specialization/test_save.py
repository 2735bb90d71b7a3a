"""Folders of specialized models: plain Hugging Face checkpoints with masks beside."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import random_masks
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from neuronspec.core.errors import MaskError, ModelError
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.save import load, save_specialized
from neuronspec.specialization.scope import use_direction


def _logits(model: nn.Module, inputs: dict) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama", "gpt2"])
@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_saved_and_loaded_is_the_same_and_without_neuronspec_the_dense_model(
    family: str, semantics: str, tmp_path: Path
) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    dense = _logits(model, inputs)
    specialize(model, random_masks(model), semantics=semantics)
    save_specialized(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert specialization_of(again).semantics == semantics
    for direction in ("en-de", "de-en"):
        with use_direction(model, direction), use_direction(again, direction):
            assert torch.allclose(_logits(again, inputs), _logits(model, inputs), atol=1e-5)
    auto = AutoModelForSeq2SeqLM if model.config.is_encoder_decoder else AutoModelForCausalLM
    plain = auto.from_pretrained(tmp_path / "model")
    assert list(plain.state_dict()) == list(build_family(family).state_dict())
    assert torch.allclose(_logits(plain, inputs), dense, atol=1e-5)


@pytest.mark.parametrize("components", ["encoder", "decoder", "both"])
def test_the_components_come_back(components: str, tmp_path: Path) -> None:
    model = build_family("m2m100")
    specialize(model, random_masks(model), components=components)
    save_specialized(model, tmp_path)
    again = load(tmp_path)
    assert specialization_of(again).components == components
    sites = specialization_of(model).sites
    assert [site.name for site in specialization_of(again).sites] == [site.name for site in sites]


def test_saving_into_a_folder_keeps_other_files_and_replaces_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    for seed in (0, 1):
        model = build_family("m2m100", seed=seed)
        specialize(model, random_masks(model, seed=seed))
        save_specialized(model, folder)
    assert (folder / "tokenizer.json").read_text() == "{}"
    assert torch.equal(load(folder).state_dict()["lm_head.weight"], model.state_dict()["lm_head.weight"])
    assert list(tmp_path.iterdir()) == [folder], "no temporary folder is left"


def test_folders_that_are_not_specialized_are_refused(tmp_path: Path) -> None:
    model = build_family("m2m100")
    with pytest.raises(ModelError, match="isn't specialized"):
        save_specialized(model, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(ModelError, match="nowhere"):
        load(tmp_path / "nowhere")
    model.save_pretrained(tmp_path / "dense")
    with pytest.raises(MaskError, match=r"no neuron_masks\.safetensors: it is a dense model"):
        load(tmp_path / "dense")
    other = NeuronMasks.from_dict(random_masks(build_family("t5")))
    other.save(tmp_path / "dense" / "neuron_masks.safetensors")
    with pytest.raises(MaskError, match="of another model"):
        load(tmp_path / "dense")
