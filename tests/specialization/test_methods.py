"""What a specialized model does in place of its class: saving, uploading, generating."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from tests.helpers.fake_hub import FakeHub, in_the_cache
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import random_masks
from transformers import PreTrainedModel, Trainer, TrainingArguments

from neuronspec.core.errors import MaskError, ModelError, PathError
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.save import load, save_specialized
from neuronspec.specialization.scope import use_direction, use_directions


@pytest.fixture
def model() -> PreTrainedModel:
    made = build_family("m2m100")
    return specialize(made, random_masks(made))


def check_same(model: Any, folder: Path) -> None:
    """Check that a folder opens as the model: the same masks, and the same function in each direction."""
    again = load(folder, "cpu")
    assert specialization_of(again).masks == specialization_of(model).masks
    inputs = padded_inputs(model)
    for direction in ("en-de", "de-en"):
        with torch.no_grad(), use_direction(model, direction), use_direction(again, direction):
            assert torch.allclose(again(**inputs).logits, model(**inputs).logits, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "2KB"}, {"safe_serialization": True}], ids=str)
def test_save_pretrained_writes_what_save_specialized_writes(model: Any, options: dict, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "own", **options)
    check_same(model, tmp_path / "own")
    save_specialized(model, tmp_path / "ours")
    masks = "neuron_masks.safetensors"
    assert (tmp_path / "own" / masks).read_bytes() == (tmp_path / "ours" / masks).read_bytes()
    if "max_shard_size" in options:
        assert (tmp_path / "own" / "model.safetensors.index.json").exists()


def test_only_the_main_process_writes(model: Any, tmp_path: Path) -> None:
    model.save_pretrained(
        tmp_path / "other", is_main_process=False, state_dict={}
    )  # gathered in the main process alone
    assert not (tmp_path / "other" / "neuron_masks.safetensors").exists()


def test_without_masks_the_model_saves_as_ever(model: Any, tmp_path: Path) -> None:
    unspecialize(model)
    assert "save_pretrained" not in vars(model) and "generate" not in vars(model)
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "neuron_masks.safetensors").exists()


def test_a_copy_and_a_pickle_save_their_own_weights_and_masks(model: Any, tmp_path: Path) -> None:
    # neuronspec opens no pickles; users send models to other processes and keep them by `torch.save`, which pickle them
    twin, pickled = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for name, each in {"twin": twin, "pickled": pickled}.items():
        with torch.no_grad():
            each.lm_head.weight.mul_(0.5)
        each.save_pretrained(tmp_path / name)
        check_same(each, tmp_path / name)
        assert not torch.equal(each.lm_head.weight, model.lm_head.weight)
        unspecialize(each)
    with use_direction(model, "en-de"):
        model(**padded_inputs(model))


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        ({}, "lacks 'model.shared.weight'"),
        ({"model.shared.weight": torch.zeros(3, 8)}, "has another shape of 'model.shared.weight'"),
    ],
)
def test_a_state_dict_of_something_else_is_refused(model: Any, state_dict: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        model.save_pretrained(tmp_path / "model", state_dict=state_dict)
    assert not (tmp_path / "model").exists()
    model.save_pretrained(tmp_path / "model", state_dict=model.state_dict())
    check_same(model, tmp_path / "model")


def test_a_shard_is_refused(model: Any, tmp_path: Path) -> None:
    class Shard(torch.Tensor):
        full_tensor = None

    state = {name: tensor.as_subclass(Shard) for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"'model\.shared\.weight' is a shard; pass state_dict=get_model_state_dict"):
        model.save_pretrained(tmp_path / "model", state_dict=state)
    assert not (tmp_path / "model").exists()


def test_a_distributed_checkpoint_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no place for masks"):
        model.save_pretrained(tmp_path / "model", distributed_checkpoint=True)
    assert not (tmp_path / "model").exists()


class _Rows(torch.utils.data.Dataset):
    def __init__(self, model: PreTrainedModel) -> None:
        self.inputs = padded_inputs(model, rows=8)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {name: tensor[index] for name, tensor in self.inputs.items()}


class _InDirections(Trainer):
    def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        with use_directions(model, ["en-de", "de-en"]):
            return super().compute_loss(model, inputs, *args, **options)


def test_trainer_keeps_the_masks_in_checkpoints_and_in_the_end(model: Any, tmp_path: Path) -> None:
    arguments = TrainingArguments(
        str(tmp_path), per_device_train_batch_size=2, max_steps=2, save_steps=1, report_to=[], use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = _InDirections(model, arguments, train_dataset=_Rows(model))
    trainer.train()
    trainer.save_model(str(tmp_path / "end"))
    check_same(model, tmp_path / "end")
    check_same(model, tmp_path / "checkpoint-2")
    assert specialization_of(load(tmp_path / "checkpoint-1")).masks == specialization_of(model).masks


@pytest.mark.parametrize("strategy", ["end", "every_save"])
def test_trainer_pushes_the_masks(model: Any, strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    FakeHub(monkeypatch)
    uploaded: list[set[str]] = []

    def upload_folder(_: HfApi, *, folder_path: str, **options: Any) -> Any:
        uploaded.append({path.name for path in Path(folder_path).iterdir()})
        done: Future[str] = Future()
        done.set_result("https://huggingface.co/user/model")
        return done if options.get("run_as_future") else done.result()

    monkeypatch.setattr(HfApi, "upload_folder", upload_folder)
    arguments = TrainingArguments(
        str(tmp_path / "out"), max_steps=1, save_steps=1, report_to=[], use_cpu=True, push_to_hub=True,
        hub_model_id="user/model", hub_strategy=strategy,
    )  # fmt: skip
    trainer = _InDirections(model, arguments, train_dataset=_Rows(model))
    trainer.train()
    if strategy == "every_save":
        assert len(uploaded) == 1, "before the end"
        assert uploaded[0] >= {"model.safetensors", "neuron_masks.safetensors"}
    trainer.push_to_hub()
    assert uploaded[-1] >= {"model.safetensors", "neuron_masks.safetensors", "README.md"}


def test_a_compiled_model_keeps_the_masks(model: Any, tmp_path: Path) -> None:
    torch.compile(model).save_pretrained(tmp_path)
    check_same(model, tmp_path)


def test_accelerate_keeps_the_masks(model: Any, tmp_path: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    prepared = accelerator.prepare(model)
    with use_direction(prepared, "en-de"):
        prepared(**padded_inputs(model))
    accelerator.unwrap_model(prepared).save_pretrained(
        tmp_path,
        is_main_process=accelerator.is_main_process,
        save_function=accelerator.save,
        state_dict=accelerator.get_state_dict(prepared),
    )
    check_same(model, tmp_path)


def test_generate_outside_of_a_direction_warns_once(model: Any) -> None:
    ids = padded_inputs(model)["input_ids"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_direction(model, "en-de"):
            inside = model.generate(ids, max_new_tokens=3, do_sample=False)
    with pytest.warns(UserWarning, match=r'computes the dense model.*ns\.use_direction\(model, "de-en"\)') as seen:
        outside = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert len(seen) == 1 and Path(seen[0].filename) == Path(__file__)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.generate(ids, max_new_tokens=3)
    assert inside.shape == outside.shape


def test_a_model_of_the_hub_is_read_from_the_cache_with_its_masks(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = in_the_cache(tmp_path, monkeypatch, "user/model", model)
    check_same(model, "user/model")  # type: ignore[arg-type]
    assert specialization_of(load("user/model", revision="main")).masks == specialization_of(model).masks
    with pytest.raises(PathError, match="'hf download user/model --revision v2' does"):
        load("user/model", revision="v2")
    with pytest.raises(PathError, match="no folder user/other here.*'hf download user/other' does"):
        load("user/other")
    with pytest.raises(PathError, match="has no revision v2"):
        load(snapshot, revision="v2")
    (snapshot / "neuron_masks.safetensors").unlink()
    with pytest.raises(MaskError, match="it is a dense model"):
        load("user/model")


@pytest.mark.parametrize("way", ["push_to_hub", "save_pretrained"])
def test_push_to_hub_keeps_the_masks_and_writes_a_card(
    model: Any, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub(monkeypatch)
    if way == "push_to_hub":
        model.push_to_hub("user/model", private=True, max_shard_size="1GB", tags=["mine"])
    else:
        model.save_pretrained(tmp_path / "model", push_to_hub=True, repo_id="user/model", private=True, tags="mine")
    assert hub.repos == {"user/model": {"private": True, "exist_ok": True}}
    folder = tmp_path / "again"
    folder.mkdir()
    for name, content in hub.files.items():
        (folder / name).write_bytes(content)
    check_same(model, folder)
    card = hub.files["README.md"].decode()
    for part in (
        "language:\n- de\n- en",
        "pipeline_tag: translation",
        "- neuronspec",
        "- mine",
        "sparsity",
        "| en-de | 0.",
    ):
        assert part in card
    assert 'ns.load("user/model")' in card and "semantics | weight" in card


def test_masks_of_languages_have_a_card_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_family("llama")
    hub = FakeHub(monkeypatch)
    specialize(model, random_masks(model, ("de", "pt_BR"))).push_to_hub("user/model")
    card = hub.files["README.md"].decode()
    assert "language:\n- de\n- pt\n" in card and "pipeline_tag: text-generation" in card and "| pt_BR | 0." in card
    assert "ns.Translator" not in card, "it takes directions alone"


@pytest.mark.parametrize(("line", "replaced"), [("", False), ("<!-- written by neuronspec: remove", True)])
def test_a_card_of_somebody_elses_stays(
    model: Any, line: str, replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from neuronspec.models.hub import CARD_MARK

    hub = FakeHub(monkeypatch, f"{CARD_MARK if line else ''}\nMy own words.")
    hub.folder = tmp_path
    model.push_to_hub("user/model")
    assert ("README.md" in hub.files) == replaced and "neuron_masks.safetensors" in hub.files


def test_without_a_token_or_a_network_nothing_is_uploaded(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(ModelError, match="'hf auth login' does it, or set HF_TOKEN"):
        model.push_to_hub("user/model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the upload to user/model failed: HF_HUB_OFFLINE is set"):
        model.push_to_hub("user/model", token="hf_none")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (None, "the hub can't be reached .*; check the network, or HF_ENDPOINT"),
        (401, r"the hub refuses it \(401\): log in with 'hf auth login' by a token that may write there"),
        (403, r"the hub refuses it \(403\)"),
        (500, "the upload to user/model failed: Server error '500"),
    ],
)
def test_what_the_hub_says_is_told(
    model: Any, status: int | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a server of this machine that answers everything with a status, or by a port where nobody listens."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status or 0)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    if status is None:
        server.server_close()
    else:
        Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ModelError, match=message):
            model.push_to_hub("user/model", token="hf_none")
    finally:
        if status is not None:
            server.shutdown()
            server.server_close()


def test_the_licence_of_the_base_is_told(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n# Base\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({}), encoding="utf-8")
    model.config.name_or_path = str(tmp_path)
    hub = FakeHub(monkeypatch)
    model.push_to_hub("user/model")
    card = hub.files["README.md"].decode()
    assert "license: cc-by-nc-4.0" in card and "allows no commercial use" in card
    assert str(tmp_path) not in card and "base_model" not in card
