"""convert, run for real: a checkpoint of fairseq translates, and is where a recipe starts from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.helpers.fairseq import written
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import write_table

import neuronspec as ns
from neuronspec.core.errors import DirectionError

pytestmark = pytest.mark.cli


def test_convert_and_translate(tmp_path: Path) -> None:
    made = neuronspec("convert", written(tmp_path / "given"), "--out", tmp_path / "made", "--json")
    assert (made.returncode, made.stderr) == (0, "")
    facts = json.loads(made.stdout)
    assert (facts["languages"], facts["pieces_without_id"]) == (["en", "fr", "de"], 0)
    translator = ns.Translator(tmp_path / "made", beam=2)
    assert len(translator(["the house", "the street"], "en-de")) == 2
    with pytest.raises(DirectionError):
        translator("the house", "en-it")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_a_recipe_starts_from_it(tmp_path: Path, kind: str) -> None:
    made = neuronspec("convert", written(tmp_path / "given", kind), "--out", tmp_path / "mt")
    assert made.returncode == 0, made.stderr
    write_table(tmp_path / "table.tsv", rows=200)
    budget = {"updates": 3, "batch_tokens": 200, "learning_rate": 1e-3, "warmup": 1, "precision": "float32",
              "validate_every": 3, "validation_sentences": 8, "save_every": 3}  # fmt: skip
    content = {
        "name": "toy",
        "corpus": {"train": {"reader": "tsv", "path": "table.tsv"}, "languages": ["de", "fr"], "valid_share": 0.1,
                   "test_share": 0.05},
        "model": {"pretrained": "mt", "trim_vocabulary": True},
        "recording": {"sentences": 10},
        "continuation": budget,
        "evaluation": {"beam": 2, "max_new_tokens": 12, "engine": "ctranslate2", "scores": {"off_target": False}},
    }  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run = neuronspec("run", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    assert run.returncode == 0, run.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {"base", "dense", "random", "specialized"} <= results["arms"].keys()
    config = json.loads((tmp_path / "run" / "base" / "config.json").read_text())
    assert config["share_embeddings"] == "decoder"
