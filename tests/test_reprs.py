"""What objects of the API look like in a shell and in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import neuronspec as ns
from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.core.table import Table
from neuronspec.training.model_folder import export_model
from tests.helpers.fake_run import fake_run
from tests.helpers.families import build_family
from tests.helpers.toy_corpus import toy_model, toy_tokenizer


def masks() -> ns.NeuronMasks:
    own = {"encoder.0": torch.tensor([True, False, False, False]), "decoder.0": torch.tensor([True, True])}
    other = {"encoder.0": torch.tensor([True, True, False, False]), "decoder.0": torch.tensor([True, False])}
    return ns.NeuronMasks.from_dict({"en-de": own, "de-en": other})


def test_sparsity_of_a_direction() -> None:
    found = masks()
    assert found.sparsity("en-de") == found.sparsity("direction")["en-de"] == 0.5
    assert found.sparsity(ns.Direction("de", "en")) == found.sparsity("deu-eng") == 0.5
    with pytest.raises(DirectionError, match="no masks for direction en-fr"):
        found.sparsity("en-fr")
    with pytest.raises(MaskError, match="did you mean 'site'.*or a direction such as en-de"):
        found.sparsity("sites")


def test_masks_and_activations_are_tables_in_a_notebook() -> None:
    html = masks()._repr_html_()
    assert "<td>en-de</td><td>75.0%</td><td>0.0%</td>" in html and "NeuronMasks(2 directions, 2 sites" in html
    activations = fake_run().activations
    assert activations is not None
    assert repr(activations).startswith(f"Activations({len(activations.directions)} directions, ")
    assert activations._repr_html_().count("<tr>") == len(activations.directions) + 1


def test_tables_escape_what_they_show() -> None:
    html = Table("a < b", ["<head>"], [["<script>"]], "note & more")._repr_html_()
    assert "<script>" not in html and "a &lt; b" in html and "&lt;head&gt;" in html and "note &amp; more" in html


def test_sites_are_short() -> None:
    assert [repr(site) for site in ns.find_ffn_sites(build_family("m2m100"))][:1] == [
        "FFNSite('encoder.0', 12 neurons, ReLU)"
    ]
    assert "12 neurons, gated" in repr(ns.find_ffn_sites(build_family("llama"))[0])


def test_results_are_a_table_in_a_notebook() -> None:
    results = fake_run().results.model_copy(update={"recipe": "<b>"})
    assert repr(results).startswith("Results(<b>: copy, base, ") and len(repr(results)) < 200
    html = results._repr_html_()
    assert "<caption>&lt;b&gt;: mean of " in html and html.count("<tr>") == len(results.arms) + 1
    direction = next(iter(results.arms["base"]))
    asked = {"arms": {"base": {direction: results.arms["base"][direction]}}, "directions": [direction, "en-xx"]}
    assert "(1 of 2)" in results.model_copy(update=asked)._repr_html_(), "what is missing is told"


def test_translators_say_what_they_hold(tmp_path: Path) -> None:
    model = toy_model()
    export_model(model, toy_tokenizer(), tmp_path / "<dense>")
    dense = ns.Translator(tmp_path / "<dense>")
    assert repr(dense) == f"Translator('{tmp_path}/<dense>', 12 directions: cs-de, cs-en, cs-fr, de-cs, ...)"
    assert "&lt;dense&gt;" in dense._repr_html_() and "<td>" not in dense._repr_html_()
    kept = {site.name: torch.arange(site.width) < 3 for site in ns.find_ffn_sites(model)}
    ns.specialize(model, ns.NeuronMasks.from_dict({"en-de": kept}))
    export_model(model, toy_tokenizer(), tmp_path / "model")
    shown = ns.Translator(tmp_path / "model")
    assert repr(shown) == f"Translator('{tmp_path}/model', 1 direction: en-de)"
    assert f"<td>en-de</td><td>{3 * len(kept)} of " in shown._repr_html_()
