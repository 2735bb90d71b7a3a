"""Runs that start from a pretrained checkpoint: each family through the whole path."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import write_table
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.corpus.store import TokenStore
from neuronspec.models.text_format import TextFormat

pytestmark = pytest.mark.cli
EN_DE = Direction("en", "de")
BUDGET = {"updates": 3, "batch_tokens": 200, "learning_rate": 1e-3, "warmup": 1, "precision": "float32",
          "validate_every": 3, "validation_sentences": 8, "save_every": 3}  # fmt: skip


def sentences(table: Path) -> list[str]:
    return [cell for line in table.read_text(encoding="utf-8").splitlines()[1:] for cell in line.split("\t")[1:]]


def write_recipe(folder: Path, **changes: object) -> Path:
    content = {
        "name": "toy",
        "corpus": {"train": {"reader": "tsv", "path": "table.tsv"}, "languages": ["de", "fr"], "valid_share": 0.1,
                   "test_share": 0.05},
        "model": {"pretrained": "checkpoint"},
        "recording": {"sentences": 10},
        "continuation": BUDGET,
        "evaluation": {"beam": 2, "max_new_tokens": 12, "scores": {"off_target": False}},
    }  # fmt: skip
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(content | changes), encoding="utf-8")
    return path


def call(*arguments: object, code: int = 0) -> str:
    """Run the command line; all that it printed."""
    done = neuronspec(*arguments, columns=80)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
    return done.stdout + done.stderr


refused = partial(call, code=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    write_table(folder / "table.tsv", rows=200)
    return folder


@pytest.fixture(scope="module", params=[pytest.param("mbart50", marks=pytest.mark.slow), "m2m100", "nllb"])
def family(request: pytest.FixtureRequest, work: Path) -> Path:
    """The folder of a recipe, its checkpoint and its finished run."""
    folder = work / request.param
    folder.mkdir()
    (folder / "table.tsv").write_bytes((work / "table.tsv").read_bytes())
    FAMILIES[request.param](folder / "checkpoint", sentences(folder / "table.tsv"))
    call("run", write_recipe(folder), "--out", folder / "run")
    return folder


def test_without_training_the_checkpoint_is_the_baseline(family: Path) -> None:
    own, base = (AutoModelForSeq2SeqLM.from_pretrained(family / name) for name in ("checkpoint", "run/base"))
    found = base.state_dict()
    for name, value in own.state_dict().items():
        assert torch.equal(found[name], value), name
    results = json.loads((family / "run" / "results.json").read_text())
    assert set(results["arms"]) == {"copy", "base", "specialized", "dense", "random"}
    assert results["pretrained"]["name"] == str(family / "checkpoint") and len(results["pretrained"]["sha256"]) == 64
    assert results["arms"]["specialized"]["en-de"]["n"] == results["arms"]["base"]["en-de"]["n"] > 0


def test_sentences_are_framed_as_the_checkpoint_s_own_tokenizer_frames_them(family: Path) -> None:
    """In training and in recording; the same ids as in the call that its model card tells."""
    tokenizer = AutoTokenizer.from_pretrained(family / "checkpoint")
    tags = {"nllb": ("eng_Latn", "deu_Latn"), "m2m100": ("en", "de"), "mbart50": ("en_XX", "de_DE")}[family.name]
    tokenizer.src_lang, tokenizer.tgt_lang = tags
    store = TokenStore.open(family / "run" / "data")
    pairs = store.pairs("valid", EN_DE)
    ours = TextFormat.of(store.tokenizer, [EN_DE]).pieces([EN_DE] * 5, pairs.gather(np.arange(5)))
    theirs = tokenizer(
        pairs.source_texts()[:5], text_target=pairs.target_texts()[:5], padding=True, return_tensors="pt"
    )
    assert torch.equal(ours["input_ids"], theirs["input_ids"])
    assert torch.equal(ours["attention_mask"], theirs["attention_mask"])
    labels = ours["labels"].masked_fill(ours["labels"] == -100, tokenizer.pad_token_id)
    labels[:, 0] = theirs["labels"][:, 0]  # the tag takes no loss here, since it is always given
    assert torch.equal(labels, theirs["labels"])
    assert ours["decoder_input_ids"][0, :2].tolist() == [tokenizer.eos_token_id, int(theirs["labels"][0, 0])]


def test_the_run_translates_as_the_checkpoint_does(family: Path) -> None:
    """Greedy search by `generate`, with the tag of the target forced as model cards tell."""
    tokenizer = AutoTokenizer.from_pretrained(family / "checkpoint")
    model = AutoModelForSeq2SeqLM.from_pretrained(family / "checkpoint").eval()
    source, target = {"nllb": ("eng_Latn", "deu_Latn"), "m2m100": ("en", "de"), "mbart50": ("en_XX", "de_DE")}[
        family.name
    ]
    tokenizer.src_lang = source
    tag = tokenizer.convert_tokens_to_ids(target if family.name != "m2m100" else f"__{target}__")
    text = "one two three"
    ids = model.generate(
        **tokenizer(text, return_tensors="pt"), forced_bos_token_id=tag, num_beams=1, do_sample=False, max_length=13
    )  # our own limit counts the tag, too
    ids = ids.masked_fill(ids == tag, tokenizer.pad_token_id)  # M2M100's tokenizer doesn't hold it for special
    expected = tokenizer.batch_decode(ids, skip_special_tokens=True)[0]
    translator = ns.Translator(family / "run" / "base", beam=1, max_new_tokens=12)
    assert translator(text, "en-de") == expected


def test_another_checkpoint_makes_everything_anew(family: Path) -> None:
    assert "up to date" in call("run", family / "recipe.yaml", "--out", family / "run", "--dry-run")
    config = family / "checkpoint" / "config.json"
    before = config.read_bytes()
    try:
        config.write_bytes(before.replace(b"}", b" }", 1))
        assert "prepare: up to date" not in call("run", family / "recipe.yaml", "--out", family / "run", "--dry-run")
    finally:
        config.write_bytes(before)


def test_with_training_it_is_tuned_first(work: Path) -> None:
    folder = work / "tuned"
    folder.mkdir()
    (folder / "table.tsv").write_bytes((work / "table.tsv").read_bytes())
    FAMILIES["nllb"](folder / "checkpoint", sentences(folder / "table.tsv"))
    recipe = write_recipe(folder, training=BUDGET)
    call("run", recipe, "--out", folder / "run", "--stage", "prepare")
    call("train", folder / "run")
    own, base = (AutoModelForSeq2SeqLM.from_pretrained(folder / name) for name in ("checkpoint", "run/base"))
    assert not torch.equal(own.model.shared.weight, base.model.shared.weight)
    assert (folder / "run" / "base" / "log.jsonl").is_file()


def test_a_table_of_languages_says_which_tag_is_meant(work: Path) -> None:
    folder = work / "table"
    folder.mkdir()
    (folder / "table.tsv").write_bytes((work / "table.tsv").read_bytes())
    FAMILIES["nllb"](folder / "checkpoint", sentences(folder / "table.tsv"))
    model = {"pretrained": "checkpoint", "languages": {"de": "ltz_Latn"}}
    call("prepare", write_recipe(folder, model=model), "--out", folder / "run")
    store = TokenStore.open(folder / "run" / "data")
    own = AutoTokenizer.from_pretrained(folder / "checkpoint")
    frame = TextFormat.of(store.tokenizer, [EN_DE]).frame
    assert frame.tags["de"] == own.convert_tokens_to_ids("ltz_Latn")
    wrong = write_recipe(folder, model=model | {"languages": {"de": "ltz_Latin"}})
    assert "did you mean 'ltz_Latn'" in refused("prepare", wrong, "--out", folder / "other")


def test_what_can_not_be_a_start_is_refused(work: Path, tmp_path: Path) -> None:
    (tmp_path / "table.tsv").write_bytes((work / "table.tsv").read_bytes())
    checkpoint = FAMILIES["nllb"](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stages.json").touch()
    told = refused("validate", write_recipe(tmp_path, model={"pretrained": "run"}))
    assert f"is a run; name its model, {tmp_path / 'run' / 'base'}" in told
    assert "no such folder" in refused("validate", write_recipe(tmp_path, model={"pretrained": "./nowhere"}))
    hub = refused("validate", write_recipe(tmp_path, model={"pretrained": "someone/nllb"}))
    assert "hf download someone/nllb" in hub
    mixed = refused("validate", write_recipe(tmp_path, model={"pretrained": "checkpoint", "d_model": 64}))
    assert "leave d_model out" in mixed
    assert "leave the section out" in refused("validate", write_recipe(tmp_path, tokenizer={"vocabulary": 500}))
    assert "'training' is missing" in refused("validate", write_recipe(tmp_path, model={"preset": "tiny"}))
    assert "none is named" in refused("validate", write_recipe(tmp_path, model={"revision": "main"}, training=BUDGET))
    assert "leave it out" in refused("validate", write_recipe(tmp_path, arms=["bilingual"]))
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"model_type": "bart"}))
    assert "m2m_100 (M2M-100 and NLLB-200)" in refused("validate", write_recipe(tmp_path))
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "model.safetensors").unlink()
    assert "holds no weights" in refused("validate", write_recipe(tmp_path))


@pytest.fixture(scope="module")
def own(work: Path) -> Path:
    """As `family`, of one kind: for what has nothing to do with the kind, and may change the run."""
    folder = work / "own"
    folder.mkdir()
    shutil.copy(work / "table.tsv", folder)
    FAMILIES["nllb"](folder / "checkpoint", sentences(folder / "table.tsv"))
    call("run", write_recipe(folder), "--out", folder / "run")
    return folder


def copy_of(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint in another folder, with a recipe and its text beside it."""
    folder.mkdir()
    shutil.copytree(checkpoint, folder / "checkpoint")
    shutil.copy(checkpoint.parent / "table.tsv", folder)
    write_recipe(folder)
    return folder


