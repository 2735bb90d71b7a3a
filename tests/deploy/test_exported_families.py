"""Exports and bundles of other families than ours: what they translate is what the specialized model does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.converted import CAUSAL, CONVERTED, SOURCES, made, opened
from tests.helpers.masked import random_masks

import neuronspec as ns
from neuronspec.core.errors import ModelError
from neuronspec.deploy.bundle import export_bundle
from neuronspec.deploy.directions import export_directions, export_one_bundle
from neuronspec.deploy.export import Sample
from neuronspec.deploy.manifest import Manifest
from neuronspec.deploy.opening import open_specialized
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.save import save_specialized

NAMES = ["de-en", "en-de"]
OPTIONS = {"beam": 3, "max_new_tokens": 12}


def specialized_in(family: str, folder: Path) -> Path:
    model, tokenizer = opened(made(family, folder))
    specialize(model, random_masks(model, tuple(NAMES)), semantics="neuron")
    save_specialized(model, folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow) if name == "qwen3" else name for name in CONVERTED]
)
def test_exports_and_bundles_translate_as_the_specialized_model(family: str, tmp_path: Path) -> None:
    model = specialized_in(family, tmp_path)
    (tmp_path / "sample.txt").write_text("\n".join(SOURCES), encoding="utf-8")
    for quantization in ("float32", "int8"):
        export_directions(model, NAMES, tmp_path / quantization, quantization, 6, tmp_path / "sample.txt", None)
        manifest = Manifest.load(tmp_path / quantization / "en-de")
        checked = manifest.directions["en-de"].verification
        assert checked is not None and checked.identical + checked.ties == 6
        assert manifest.directions["en-de"].neurons < manifest.dense_neurons
        assert (manifest.longest_source is None) == (family in ("t5", "mt5", "madlad"))
        assert bool(manifest.ends) == (family in CAUSAL)
    texts = [source for source in SOURCES if source]
    export_bundle(open_specialized(model), tmp_path / "bundle", "int8", {"en-de": Sample("texts", texts)})
    export_bundle(open_specialized(model), tmp_path / "exact", "float32")
    whole = ns.Translator(model, **OPTIONS)
    for name in NAMES:
        expected = whole(texts, name)
        assert len(set(expected)) > 2
        for folder in ("float32", "exact"):
            assert ns.Translator(tmp_path / folder, **OPTIONS)(texts, name) == expected
    assert ns.Translator(tmp_path / "int8", **OPTIONS)(texts, "en-de")
    if family in CAUSAL:  # of 256 positions, as many as a translation may have of other families
        small, large = (ns.Translator(folder, beam=1) for folder in (tmp_path / "float32", model))
        assert small(texts, "en-de") == large(texts, "en-de")


def test_weights_in_bfloat16_are_exported_as_they_are(tmp_path: Path) -> None:
    """Held against the specialized model in float32: in bfloat16 it would find other hypotheses."""
    model, tokenizer = opened(made("qwen3", tmp_path))
    specialize(model, random_masks(model, tuple(NAMES)), semantics="neuron")
    save_specialized(model.to(torch.bfloat16), tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "sample.txt").write_text("\n".join(SOURCES), encoding="utf-8")
    arguments = ("float32", 6, tmp_path / "sample.txt")
    export_directions(tmp_path / "model", NAMES, tmp_path / "single", *arguments, None)
    (bundle,) = export_one_bundle(tmp_path / "model", tmp_path / "bundle", *arguments)
    for facts in (Manifest.load(tmp_path / "single" / "en-de").model_dump(), bundle):
        checked = facts["directions"]["en-de"]["verification"]
        assert checked["identical"] + checked["ties"] == 6


def test_what_cant_be_converted_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    model = specialized_in("gemma2", tmp_path)
    with pytest.raises(
        ModelError, match="model can't be exported: .*soft caps, which Gemma 2 has; translate and serve"
    ):
        export_directions(model, ["en-de"], tmp_path / "out", "int8", 0, None, None)
    with pytest.raises(ModelError, match="soft caps"):
        export_directions(model, None, tmp_path / "out", "int8", 0, None, None)
    assert not (tmp_path / "out").exists()
