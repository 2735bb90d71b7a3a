"""Runs whose checkpoint gets tags for new languages and loses what the text doesn't need, through the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.synthetic import write_table
from tests.runs.test_pretrained import BUDGET, call, refused, sentences
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError
from neuronspec.corpus.store import TokenStore
from neuronspec.models.footprint import Room
from neuronspec.models.id_map import IdMap
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import load_tokenizer, tag_id
from neuronspec.recipe import Recipe
from neuronspec.runs.footprint import memory_problem

pytestmark = pytest.mark.cli
NEW = {"nds": "de", "br": "fr"}
LANGUAGES = ["en", "de", "nds", "br"]
CHANGES = {"new_languages": NEW, "trim_vocabulary": True}


def write_recipe(folder: Path, name: str = "recipe.yaml", checkpoint: str = "checkpoint", **model: object) -> Path:
    content = {
        "name": "toy",
        "corpus": {"train": {"reader": "tsv", "path": "table.tsv"}, "languages": LANGUAGES[1:],
                   "directions": ["de-en", "en-nds", "br-en"], "valid_share": 0.1, "test_share": 0.05},
        "model": {"pretrained": checkpoint} | model,
        "recording": {"sentences": 10},
        "continuation": BUDGET,
        "arms": ["specialized"],
        "evaluation": {"beam": 2, "max_new_tokens": 12, "scores": {"off_target": False}},
    }  # fmt: skip
    path = folder / name
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def folder_with(family: str, folder: Path) -> Path:
    """A checkpoint that has learnt de, fr and it, and a table with other languages in the places of two of them."""
    folder.mkdir()
    table = write_table(folder / "table.tsv", rows=150)
    FAMILIES[family](folder / "checkpoint", sentences(table) + ["zebra quagga okapi"] * 60)
    head, _, rows = table.read_text(encoding="utf-8").partition("\n")
    table.write_text(head.replace("fr", "br").replace("it", "nds") + "\n" + rows, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", params=["nllb", pytest.param("mbart50", marks=pytest.mark.slow)])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe, its checkpoint and its finished run."""
    folder = folder_with(request.param, tmp_path_factory.mktemp("vocabulary") / request.param)
    call("run", write_recipe(folder, **CHANGES), "--out", folder / "run")
    return folder


def test_the_base_computes_what_the_checkpoint_does(family: Path) -> None:
    """On the text of the run, with the tag of the related language in place of a new one: the same logits."""
    whole, base = (AutoModelForSeq2SeqLM.from_pretrained(family / name).eval() for name in ("checkpoint", "run/base"))
    change = IdMap.load(family / "run" / "base")
    store = TokenStore.open(family / "run" / "data")
    assert change is not None and len(change.ids) == base.config.vocab_size < change.rows
    old = torch.tensor([one if isinstance(one, int) else one[0] for one in change.ids])
    for direction in (Direction("de", "en"), Direction("en", "nds"), Direction("br", "en")):
        pairs = store.pairs("valid", direction)
        found = TextFormat.of(store.tokenizer, [direction]).pieces([direction] * 6, pairs.gather(np.arange(6)))
        labels = found.pop("labels")
        before = {name: value if "mask" in name else old[value] for name, value in found.items()}
        with torch.no_grad():
            assert torch.equal(base(**found).logits, whole(**before).logits[..., old])
        assert bool((labels >= 0).any())


def test_the_text_is_cut_as_by_the_checkpoint_s_tokenizer(family: Path) -> None:
    own, now = (
        AutoTokenizer.from_pretrained(family / "checkpoint"),
        load_tokenizer(family / "run" / "data" / "tokenizer"),
    )
    change = IdMap.load(family / "run" / "data" / "tokenizer")
    assert change is not None
    for text in sentences(family / "table.tsv"):
        ids = own(text, add_special_tokens=False)["input_ids"]
        assert [change.new_ids[one] for one in ids] == now(text, add_special_tokens=False)["input_ids"]


