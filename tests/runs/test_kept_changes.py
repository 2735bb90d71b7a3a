"""Arms whose FFNs alone were trained: the weights that changed are kept, the others are those of the base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.fake_hub import FakeHub
from tests.helpers.synthetic import write_table
from tests.runs.test_pretrained import call, sentences, write_recipe
from transformers import AutoModelForSeq2SeqLM

import neuronspec as ns
from neuronspec.core.errors import ModelError
from neuronspec.deploy.push import push_folder
from neuronspec.models.changed_weights import BASE_FILE, CHANGED_FILE, INDEX_FILE, WHOLE_FILE, keep_changes
from neuronspec.models.load import load_model, outline_model
from neuronspec.models.pretrained import check_checkpoint, facts_of
from neuronspec.models.settings import ModelSettings

pytestmark = pytest.mark.cli
LEARNS = {"updates": 2, "batch_tokens": 200, "learning_rate": 1e-2, "warmup": 1, "precision": "float32",
          "validate_every": 2, "validation_sentences": 8, "save_every": 2}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a recipe and of its finished run with all its arms."""
    folder = tmp_path_factory.mktemp("kept")
    write_table(folder / "table.tsv", rows=200)
    FAMILIES["nllb"](folder / "checkpoint", sentences(folder / "table.tsv"))
    recipe = write_recipe(
        folder,
        specialization={"trainable": "ffn"},
        continuation=LEARNS,
        arms=["specialized", "dense", "random", "lora"],
    )
    call("run", recipe, "--out", folder / "run")
    return folder


@pytest.fixture
def run(work: Path, tmp_path: Path) -> Path:
    """A copy of the run, elsewhere."""
    return Path(shutil.copytree(work / "run", tmp_path / "run"))


def base_and_arm(run: Path, arm: str = "dense") -> Iterator[dict[str, torch.Tensor]]:
    for folder in (run / "base", run / "arms" / arm):
        yield AutoModelForSeq2SeqLM.from_pretrained(folder).state_dict()


