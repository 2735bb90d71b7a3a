"""Runs that start from models without tags of languages as ours: each family through the whole path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.helpers.prompted_checkpoints import PROMPTED
from tests.helpers.synthetic import write_table
from tests.runs.test_pretrained import BUDGET, call, refused, sentences, write_recipe
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.corpus.store import TokenStore
from neuronspec.models.id_map import IdMap
from neuronspec.models.load import load_model
from neuronspec.models.text_format import TextFormat

pytestmark = pytest.mark.cli
EN_DE = Direction("en", "de")
SAMPLED = ("marian", "t5", "qwen3")
"""Families whose runs are always tested: a tag in the source, a prompt, and a decoder-only model."""


@pytest.fixture(
    scope="module",
    params=[name if name in SAMPLED else pytest.param(name, marks=pytest.mark.slow) for name in sorted(PROMPTED)],
)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe, its checkpoint and its finished run."""
    folder = tmp_path_factory.mktemp("prompted") / request.param
    folder.mkdir()
    write_table(folder / "table.tsv", rows=200)
    PROMPTED[request.param](folder / "checkpoint", sentences(folder / "table.tsv"))
    call("run", write_recipe(folder), "--out", folder / "run")
    return folder


def test_the_checkpoint_is_the_baseline_and_all_arms_are_scored(family: Path) -> None:
    config = AutoConfig.from_pretrained(family / "checkpoint")
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    own, base, dense = (auto.from_pretrained(family / name) for name in ("checkpoint", "run/base", "run/arms/dense"))
    found, trained = base.state_dict(), dense.state_dict()
    assert all(torch.equal(found[name], value) for name, value in own.state_dict().items())
    assert any(not torch.equal(found[name], value) for name, value in trained.items())
    results = json.loads((family / "run" / "results.json").read_text())
    assert set(results["arms"]) == {"copy", "base", "specialized", "dense", "random"}
    assert results["arms"]["specialized"]["en-de"]["n"] == results["arms"]["base"]["en-de"]["n"] > 0
    assert (family / "run" / "report" / "index.html").is_file()


def test_the_store_has_what_the_model_reads(family: Path) -> None:
    """Of each direction its own, as the format makes it of the text."""
    store = TokenStore.open(family / "run" / "data")
    frame = TextFormat.of(store.tokenizer).frame
    for direction in map(Direction.parse, ("en-de", "de-en", "en-fr")):
        pairs = store.pairs("valid", direction)
        sources, targets = pairs.source_texts(), pairs.target_texts()
        for index in range(4):
            source, target = pairs.tokens(index)
            assert source.tolist() == frame.sources([sources[index]], direction)[0]
            assert target.tolist() == frame.targets([targets[index]])[0]
            assert (pairs.source_lengths[index], pairs.target_lengths[index]) == (len(source), len(target))


def test_an_arm_and_the_specialized_model_translate_by_themselves(family: Path) -> None:
    """A model folder has all that tells how its sentences are framed."""
    store = TokenStore.open(family / "run" / "data")
    sources = store.pairs("test", EN_DE).source_texts()
    for arm, name in (("specialized", "arms/specialized"), ("base", "base")):
        translator = ns.Translator(family / "run" / name, beam=2, max_new_tokens=12)
        expected = (family / "run" / "evaluation" / arm / "en-de.hyp").read_text(encoding="utf-8").splitlines()
        assert [translator(source, "en-de") for source in sources] == expected


def test_another_prompt_makes_everything_anew(family: Path) -> None:
    prompt = "{target_code}: {text}" if family.name != "marian" else "{target_tag} {text} ."
    changed = write_recipe(family, model={"pretrained": "checkpoint", "prompt": prompt})
    try:
        assert "prepare: up to date" not in call("run", changed, "--out", family / "run", "--dry-run")
    finally:
        write_recipe(family)
    assert "prepare: up to date" in call("run", family / "recipe.yaml", "--out", family / "run", "--dry-run")


def test_a_framed_example_is_shown(family: Path) -> None:
    for found in (call("validate", family / "recipe.yaml"), call("inspect", family / "run")):
        assert "example" in found and {"marian": ">>eng<<", "qwen3": "<|im_start|>"}.get(family.name, "") in found