def test_the_tag_of_a_domain_is_cut_as_by_the_checkpoint_s_tokenizer(family: Path, tmp_path: Path) -> None:
    head, *rows = (family / "table.tsv").read_text(encoding="utf-8").splitlines()
    more = ["\t".join(f"{cell} {cell}" for cell in row.split("\t")) for row in rows]
    (tmp_path / "more.tsv").write_text("\n".join([head, *more]) + "\n", encoding="utf-8")
    recipe = yaml.safe_load(write_recipe(family, checkpoint=str(family / "checkpoint"), **CHANGES).read_text())
    table = {"reader": "tsv", "path": str(family / "table.tsv")}
    tagged = {"reader": "tsv", "path": str(tmp_path / "more.tsv"), "domain": "quagga"}  # a word of the checkpoint alone
    recipe["corpus"]["train"] = [table, tagged]
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    call("run", tmp_path / "recipe.yaml", "--out", tmp_path / "run", "--stage", "prepare")
    own, now = (
        AutoTokenizer.from_pretrained(family / "checkpoint"),
        load_tokenizer(tmp_path / "run" / "data" / "tokenizer"),
    )
    change = IdMap.load(tmp_path / "run" / "data" / "tokenizer")
    assert change is not None
    text = "<quagga> " + rows[0].split("\t")[0]
    ids = own(text, add_special_tokens=False)["input_ids"]
    assert [change.new_ids.get(one) for one in ids] == now(text, add_special_tokens=False)["input_ids"]


def test_what_changed_is_told_and_kept(family: Path) -> None:
    run = family / "run"
    change = IdMap.load(run / "base")
    assert change is not None and change.parameters is not None and change.bytes is not None
    assert change.bytes[0] == 4 * change.parameters[0]
    whole = AutoModelForSeq2SeqLM.from_pretrained(family / "checkpoint").num_parameters()
    assert change.parameters[0] == whole > change.parameters[1]
    assert json.loads((run / "results.json").read_text())["vocabulary"] == change.facts()
    assert json.loads((run / "data" / "corpus.json").read_text())["tokenizer"]["checkpoint_ids"] == change.rows
    told = json.loads(call("inspect", run, "--json"))["vocabulary"]
    assert told["ids"] == f"{change.rows:,}, now {len(change.ids):,}"
    log = (run / "run.log").read_text()
    assert f"vocabulary: {change.rows:,} ids of the checkpoint, now {len(change.ids):,}" in log
    assert f"the model has {change.parameters[1]:,} parameters, the checkpoint {whole:,}" in log


def test_its_models_translate_from_and_into_the_new_languages(family: Path) -> None:
    results = json.loads((family / "run" / "results.json").read_text())["arms"]
    assert results["specialized"]["en-nds"]["n"] == results["base"]["br-en"]["n"] > 0
    arm = family / "run" / "arms" / "specialized"
    text = family / "text"
    text.write_text("one two\n", encoding="utf-8")
    call("translate", arm, text, "--from", "en", "--to", "nds", "--out", family / "translated")
    assert (family / "translated").read_text(encoding="utf-8").count("\n") == 1
    again = AutoTokenizer.from_pretrained(arm)
    assert {again.convert_ids_to_tokens(tag_id(again, code)) for code in NEW} <= set(map(str, again.all_special_tokens))


def test_it_is_exported(family: Path) -> None:
    pytest.importorskip("ctranslate2")
    call("export", family / "run" / "arms" / "specialized", "en-nds", "--out", family / "exported")
    assert list((family / "exported").rglob("model.bin"))


def test_another_change_makes_everything_anew(family: Path) -> None:
    run = family / "run"
    again = call("run", write_recipe(family, **CHANGES), "--out", run, "--dry-run")
    assert "prepare: up to date" in again
    for model in (CHANGES | {"trim_vocabulary": False}, CHANGES | {"new_languages": NEW | {"nds": "en"}}):
        told = call("run", write_recipe(family, **model), "--out", run, "--dry-run")
        assert "prepare: up to date" not in told
    write_recipe(family, **CHANGES)


