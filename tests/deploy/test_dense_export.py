"""Dense models exported: one folder for all directions that are named, verified as any export is."""

from __future__ import annotations

import re
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.converted import CAUSAL, CONVERTED, SOURCES, made, opened
from tests.helpers.forked import neuronspec
from tests.helpers.masked import random_masks
from tests.helpers.trained_toy import sentences, trained_model

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, NeuronspecError
from neuronspec.corpus.store import TokenStore
from neuronspec.deploy import export as export_module
from neuronspec.deploy.directions import export_directions, export_one_bundle
from neuronspec.deploy.export import export_dense
from neuronspec.deploy.export_card import export_card
from neuronspec.deploy.manifest import Manifest
from neuronspec.deploy.opening import open_model
from neuronspec.models.fingerprint import model_fingerprint
from neuronspec.models.load import build_model, load_model
from neuronspec.recipe import Recipe
from neuronspec.specialization.save import save_specialized

NAMES = ["en-de", "en-fr", "de-en", "de-fr"]


@pytest.fixture(scope="module")
def dense(specialized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dense") / "model"
    trained_model(False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(specialized / name, folder)
    return folder


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_one_folder_serves_all_named_directions(dense: Path, sample: Path, tmp_path: Path, quantization: str) -> None:
    out = tmp_path / "out"
    (facts,) = export_directions(dense, NAMES, out, quantization, 40, sample, None)
    manifest = Manifest.load(out)
    assert (manifest.kind, manifest.semantics, manifest.coverage) == ("dense", None, None)
    assert manifest.source == model_fingerprint(load_model(dense))
    assert manifest.parameters == manifest.dense_parameters
    assert list(manifest.directions) == NAMES
    for found in manifest.directions.values():
        assert found.verification is not None and found.verification.identical == found.verification.sentences == 40
        assert found.neurons == manifest.dense_neurons == 192
    assert "dense model for 4 directions" in facts["summary"]
    assert "float32 same as the dense model in 160 of 160 sentences" in facts["summary"]
    sources, small, own = sentences(60, seed=3), ns.Translator(out), ns.Translator(dense)
    assert small.directions == sorted(NAMES)
    for name in NAMES if quantization == "float32" else NAMES[:3]:  # it wasn't trained for the last one
        same = sum(one == other for one, other in zip(small(sources, name), own(sources, name), strict=True))
        assert same == 60 if quantization == "float32" else same >= 57
    assert small.loaded == 1, "its directions are one model"
    assert small.neurons("en-de") == (192, 192)
    with pytest.raises(DirectionError, match="no model for direction fr-en"):
        small("w1", "fr-en")


def test_directions_of_several_folders_share_a_memory_budget(dense: Path, exported: Path, tmp_path: Path) -> None:
    export_directions(dense, ["fr-en", "fr-de"], tmp_path / "all" / "rest", "int8", 0, None, None)
    for folder in exported.iterdir():
        shutil.copytree(folder, tmp_path / "all" / folder.name)
    both = ns.Translator(tmp_path / "all", memory=0)
    assert both.directions == ["de-en", "en-de", "en-fr", "fr-de", "fr-en"]
    for name in ("en-de", "fr-en", "fr-de"):
        assert both("w1 w2", name)
        assert both.loaded == 1


@pytest.mark.parametrize("family", ["t5", CAUSAL[0]])
def test_other_families(family: str, tmp_path: Path) -> None:
    assert family in CONVERTED
    model, tokenizer = opened(made(family, tmp_path))
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "sample.txt").write_text("\n".join(SOURCES), encoding="utf-8")
    export_directions(
        tmp_path / "model", ["en-de", "de-en"], tmp_path / "out", "int8", 6, tmp_path / "sample.txt", None
    )
    for facts in Manifest.load(tmp_path / "out").directions.values():
        assert facts.verification is not None and facts.verification.identical + facts.verification.ties == 6


def test_masks_that_leave_no_neuron_out_are_exported_once(tmp_path: Path, specialized: Path, sample: Path) -> None:
    model = trained_model(False)
    ns.specialize(model, random_masks(model, ("en-de", "de-en")), semantics="gradient")
    save_specialized(model, tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(specialized / name, tmp_path / "model")
    (facts,) = export_one_bundle(tmp_path / "model", tmp_path / "out", "float32", 20, sample)
    assert facts["kind"] == "dense" and facts["semantics"] == "gradient"
    assert "float32 same as the specialized model in 40 of 40 sentences" in facts["summary"]
    export_directions(tmp_path / "model", ["en-de"], tmp_path / "single", "float32", 0, None, None)
    sources = sentences(30, seed=4)
    assert ns.Translator(tmp_path / "out")(sources, "en-de") == ns.Translator(tmp_path / "single")(sources, "en-de")


def test_a_conversion_that_translates_otherwise_is_not_kept(
    dense: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export_module.convert

    def wrong(model: Any, *arguments: Any) -> None:
        with torch.no_grad():
            model.model.encoder.layers[0].fc2.bias[::2].add_(3.0)
        real(model, *arguments)
        with torch.no_grad():
            model.model.encoder.layers[0].fc2.bias[::2].sub_(3.0)

    monkeypatch.setattr(export_module, "convert", wrong)
    with pytest.raises(ModelError, match="doesn't translate as the dense model does.*nothing was written"):
        export_directions(dense, ["en-de"], tmp_path / "out", "int8", 40, sample, None)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_told(dense: Path, tmp_path: Path) -> None:
    def refused(directions: list[str] | None, out: Path = tmp_path / "out") -> str:
        with pytest.raises(NeuronspecError) as error:
            export_directions(dense, directions, out, "int8", 0, None, None)
        return str(error.value)

    assert "no direction given, and a dense model has no list of them: name some" in refused([])
    assert "it has no list of directions: name the directions instead of --all" in refused(None)
    with pytest.raises(DirectionError, match="has no masks to compose over en: leave it out"):
        export_directions(dense, ["en-de"], tmp_path / "out", "int8", 0, None, "en")
    assert "named twice: en-de, en-de" in refused(["en-de", "EN-de"])
    assert "xx" in refused(["en-xx"])
    with pytest.raises(ModelError, match="one folder for all directions that are named: leave --bundle out"):
        export_one_bundle(dense, tmp_path / "out", "int8", 0, None)
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert "exists already" in refused(["en-de"])
    with pytest.raises(ModelError, match="exists already"):
        export_dense(open_model(dense), [Direction("en", "de")], tmp_path / "out")


RECIPE = """\
name: small
corpus: {languages: [de], train: [{reader: tsv, path: table.tsv}]}
tokenizer: {vocabulary: 110}
model: {d_model: 32, encoder_layers: 1, decoder_layers: 1, encoder_ffn_dim: 24, decoder_ffn_dim: 24}
training: {updates: 1}
continuation: {updates: 1}
"""


def test_a_dense_arm_is_exported_with_the_directions_and_the_test_set_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["".join(letters) for letters in product("abcd", repeat=4)]
    (tmp_path / "table.tsv").write_text("en\tde\n" + "".join(f"the {word}\tder {word}\n" for word in words))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run = tmp_path / "run"
    assert neuronspec("prepare", tmp_path / "recipe.yaml", "--out", run).returncode == 0
    store = TokenStore.open(run / "data")
    model = build_model(Recipe.of_run(run).model, store.tokenizer, seed=1)
    for arm in (run / "base", run / "arms" / "dense"):
        model.save_pretrained(arm)
        store.tokenizer.save_pretrained(arm)
    unnamed = neuronspec("export", run / "arms" / "dense", "--out", tmp_path / "out")
    assert unnamed.returncode == 2 and "(--all takes those that the run has text for)" in unnamed.stderr
    made = neuronspec("export", run / "arms" / "dense", "--all", "--out", tmp_path / "out", "--verify", 5)
    assert made.returncode == 0, made.stderr
    assert "dense model for 2 directions, int8" in made.stdout
    assert re.search(
        r"same as the dense model in 10 of 10 sentences \(the run's test set\); int8 same in \d", made.stdout
    )
    assert made.stdout.strip().endswith("chrF++")
    facts = Manifest.load(tmp_path / "out").directions
    assert list(facts) == ["de-en", "en-de"]
    for found in facts.values():
        assert found.verification is not None and found.verification.text == "the run's test set"
        assert found.verification.chrf is not None
    again = neuronspec("export", run / "base", "de-en", "--out", tmp_path / "out")
    assert again.returncode == 1 and "exists already" in again.stderr
    translated = neuronspec("translate", tmp_path / "out", "--from", "en", "--to", "de", text="the abba\n")
    assert translated.returncode == 0, translated.stderr
    (tmp_path / "link").symlink_to(run / "arms" / "dense")
    for folder, name in ((run / "arms", "dense"), (run / "arms" / "dense", "."), (tmp_path, "link")):
        monkeypatch.chdir(folder)
        (facts_there,) = export_directions(Path(name), None, tmp_path / "there", "int8", 1, None, None)
        assert "the run's test set" in facts_there["summary"], name
        shutil.rmtree(tmp_path / "there")
    unused = neuronspec("export", run / "base", "de-en", "--out", "x", "--verify", 0, "--sample", "none")
    assert unused.returncode == 2 and "--verify 0 verifies nothing: leave it out, or --sample" in unused.stderr
    (run / "data" / "tokens" / "manifest.json").write_text("{")
    needed = neuronspec("export", run / "base", "de-en", "--out", tmp_path / "other")
    assert needed.returncode == 1 and "manifest.json is damaged" in needed.stderr, needed.stderr
    assert not (tmp_path / "other").exists()
    export_directions(run / "base", ["de-en"], tmp_path / "other", "int8", 0, None, None)
    assert list(Manifest.load(tmp_path / "other").directions) == ["de-en"]
    shutil.rmtree(run / "data")
    with pytest.raises(DirectionError, match=r"the text of its run is gone \(.*data\): name the directions"):
        export_directions(run / "base", None, tmp_path / "more", "int8", 0, None, None)


def test_a_damaged_folder_is_told_once_and_what_others_serve_is_not_missed(dense: Path, tmp_path: Path) -> None:
    for name, directions in (("all", NAMES), ("one", NAMES[:1])):
        export_directions(dense, directions, tmp_path / "whole" / name, "int8", 0, None, None)
    (tmp_path / "whole" / "all" / "model.bin").write_bytes(b"cut")
    translator = ns.Translator(tmp_path / "whole")
    assert translator.directions == NAMES[:1] and sorted(translator.damaged) == sorted(NAMES[1:])
    with pytest.raises(DirectionError) as error:
        translator("w1", "fr-en")
    assert str(error.value).count("model.bin is damaged") == 1
    shown = neuronspec("inspect", tmp_path / "whole")
    assert shown.returncode == 0 and "one: dense, int8" in shown.stdout and "model.bin is damaged" in shown.stdout
    (tmp_path / "whole" / "one" / "neuronspec.json").unlink()
    lost = neuronspec("inspect", tmp_path / "whole" / "one")
    assert lost.returncode == 1 and "has a CTranslate2 model but no neuronspec.json" in lost.stderr


def test_the_card_of_dense_and_other_exports_tells_both(specialized: Path, dense: Path, tmp_path: Path) -> None:
    export_directions(specialized, ["en-de"], tmp_path / "cut", "int8", 0, None, None)
    export_directions(dense, ["de-en"], tmp_path / "dense", "int8", 0, None, None)
    manifests = [Manifest.load(tmp_path / name) for name in ("cut", "dense")]
    text = export_card(manifests, "user/model")
    assert "a folder per direction and a dense model" in text
    assert "Directions with less than 100% of the neurons compute only" in text
    assert "Each direction computes only" in export_card(manifests[:1], "user/model")
    assert "feed-forward neurons that were selected" not in export_card(manifests[1:], "user/model")


def test_languages_of_a_model_without_tags_must_be_known(tmp_path: Path) -> None:
    model, tokenizer = opened(made("t5", tmp_path))
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    with pytest.raises(DirectionError, match="unknown language 'xx'"):
        export_directions(tmp_path / "model", ["xx-en"], tmp_path / "out", "int8", 0, None, None)