def test_arms_that_are_more_than_their_weights_are_no_start(own: Path, tmp_path: Path) -> None:
    """Their masks, adapters or widths would be left out without a word."""
    arms = own / "run" / "arms"
    for arm in ("specialized", "random"):
        masked = write_recipe(own, model={"pretrained": str(arms / arm)})
        assert "holds neuron_masks.safetensors" in refused("validate", masked)
    call("validate", write_recipe(own, model={"pretrained": str(arms / "dense")}))
    call("compact", arms / "specialized", "en-de", "--out", tmp_path / "compact")
    compact = write_recipe(own, model={"pretrained": str(tmp_path / "compact")})
    assert "holds neuronspec_compact.json" in refused("validate", compact)
    write_recipe(own)
    work = copy_of(own / "checkpoint", tmp_path / "work")
    for name in ("lora.safetensors", "adapters.safetensors", "adapter_model.safetensors", "adapter_config.json"):
        beside = work / "checkpoint" / name
        beside.write_bytes(b"")
        assert f"holds {name}" in refused("validate", work / "recipe.yaml")
        beside.unlink()
    call("validate", work / "recipe.yaml")


def test_a_finished_run_needs_its_checkpoint_no_more(own: Path) -> None:
    """It may have been copied from another machine; what can't be done without the checkpoint names it."""
    run, checkpoint = own / "run", own / "checkpoint"
    assert json.loads(call("inspect", run, "--json"))["starts from"] == str(checkpoint)
    facts = json.loads((run / "results.json").read_text())["pretrained"]
    away = checkpoint.rename(own / "away")
    try:
        call("inspect", run)
        assert "report: up to date" in call("report", run)
        call("evaluate", run, "--set", "evaluation.beam=1")
        assert json.loads((run / "results.json").read_text())["pretrained"] == facts
        shutil.rmtree(run / "base")
        again = refused("train", run)
        assert f"there is no folder {checkpoint} any more" in again and "hf download" not in again
    finally:
        away.rename(checkpoint)


