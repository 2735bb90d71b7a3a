"""`neuronspec analyse MODEL --data`: any model, run for real."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers import checkpoints
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import WORDS, write_table
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from neuronspec.analysis.findings import Findings
from neuronspec.analysis.own_model import Subject, analyse_model
from neuronspec.analysis.sample_text import plain_batches
from neuronspec.analysis.settings import Options
from neuronspec.cli import analyse_commands as commands
from neuronspec.core.direction import Monolingual
from neuronspec.core.errors import CorpusError, ModelError, PathError, RecipeError
from neuronspec.models.load import load_with_tokenizer
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.lape import LAPE
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.selection import select_neurons

pytestmark = pytest.mark.cli


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


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, table: Path) -> list[str]:
    """A file for each language: `de=FILE` and so on; that of `it` with empty lines."""
    folder = tmp_path_factory.mktemp("texts")
    header, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    for code in ("de", "fr", "it"):
        lines = [row[header.index(code)] for row in rows]
        (folder / f"{code}.txt").write_text("\n\n".join(lines), encoding="utf-8")
    return [f"{code}={folder / code}.txt" for code in ("de", "fr", "it")]


def test_texts_of_single_languages_need_no_pivot(model: Path, texts: list[str], tmp_path: Path) -> None:
    given = [argument for text in texts for argument in ("--texts", text)]
    out = tmp_path / "out"
    result = neuronspec("analyse", model, *given, "--out", out, "--sentences", 20, "--ablation", 5)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the analysis needs about" in result.stdout and "recording 3 languages" in result.stdout
    acts, masks = Activations.load(out / "activations.safetensors"), NeuronMasks.load(out / "masks.safetensors")
    assert list(masks) == ["de", "fr", "it"] == list(map(str, acts.directions))
    subject = Subject.load(out)
    assert subject.pivot is None and subject.directions == ["de", "fr", "it"] and subject.families["it"] == "Romance"
    (ablation,) = Findings.load(out / "analysis.json").ablation
    assert ablation.rows == ablation.columns == ["de", "fr", "it"]
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert "German" in page and "Italian" in page
    specific = select_neurons(acts, LAPE(fraction=0.2, statistic="magnitude"))
    assert list(specific) == ["de", "fr", "it"] and specific.sparsity() > 0.5


def test_what_is_recorded_of_a_text_is_what_the_model_computes_for_it(model: Path, texts: list[str]) -> None:
    lines = Path(texts[0].partition("=")[2]).read_text(encoding="utf-8").split()
    loaded, tokenizer = load_with_tokenizer(model)
    some = [" ".join(lines[:3]), " ".join(lines[3:8])]
    acts = record_activations(loaded, plain_batches(tokenizer, Monolingual.of("de"), some))
    site, seen = find_ffn_sites(loaded)[1], []
    handle = site.down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()[0]))
    with torch.no_grad():
        for text in some:
            loaded(**tokenizer(text, return_tensors="pt"))
    handle.remove()
    values = torch.cat(seen)
    assert acts.tokens["de"]["layers.1"] == len(values) == 8
    assert torch.equal(acts.counts["de"]["layers.1"], (values > 0).sum(0))


def test_a_model_with_an_encoder_needs_parallel_text(tmp_path: Path, texts: list[str]) -> None:
    folder = tmp_path / "nllb"
    checkpoints.nllb(folder, ["ein Haus", "une maison"] * 40)
    options = Options.parse("en", None, "both", 20, 0.95, "auto", None, 5, None, texts)
    with pytest.raises(RecipeError, match="has an encoder and a decoder"):
        analyse_model(str(folder), None, tmp_path / "out", options)


DISK = {"model.embed_tokens": "cpu", "model.layers.0": "disk", "model.layers.1": "cpu", "model.norm": "cpu",
        "model.rotary_emb": "cpu", "lm_head": "disk"}  # fmt: skip


@pytest.mark.parametrize("device_map", ["auto", DISK])
def test_a_model_that_is_spread_over_devices_gives_the_same(
    model: Path, analysed: Path, table: Path, tmp_path: Path, device_map: Any
) -> None:
    options = replace(Options.parse("en", None, "both", 20, 0.95, "auto", None, 5, None), device_map=device_map)
    analyse_model(str(model), table, tmp_path, options)
    found, expected = (Activations.load(folder / "activations.safetensors") for folder in (tmp_path, analysed))
    assert found.info == expected.info
    for name, sites in expected.counts.items():
        assert all(torch.equal(found.counts[name][site], counts) for site, counts in sites.items())
        assert all(torch.allclose(found.magnitudes[name][site], expected.magnitudes[name][site]) for site in sites)
    assert NeuronMasks.load(tmp_path / "masks.safetensors") == NeuronMasks.load(analysed / "masks.safetensors")
    mine, theirs = (Findings.load(folder / "analysis.json").ablation[0] for folder in (tmp_path, analysed))
    assert mine.dense == pytest.approx(theirs.dense, rel=1e-4)
    assert torch.allclose(torch.tensor(mine.loss), torch.tensor(theirs.loss), rtol=1e-4)


def test_half_precision_is_recorded(model: Path, table: Path, tmp_path: Path) -> None:
    options = Options.parse("en", None, "both", 20, 0.95, "auto", None, 0, None, None, "bfloat16")
    analyse_model(str(model), table, tmp_path, options)
    assert Subject.load(tmp_path).dtype == "bfloat16"
    acts = Activations.load(tmp_path / "activations.safetensors")
    assert all(int(counts.sum()) > 0 for counts in acts.counts["en-de"].values())


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
        ({"dtype": "bf16"}, RecipeError, "--dtype 'bf16': did you mean 'bfloat16'"),
        ({"device_map": "atuo"}, RecipeError, "--device-map 'atuo'"),
        ({"texts": ["de"]}, RecipeError, "expected LANGUAGE=FILE"),
        ({"texts": ["de=a.txt"]}, RecipeError, "one language alone"),
        ({"texts": ["de=a.txt", "fr=b.txt"]}, RecipeError, "--texts and --data are both given"),
        ({"texts": ["de=a.txt", "fr=b.txt"], "data": None}, CorpusError, "a.txt: can't be read"),
        ({"texts": ["de=a.txt", "deu_Latn=b.txt"], "data": None}, RecipeError, "de is given twice"),
        ({"texts": ["de=a.txt", "fr=b.txt"], "data": None, "pivot": "de"}, RecipeError, "--pivot is for parallel"),
        ({"target": "no-such-model"}, ModelError, "no-such-model can't be loaded"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    model: Path, table: Path, tmp_path: Path, changes: dict[str, Any], kind: type[Exception], fragment: str
) -> None:
    given: dict[str, Any] = {
        "target": str(model), "data": table, "out": tmp_path / "out", "overrides": None, "pivot": "en",
        "languages": None, "directions": "both", "sentences": 20, "coverage": 0.95, "statistic": "auto", "prompt": None,
        "ablation": 5, "family": None, "texts": None, "dtype": "auto", "device_map": None,
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