def test_prompts_are_checked_at_once(tmp_path: Path) -> None:
    write_table(tmp_path / "table.tsv", rows=20)
    PROMPTED["llama"](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv") * 5)
    for prompt, told in (
        ("{txt}", "unknown place {txt}; did you mean 'text'"),
        ("{source}", "it has no {text}"),
        ("{text} {text}", "it has {text} more than once"),
    ):
        recipe = write_recipe(tmp_path, model={"pretrained": "checkpoint", "prompt": prompt})
        assert told in refused("validate", recipe)
    assert "isn't told which of de, en, fr to write" in refused(
        "run", write_recipe(tmp_path, model={"pretrained": "checkpoint", "prompt": "{text}"}), "--out", tmp_path / "run"
    )
    assert not (tmp_path / "run" / "data").exists()
    long = write_recipe(tmp_path, model={"pretrained": "checkpoint", "prompt": "Say " * 300 + "{target}: {text}"})
    assert "tokens without a sentence, and the model has 256 positions" in refused("validate", long)
    alike = write_recipe(tmp_path, model={"pretrained": "checkpoint", "languages": {"de": "English"}})
    assert "de and en are both called 'English' in the prompt" in refused("validate", alike)
    for name in ("", "{text}"):
        named = write_recipe(tmp_path, model={"pretrained": "checkpoint", "languages": {"de": name}})
        assert "give its tag, or its name in the prompt" in refused("validate", named)
    assert "prompt is of a pretrained checkpoint" in refused(
        "validate", write_recipe(tmp_path, model={"prompt": "{text}"})
    )


def test_a_trimmed_vocabulary_leaves_the_rest_as_it_was(family: Path) -> None:
    """Sentences are cut and framed alike, and the logits of what is kept are the same."""
    recipe = write_recipe(family, model={"pretrained": "checkpoint", "trim_vocabulary": True})
    try:
        if family.name == "marian":
            told = "the vocabulary of a MarianTokenizer can't be changed"
            assert told in call("validate", recipe, code=2)
            assert told in call("prepare", recipe, "--out", family / "trimmed", code=2)
            return
        call("prepare", recipe, "--out", family / "trimmed")
        call("train", family / "trimmed")
    finally:
        write_recipe(family)
    whole, trimmed = (TokenStore.open(family / name / "data") for name in ("run", "trimmed"))
    assert len(trimmed.tokenizer) < len(whole.tokenizer)
    old, new = (TextFormat.of(store.tokenizer).frame for store in (whole, trimmed))
    texts = whole.pairs("test", EN_DE).source_texts()
    for before, after in zip(old.sources(texts, EN_DE), new.sources(texts, EN_DE), strict=True):
        assert whole.tokenizer.convert_ids_to_tokens(before) == trimmed.tokenizer.convert_ids_to_tokens(after)
    assert whole.tokenizer.convert_ids_to_tokens(old.ends) == trimmed.tokenizer.convert_ids_to_tokens(new.ends)
    models = [load_model(family / name / "base") for name in ("run", "trimmed")]
    (ours,) = TextFormat(old).batches(EN_DE, [(texts[0], texts[0])])
    (theirs,) = TextFormat(new).batches(EN_DE, [(texts[0], texts[0])])
    kept = IdMap.load(family / "trimmed" / "base").ids  # type: ignore[union-attr]
    with torch.no_grad():
        expected, found = (model(**batch.inputs).logits for model, batch in zip(models, (ours, theirs), strict=True))
    assert torch.allclose(expected[..., list(kept)], found, atol=1e-5)


@pytest.mark.parametrize("name", ["madlad", pytest.param("llama", marks=pytest.mark.slow)])
def test_a_run_is_evaluated_and_exported_with_ctranslate2(name: str, tmp_path: Path) -> None:
    write_table(tmp_path / "table.tsv", rows=200)
    PROMPTED[name](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv"))
    evaluation = {"engine": "ctranslate2", "beam": 2, "max_new_tokens": 12, "scores": {"off_target": False}}
    model = {"pretrained": "checkpoint", "dtype": "bfloat16"}
    continuation = BUDGET | {"precision": "auto"}
    recipe = write_recipe(tmp_path, model=model, evaluation=evaluation, continuation=continuation)
    call("run", recipe, "--out", tmp_path / "run")
    arithmetic = json.loads((tmp_path / "run" / "results.json").read_text())["arithmetic"]
    assert arithmetic["base"] == {"weights": "bfloat16", "training": None, "evaluation": "ctranslate2, float32"}
    assert arithmetic["dense"]["training"] in ("bf16", "float32"), "as the machine can"
    assert AutoConfig.from_pretrained(tmp_path / "run" / "arms" / "dense").dtype == torch.bfloat16
    told = call("export", tmp_path / "run", "en-de", "--out", tmp_path / "small", "--quantization", "float32")
    assert "en-de" in told
    sources = TokenStore.open(tmp_path / "run" / "data").pairs("test", EN_DE).source_texts()
    expected = (tmp_path / "run" / "evaluation" / "specialized" / "en-de.hyp").read_text(encoding="utf-8").splitlines()
    small = ns.Translator(tmp_path / "small", beam=2, max_new_tokens=12)
    assert [small(source, "en-de") for source in sources] == expected
