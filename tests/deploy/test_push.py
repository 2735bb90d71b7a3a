"""`neuronspec push`: an arm or a model folder to the hub, with its card."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.helpers.fake_hub import FakeHub, in_the_cache
from tests.helpers.families import build_family
from typer.testing import CliRunner

import neuronspec as ns
from neuronspec.cli.app import app
from neuronspec.core.errors import ModelError, PathError, RecipeError
from neuronspec.core.files import write_json
from neuronspec.deploy.directions import compact_directions
from neuronspec.deploy.push import push_folder
from neuronspec.models.hub import CARD_MARK

RECIPE = """
name: toy
corpus:
  train: {{reader: tsv, path: {text}}}
  pivot: en
  languages: [de, fr]
model:
  pretrained: {base}
continuation:
  updates: 1
  batch_tokens: 100
  learning_rate: 1e-4
"""


@pytest.fixture
def run(specialized: Path, tmp_path: Path) -> Path:
    """A run folder with the arm `specialized`, scores, and a base whose card names a licence."""
    base = tmp_path / "base"
    base.mkdir()
    (base / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n", encoding="utf-8")
    (tmp_path / "train.tsv").touch()
    folder = tmp_path / "run"
    shutil.copytree(specialized, folder / "arms" / "specialized")
    for name in ("log.jsonl", "training_args.bin", "masks-5.safetensors"):
        (folder / "arms" / "specialized" / name).touch()
    (folder / "recipe.yaml").write_text(RECIPE.format(text=tmp_path / "train.tsv", base=base), encoding="utf-8")
    row = {"bleu": 12.34, "chrf++": 45.67, "loss": 1.0, "n": 100}
    arms = {"specialized": {"en-de": row, "de-en": row | {"chrf++": 50.0}}}
    write_json(folder / "results.json", {"arms": arms, "signatures": {}, "environment": {}, "recipe": "toy", "seed": 1,
                                         "pivot": "en", "tiers": {}, "families": {}})  # fmt: skip
    return folder


def test_an_arm_goes_up_with_a_card_that_tells_its_scores_and_licence(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    facts = push_folder(run, "user/toy", private=True)
    assert facts["url"] == "https://huggingface.co/user/toy/commit/0"
    assert hub.repos == {"user/toy": {"private": True, "exist_ok": True}}
    assert sorted(hub.files) == [
        "README.md", "config.json", "generation_config.json", "model.safetensors", "neuron_masks.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    card = hub.files["README.md"].decode()
    for part in (
        "license: cc-by-nc-4.0", "allows no commercial use", "- de\n- en\n- fr", 
        "| direction | sparsity | chrF++ | BLEU |",
        "| 45.7 | 12.3 |", "Scores on the 200 test sentences", 'ns.Translator("user/toy")("...", "de-en")',
    ):  # fmt: skip
        assert part in card, part
    assert str(tmp_path) not in card
    assert not (run / "arms" / "specialized" / "README.md").exists()


def test_an_arm_without_masks_goes_up_as_a_plain_model(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "arms" / "specialized").rename(run / "arms" / "dense")
    (run / "arms" / "dense" / "neuron_masks.safetensors").unlink()
    hub = FakeHub(monkeypatch)
    push_folder(run, "user/toy", arm="dense")
    card = hub.files["README.md"].decode()
    assert "AutoModelForSeq2SeqLM" in card and "ns.load" not in card and "- en\n- fr" in card
    assert "neuron_masks.safetensors" not in hub.files


def test_the_card_of_an_arm_without_an_encoder_opens_it_as_such(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = run / "arms" / "dense"
    build_family("llama").save_pretrained(dense)
    hub = FakeHub(monkeypatch)
    push_folder(run, "user/toy", arm="dense")
    card = hub.files["README.md"].decode()
    assert "AutoModelForCausalLM" in card and "pipeline_tag: text-generation" in card


def test_a_users_own_card_may_be_in_any_encoding(
    specialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(specialized, folder)
    (folder / "README.md").write_bytes("# Übersetzer".encode("latin-1"))
    hub = FakeHub(monkeypatch)
    push_folder(folder, "user/toy")
    assert hub.files["README.md"] == "# Übersetzer".encode("latin-1")


def test_what_went_up_translates_from_the_cache(
    specialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    push_folder(specialized, "user/toy")
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    for name, content in hub.files.items():
        (pushed / name).write_bytes(content)
    in_the_cache(tmp_path, monkeypatch, "user/toy", pushed)
    translator = ns.Translator("user/toy", device="cpu")
    assert translator.name == "toy" and translator.directions == ["de-en", "en-de", "en-fr"]
    assert translator("w1 w2 w3", "en-de") == ns.Translator(specialized, device="cpu")("w1 w2 w3", "en-de")
    with pytest.raises(PathError, match="'hf download user/absent' does"):
        ns.Translator("user/absent")
    (facts,) = compact_directions(Path("user/toy"), ["en-de"], tmp_path / "small", None)
    assert facts["parameters"] < facts["dense_parameters"]


@pytest.mark.parametrize(("text", "kept"), [("# My own", True), (f"{CARD_MARK}\n# Old", False)])
def test_a_users_own_card_is_taken_as_it_is(
    text: str, kept: bool, specialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(specialized, folder)
    (folder / "README.md").write_text(text, encoding="utf-8")
    hub = FakeHub(monkeypatch)
    push_folder(folder, "user/toy")
    assert (hub.files["README.md"].decode() == text) == kept
    assert (folder / "README.md").read_text(encoding="utf-8") == text


def linked_in_the_cache(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went up to user/toy, in the cache as downloads are: links to the contents."""
    blobs = tmp_path / "models--user--toy" / "blobs"
    blobs.mkdir(parents=True)
    source = tmp_path / "links"
    for number, (name, content) in enumerate(hub.files.items()):
        (blobs / str(number)).write_bytes(content)
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).symlink_to(blobs / str(number))
    snapshot = in_the_cache(tmp_path, monkeypatch, "user/toy", source)
    shutil.rmtree(snapshot)
    shutil.copytree(source, snapshot, symlinks=True)