def test_a_base_with_a_changed_vocabulary_is_a_start_too(family: Path) -> None:
    """With yet another language, and new pieces."""
    table = family / "table.tsv"
    (family / "more").mkdir(exist_ok=True)
    renamed = table.read_text(encoding="utf-8").replace("\tbr\t", "\tlb\t", 1)
    (family / "more" / "table.tsv").write_text(renamed, encoding="utf-8")
    recipe = write_recipe(family / "more", checkpoint="../run/base", new_languages={"lb": "nds"}, trim_vocabulary=True)
    recipe.write_text(recipe.read_text().replace("br", "lb"), encoding="utf-8")
    call("prepare", recipe, "--out", family / "more" / "run")
    call("train", family / "more" / "run")
    before, after = IdMap.load(family / "run" / "base"), IdMap.load(family / "more" / "run" / "base")
    assert before is not None and after is not None and after.rows == len(before.ids)
    tokenizer = load_tokenizer(family / "more" / "run" / "base")
    first = load_tokenizer(family / "run" / "base")
    assert after.ids[tag_id(tokenizer, "lb")] == (tag_id(first, "nds"),)
    assert after.ids[tag_id(tokenizer, "nds")] == tag_id(first, "nds")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with("nllb", tmp_path_factory.mktemp("vocabulary") / "own")


def test_new_pieces_are_learnt_from_the_training_text(work: Path) -> None:
    call("prepare", write_recipe(work, new_languages=NEW, extend_vocabulary=10), "--out", work / "run")
    call("train", work / "run")
    change = IdMap.load(work / "run" / "base")
    base, whole = (AutoModelForSeq2SeqLM.from_pretrained(work / name) for name in ("run/base", "checkpoint"))
    assert change is not None
    made = {place: one for place, one in enumerate(change.ids) if not isinstance(one, int)}
    assert len(made) == 12 and base.config.vocab_size == len(change.ids)
    for place, one in made.items():
        expected = whole.model.shared.weight[list(one)].mean(dim=0)
        assert torch.allclose(base.model.shared.weight[place], expected, atol=1e-7)


def test_a_run_of_one_s_own_is_given_new_languages(tmp_path: Path, work: Path) -> None:
    """Its base, of the package's own tokenizer; with training, which resumes."""
    shutil.copy(work / "table.tsv", tmp_path)
    shape = {"preset": "tiny", "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48,
             "decoder_ffn_dim": 48, "encoder_attention_heads": 2, "decoder_attention_heads": 2}  # fmt: skip
    recipe = write_recipe(tmp_path, "first.yaml")
    first = yaml.safe_load(recipe.read_text()) | {"model": shape, "training": BUDGET, "tokenizer": {"vocabulary": 160}}
    first["corpus"] |= {"languages": ["de"], "directions": "both"}
    recipe.write_text(yaml.safe_dump(first), encoding="utf-8")
    call("prepare", recipe, "--out", tmp_path / "first")
    call("train", tmp_path / "first")
    second = write_recipe(tmp_path, checkpoint="first/base", new_languages={"nds": "de", "br": "en"})
    second.write_text(second.read_text() + yaml.safe_dump({"training": BUDGET}), encoding="utf-8")
    call("prepare", second, "--out", tmp_path / "second")
    call("train", tmp_path / "second")
    assert "up to date" in call("train", tmp_path / "second")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "second" / "base")
    assert tokenizer.convert_ids_to_tokens(tag_id(tokenizer, "nds")) == "__nds__"
    assert IdMap.load(tmp_path / "second" / "base") is not None


@pytest.mark.parametrize(
    ("model", "command", "message"),
    [
        ({"new_languages": NEW | {"de": "en"}}, "validate", "de has a tag already, 'deu_Latn'"),
        ({"new_languages": {"nds": "tlh"}}, "validate", "unknown language 'tlh'"),
        ({"new_languages": NEW | {"nds": "frr"}}, "validate", "nds: frr can't lend its tag"),
        ({"new_languages": {"lb": "de"}}, "validate", "model.new_languages"),
        ({"new_languages": NEW, "languages": {"nds": "deu_Latn"}}, "validate", "nds is both in languages and in new_"),
        ({"new_languages": {"nds": "de"}}, "validate", "model.new_languages makes one"),
        ({"new_languages": NEW, "extend_vocabulary": 90000}, "prepare", "extend_vocabulary is 90000"),
    ],
)
def test_mistakes_are_told(work: Path, tmp_path: Path, model: dict[str, Any], command: str, message: str) -> None:
    recipe = write_recipe(work, f"{tmp_path.name}.yaml", **model)
    told = refused(command, recipe, *(["--out", tmp_path / "run"] if command == "prepare" else []))
    assert re.search(rf"{recipe.name}:\d+: .*{re.escape(message)}", told), told
    assert not (tmp_path / "run" / "data").exists()