def whole(run: Path, arm: str, folder: Path) -> Path:
    """The arm with whole weights, made by hand."""
    shutil.copytree(run / "arms" / arm, folder)
    tensors = load_file(run / "base" / WHOLE_FILE) | load_file(folder / CHANGED_FILE)
    for name in (BASE_FILE, CHANGED_FILE, INDEX_FILE):
        (folder / name).unlink()
    save_file(tensors, folder / WHOLE_FILE, metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("arm", ["specialized", "dense", "random"])
def test_an_arm_holds_what_changed(run: Path, arm: str) -> None:
    """`transformers` alone opens it, too."""
    folder = run / "arms" / arm
    assert not (folder / WHOLE_FILE).exists()
    names = set(load_file(folder / CHANGED_FILE))
    assert names == {name for name in load_file(run / "base" / WHOLE_FILE) if ".fc" in name}
    assert (folder / CHANGED_FILE).stat().st_size < (run / "base" / WHOLE_FILE).stat().st_size / 2
    base, own = base_and_arm(run, arm)
    assert {name for name in base if not torch.equal(base[name], own[name])} == names
    opened = load_model(folder).state_dict()
    assert all(torch.equal(opened[name], value) for name, value in own.items())
    assert outline_model(folder).num_parameters() == load_model(folder).num_parameters()


def test_an_arm_with_layers_beside_its_weights_holds_those_alone(run: Path) -> None:
    assert not list((run / "arms" / "lora").glob("model*.safetensors"))
    base, own = base_and_arm(run, "lora")
    assert all(torch.equal(base[name], own[name]) for name in base)


def test_it_translates_exports_and_goes_up_as_with_whole_weights(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["one two three", "four five"]
    folder, plain = run / "arms" / "specialized", whole(run, "specialized", tmp_path / "plain")
    expected = [ns.Translator(plain)(text, "en-de") for text in texts]
    assert [ns.Translator(folder)(text, "en-de") for text in texts] == expected
    assert [ns.Translator(run)(text, "en-de") for text in texts] == expected
    small, other = (ns.compact(ns.load(each), "en-de").state_dict() for each in (folder, plain))
    assert all(torch.equal(small[name], other[name]) for name in other)
    call("export", run, "en-de", "--out", tmp_path / "exported")
    assert ns.Translator(tmp_path / "exported")(texts[0], "en-de")
    ns.save_specialized(ns.load(folder), tmp_path / "saved")
    assert load_file(tmp_path / "saved" / WHOLE_FILE).keys() == load_file(plain / WHOLE_FILE).keys()
    hub = FakeHub(monkeypatch)
    push_folder(run, "user/toy")
    assert not {BASE_FILE, CHANGED_FILE, INDEX_FILE} & set(hub.files)
    (tmp_path / "pushed.safetensors").write_bytes(hub.files[WHOLE_FILE])
    pushed, stored = load_file(tmp_path / "pushed.safetensors"), load_file(plain / WHOLE_FILE)
    assert pushed.keys() == stored.keys() and all(torch.equal(pushed[name], stored[name]) for name in stored)


def test_stages_after_training_go_on_from_it(run: Path) -> None:
    facts = json.loads(call("inspect", run / "arms" / "dense", "--json"))
    assert facts["base"] == str(run / "base") and facts["changed tensors"] == 16
    shutil.rmtree(run / "evaluation")
    (run / "results.json").unlink()
    call("evaluate", run)
    assert set(json.loads((run / "results.json").read_text())["arms"]) >= {"specialized", "dense", "random", "lora"}
    call("specialize", run, "--set", "continuation.updates=3")
    assert (run / "arms" / "dense" / CHANGED_FILE).is_file()
    assert not (run / "arms" / "dense" / WHOLE_FILE).exists()


def test_another_run_starts_from_it(run: Path) -> None:
    settings = ModelSettings(pretrained=str(run / "arms" / "dense"))
    assert check_checkpoint(settings) == run / "arms" / "dense"
    before = facts_of(settings)["sha256"]
    reference = run / "arms" / "dense" / BASE_FILE
    reference.write_text(reference.read_text() + " ")
    assert facts_of(settings)["sha256"] != before
    (run / "base" / WHOLE_FILE).unlink()
    with pytest.raises(ModelError, match="base/model.safetensors is missing"):
        check_checkpoint(settings)


@pytest.mark.parametrize("change", ["deleted", "changed", "moved arm"])
def test_without_the_base_it_says_what_is_missing(run: Path, tmp_path: Path, change: str) -> None:
    folder, weights = run / "arms" / "specialized", run / "base" / WHOLE_FILE
    if change == "deleted":
        weights.unlink()
        message = f"{weights} is missing; put the base back there"
    elif change == "changed":
        tensors = load_file(weights)
        next(iter(tensors.values())).view(-1)[0] += 1
        save_file(tensors, weights, metadata={"format": "pt"})
        message = f"{weights} is damaged: its content changed; put the base back there"
    else:
        folder = Path(shutil.move(folder, tmp_path / "alone" / "deep" / "specialized"))
        message = f"{tmp_path / 'alone' / 'base'}"
    for opened in (ns.load, ns.Translator, load_model, outline_model):
        with pytest.raises(ModelError, match="holds only the weights that differ") as told:
            opened(folder)
        assert message in str(told.value)
    assert "holds only the weights that differ" in call("inspect", folder, code=1)
    if change != "moved arm":
        with pytest.raises(ModelError, match="holds only the weights that differ"):
            push_folder(run, "user/toy")
        call("export", run, "en-de", "--out", tmp_path / "out", code=1)
        assert not (tmp_path / "out").exists()


def test_an_index_that_leads_elsewhere_is_refused(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run / "arms" / "dense", run / "arms" / "copied"))  # the run knows nothing of it
    index = json.loads((folder / INDEX_FILE).read_text())
    index["weight_map"]["model.shared.weight"] = "../../../other/model.safetensors"
    (folder / INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="is no file of the base"):
        ns.Translator(folder)


def test_weights_that_changed_more_stay_whole(run: Path, tmp_path: Path) -> None:
    """Also where a training before had kept less."""
    plain = whole(run, "dense", tmp_path / "plain")
    tensors = {name: value + 1 for name, value in load_file(plain / WHOLE_FILE).items()}
    folder = run / "arms" / "dense"
    save_file(tensors, folder / WHOLE_FILE, metadata={"format": "pt"})
    keep_changes(folder, run / "base")
    assert not [name for name in (BASE_FILE, CHANGED_FILE, INDEX_FILE) if (folder / name).exists()]
    shared = AutoModelForSeq2SeqLM.from_pretrained(folder).model.shared.weight
    assert torch.equal(shared, tensors["model.shared.weight"])
