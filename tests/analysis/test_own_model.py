"""`neuronspec analyse MODEL --data`: any model, run for real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.synthetic import WORDS, write_table
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from neuronspec.analysis.findings import Findings
from neuronspec.analysis.own_model import Subject
from neuronspec.analysis.settings import Options
from neuronspec.cli import analyse_commands as commands
from neuronspec.core.errors import CorpusError, ModelError, PathError, RecipeError
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

pytestmark = pytest.mark.cli


def neuronspec(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "neuronspec", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random decoder-only model with a tokenizer of whole words, as a local folder."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    vocabulary = ["<unk>", "</s>", *sorted({word for words in WORDS.values() for word in words})]
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, bos_token_id=None, eos_token_id=1, pad_token_id=1, initializer_range=0.3,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("text") / "table.tsv", rows=40)


@pytest.fixture(scope="module")
def analysed(model: Path, table: Path) -> Path:
    out = model.parent / "analysis"
    result = neuronspec("analyse", model, "--data", table, "--out", out, "--sentences", 20, "--ablation", 5)
    assert result.returncode == 0, result.stdout + result.stderr
    return out


def test_it_writes_activations_masks_findings_and_a_report(analysed: Path, model: Path, table: Path) -> None:
    directions = [f"{source}-{target}" for source, target in
                  [("de", "en"), ("en", "de"), ("en", "fr"), ("en", "it"), ("fr", "en"), ("it", "en")]]  # fmt: skip
    acts, masks = (kind.load(analysed / f"{name}.safetensors")
                   for kind, name in ((Activations, "activations"), (NeuronMasks, "masks")))  # fmt: skip
    assert [str(direction) for direction in acts.directions] == directions
    assert list(masks) == directions and list(masks.sites) == ["layers.0", "layers.1"]
    subject = Subject.load(analysed)
    assert (subject.model, subject.data, subject.pivot) == (str(model), str(table), "en")
    assert subject.statistic == "magnitude", "a gated SiLU layer: positive values don't mean firing"
    findings = Findings.load(analysed / "analysis.json")
    (ablation,) = findings.ablation
    assert ablation.rows == directions and ablation.side == "layers"
    assert {row.share for row in findings.stability} == {0.25, 0.5}
    assert any(findings.tokens["layers.1"].values())
    page = (analysed / "report" / "index.html").read_text(encoding="utf-8")
    assert "Overlap of the directions" in page and "Causal check, layers" in page and "chrF++" not in page


def test_report_draws_it_again_with_figures(analysed: Path, tmp_path: Path) -> None:
    (analysed / "report" / "index.html").unlink()
    result = neuronspec("report", analysed, "--figures", tmp_path / "figures")
    assert result.returncode == 0, result.stderr
    assert (analysed / "report" / "index.html").is_file()
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"overlap-layers.pdf", "overlap-layers.svg", "progression.svg", "captions.md"} <= names


@pytest.mark.parametrize(
    ("changes", "kind", "fragment"),
    [
        ({"data": Path("nowhere.tsv")}, CorpusError, "nowhere.tsv: no such file"),
        ({"data": None}, RecipeError, "needs --data"),
        ({"out": None}, RecipeError, "needs --data"),
        ({"overrides": ["seed=2"]}, RecipeError, "--set is for runs"),
        ({"languages": "ru"}, RecipeError, "no column for ru"),
        ({"languages": "DE,xx"}, RecipeError, "--languages: "),
        ({"languages": "DE,xx"}, RecipeError, "has no column for xx; it has: id, en, "),
        ({"directions": "en-ru"}, RecipeError, "'ru' is not among the languages"),
        ({"pivot": "ru"}, RecipeError, "--pivot: "),
        ({"statistic": "counts"}, RecipeError, "did you mean 'count'"),
        ({"prompt": "{txt}"}, RecipeError, "unknown place {txt}"),
        ({"family": ["de"]}, RecipeError, "expected CODE=FAMILY"),
        ({"coverage": 0.0}, RecipeError, "--coverage is 0"),
        ({"target": "no-such-model"}, ModelError, "no-such-model can't be loaded"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    model: Path, table: Path, tmp_path: Path, changes: dict[str, Any], kind: type[Exception], fragment: str
) -> None:
    given: dict[str, Any] = {
        "target": str(model), "data": table, "out": tmp_path / "out", "overrides": None, "pivot": "en",
        "languages": None, "directions": "both", "sentences": 20, "coverage": 0.95, "statistic": "auto", "prompt": None,
        "ablation": 5, "family": None,
    } | changes  # fmt: skip
    target, data, out, overrides, *rest = given.values()
    with pytest.raises(kind, match=re.escape(fragment)):
        commands.run_analysis(target, data, out, Options.parse(*rest), overrides)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "coverage", "fragment"), [(Path("t.tsv"), 0.95, "leave --data and --out out"), (None, 0.8, "with --set")]
)
def test_options_of_models_are_refused_for_runs(
    tmp_path: Path, data: Path | None, coverage: float, fragment: str
) -> None:
    (tmp_path / "recipe.yaml").touch()
    options = Options.parse("en", None, "both", 200, coverage, "auto", None, 20, None)
    with pytest.raises(RecipeError, match=fragment):
        commands.run_analysis(str(tmp_path), data, None, options, None)


def test_an_error_of_the_command_is_one_message(tmp_path: Path) -> None:
    result = neuronspec("analyse", tmp_path, "--data", __file__, "--out", tmp_path / "o")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(PathError, match="neither a run"):
        Subject.load(tmp_path)