def test_damaged_weights_are_told_before_the_text_is_read(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "table.tsv", tmp_path)
    checkpoint = FAMILIES["nllb"](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv"))
    weights = checkpoint / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    pickled = checkpoint / "pytorch_model.bin"
    for damaged in (b"PK\x03\x04" + whole[:100], b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", b""):
        pickled.write_bytes(damaged)
        assert f"{pickled} can't be read" in call("validate", write_recipe(tmp_path), code=1)
    pickled.unlink()
    for damaged in (whole[: len(whole) // 2], b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"):
        weights.write_bytes(damaged)
        told = call("validate", write_recipe(tmp_path), code=1)
        assert f"{weights} can't be read" in told and "copy the folder again" in told
    weights.write_bytes(whole)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint)
    weights.unlink()
    model.save_pretrained(checkpoint, max_shard_size="40KB")
    call("validate", tmp_path / "recipe.yaml")
    shard = sorted(checkpoint.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert f"{shard} is missing" in call("validate", tmp_path / "recipe.yaml", code=1)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../table.tsv"}}))
    assert str(index) in call("validate", tmp_path / "recipe.yaml", code=1)


def test_a_foreign_tokenizer_is_told_before_the_text_is_read(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "table.tsv", tmp_path)
    texts = sentences(tmp_path / "table.tsv")
    checkpoint = FAMILIES["nllb"](tmp_path / "checkpoint", texts)
    other = FAMILIES["mbart50"](tmp_path / "other", texts)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(other / name, checkpoint)
    told = call("prepare", write_recipe(tmp_path), "--out", tmp_path / "run", code=1)
    assert "the tokenizer has 140 ids and the model 353" in told and "tsv: sentence pairs" not in told


def test_mistaken_tables_of_languages_are_refused(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "table.tsv", tmp_path)
    FAMILIES["nllb"](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv"))

    def told(languages: dict[str, str], command: str = "prepare", **more: str) -> str:
        recipe = write_recipe(tmp_path, model={"pretrained": "checkpoint", "languages": languages} | more)
        return refused(command, recipe, *(["--out", tmp_path / "run"] if command == "prepare" else []))

    assert "de and fr have the same tag, 'fra_Latn'" in told({"de": "fra_Latn"})
    assert "no tag '<pad>'" in told({"de": "<pad>"})
    assert "recipe.yaml:" in told({"xx": "deu_Latn"}, "validate")
    assert "de is named twice" in told({"de": "deu_Latn", "ger": "ltz_Latn"}, "validate")
    assert "leave revision out" in told({}, "validate", revision="main")


def test_a_sweep_over_baselines_needs_one_that_is_trained(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "table.tsv", tmp_path)
    FAMILIES["nllb"](tmp_path / "checkpoint", sentences(tmp_path / "table.tsv"))
    write_recipe(tmp_path)
    sweep = {"name": "toy", "recipe": "recipe.yaml", "base_seeds": [1, 2], "arms": {"dense": None}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    told = refused("sweep", tmp_path / "sweep.yaml", "--out", tmp_path / "sweep")
    assert "leave base_seeds out, or add training" in told