def test_exports_go_up_and_translate_from_the_cache(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    facts = push_folder(exported, "user/toy")
    assert "en-de/model.bin" in facts["files"] and "de-en/neuronspec.json" in facts["files"]
    card = hub.files["README.md"].decode()
    assert "library_name: ctranslate2" in card and "(int8), a folder per direction" in card and "| en-de |" in card
    assert str(exported) not in card
    linked_in_the_cache(hub, tmp_path, monkeypatch)
    translator = ns.Translator("user/toy")
    assert translator("w1 w2 w3", "en-de") == ns.Translator(exported)("w1 w2 w3", "en-de")


def test_one_export_goes_to_the_root_and_a_changed_one_nowhere(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    folder = tmp_path / "en-de"
    shutil.copytree(exported / "en-de", folder)
    (folder / "notes.txt").touch()
    push_folder(folder, "user/toy")
    assert {"model.bin", "neuronspec.json", "tokenizer_config.json"} < set(hub.files) and "notes.txt" not in hub.files
    assert "one direction" in hub.files["README.md"].decode()
    hub.repos.clear()
    (folder / "model.bin").write_bytes(b"other")
    with pytest.raises(ModelError, match=r"model\.bin"):
        push_folder(folder, "user/toy")
    assert hub.repos == {}


def test_what_cannot_be_pushed_is_told_before_anything_is_made(
    run: Path, specialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    with pytest.raises(RecipeError, match="the repository is 'toy'; it is named user/model"):
        push_folder(run, "toy")
    with pytest.raises(RecipeError, match="no finished arm 'dense'; it has base, specialized"):
        push_folder(run, "user/toy", arm="dense")
    with pytest.raises(PathError, match="is no folder"):
        push_folder(tmp_path / "absent", "user/toy")
    with pytest.raises(ModelError, match=r"lacks config\.json or weights"):
        push_folder(tmp_path, "user/toy")
    lora = tmp_path / "lora"
    shutil.copytree(specialized, lora)
    (lora / "lora.safetensors").touch()
    with pytest.raises(ModelError, match=r"holds lora\.safetensors, which only the run"):
        push_folder(lora, "user/toy")
    assert hub.repos == {} and hub.files == {}


def test_the_command_says_where_it_went_and_what_is_missing(specialized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHub(monkeypatch)
    done = CliRunner().invoke(app, ["push", str(specialized), "user/toy"])
    assert done.exit_code == 0, done.output
    assert "https://huggingface.co/user/toy/commit/0" in done.output and "6 files" in done.output
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    failed = CliRunner().invoke(app, ["push", str(specialized), "user/toy"])
    assert isinstance(failed.exception, ModelError) and "hf auth login" in str(failed.exception)