@pytest.mark.parametrize("command", ["validate", "run", "sweep"])
def test_mistakes_about_languages_are_a_list_with_lines(work: Path, tmp_path: Path, command: str) -> None:
    recipe = write_recipe(work, f"{tmp_path.name}.yaml", new_languages={"nds": "frr", "de": "en"})
    lines = recipe.read_text().splitlines()
    (work / f"{tmp_path.name}-sweep.yaml").write_text(f"name: toy\nrecipe: {recipe.name}\narms: {{dense: }}\n")
    file = work / f"{tmp_path.name}-sweep.yaml" if command == "sweep" else recipe
    told = refused(command, file, *([] if command == "validate" else ["--out", tmp_path / "run"]))
    assert f"3 mistakes in the recipe {recipe}" in told

    def line(text: str) -> int:
        return next(number for number, each in enumerate(lines, 1) if each.strip() == text)

    for place, mistake in (
        (line("- br"), "corpus.languages: br: "),
        (line("nds: frr"), "model.new_languages: nds: frr can't lend its tag"),
        (line("de: en"), "model.new_languages: de has a tag already, 'deu_Latn'"),
    ):
        assert f"  {recipe}:{place}: {mistake}" in told


def test_validate_shows_a_direction_that_the_checkpoint_knows(work: Path) -> None:
    """The first direction is of a new language, whose tag isn't made yet."""
    assert "example: de-en reads" in call("validate", write_recipe(work, "new.yaml", new_languages=NEW))


@pytest.mark.parametrize("command", ["run", "sweep", "sweep --dry-run"])
def test_mistakes_are_told_before_anything_begins(work: Path, tmp_path: Path, command: str) -> None:
    recipe = write_recipe(work, f"{tmp_path.name}.yaml", new_languages=NEW | {"de": "en"})
    (work / f"{tmp_path.name}-sweep.yaml").write_text(f"name: toy\nrecipe: {recipe.name}\narms: {{dense: }}\n")
    file = recipe if command == "run" else work / f"{tmp_path.name}-sweep.yaml"
    told = refused(*command.split(), file, "--out", tmp_path / "run")
    assert "de has a tag already, 'deu_Latn'" in told and "starts" not in told
    assert [path.name for path in tmp_path.glob("run/*")] in ([], [".lock"])


def test_a_checkpoint_is_needed(tmp_path: Path, work: Path) -> None:
    shutil.copy(work / "table.tsv", tmp_path)
    recipe = yaml.safe_load(write_recipe(tmp_path).read_text()) | {"training": BUDGET}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe | {"model": {"trim_vocabulary": True}}))
    assert "trim_vocabulary is of a pretrained checkpoint" in refused("validate", tmp_path / "recipe.yaml")


def test_memory_is_told_with_the_vocabulary_that_is_left(work: Path) -> None:
    call("prepare", write_recipe(work, "small.yaml", **CHANGES), "--out", work / "small")
    recipe = Recipe.load(work / "small.yaml")
    whole = Recipe.load(write_recipe(work, "whole.yaml", new_languages=NEW))
    room = Room("the machine", 700_000, 700_000)  # between what the trimmed and the whole model need
    with pytest.raises(RecipeError, match=r"make it smaller \(model\.trim_vocabulary: true\)"):
        memory_problem(whole, "continuation", room)
    assert "how much is known once the text is prepared" in str(memory_problem(recipe, "continuation", room))
    left = memory_problem(recipe, "continuation", room, work / "small" / "data" / "tokenizer")
    assert "once the text is prepared" not in str(left)
    tiny = Room("the machine", 1000, 1000)
    with pytest.raises(RecipeError, match="another checkpoint"):
        memory_problem(recipe, "continuation", tiny, work / "small" / "data" / "tokenizer")
