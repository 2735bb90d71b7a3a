"""Which device computes, and in what: no GPU is needed to see what CTranslate2 and PyTorch are told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import neuronspec as ns
from neuronspec.cli.app import app
from neuronspec.core.errors import RecipeError
from neuronspec.deploy import exported as exported_module
from neuronspec.deploy import translator as translator_module
from neuronspec.models.load import checked_device
from neuronspec.translation import ctranslate2_engine
from neuronspec.translation.ctranslate2_engine import check_computes, load_translator
from neuronspec.translation.quantizations import PRECISIONS, QUANTIZATIONS

GPU_TYPES = {"float32", "float16", "int8", "int8_float32", "int8_float16"}


class CTranslate2:
    """What was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def Translator(self, folder: str, **options: Any) -> object:
        self.asked.append((options["device"], options.get("device_index"), options["compute_type"]))
        return SimpleNamespace()

    def get_supported_compute_types(self, device: str, device_index: int) -> set[str]:
        self.asked.append((device, device_index))
        return GPU_TYPES


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> CTranslate2:
    """Two GPUs, in all but computing."""
    found = CTranslate2()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(ctranslate2_engine, "import_ctranslate2", lambda: found)
    return found


@pytest.mark.parametrize(
    ("quantization", "device", "precision", "computed"),
    [
        ("int8", "cpu", None, "int8"),
        ("float16", "cpu", None, "float32"),
        ("int8", "cuda", None, "int8"),
        ("int8", "cuda", "float16", "int8_float16"),
        ("int8", "cuda:1", "bfloat16", "int8_bfloat16"),
        ("int8", "cuda", "float32", "int8_float32"),
        ("float32", "cuda", "bfloat16", "bfloat16"),
        ("float16", "cuda", "float32", "float32"),
        ("float16", "cuda", None, "float16"),
    ],
)
def test_what_ctranslate2_computes_in(quantization: str, device: str, precision: str | None, computed: str) -> None:
    assert QUANTIZATIONS.get(quantization).computed(device, precision) == computed


def test_the_names_of_types_are_those_of_pytorch() -> None:
    assert all(isinstance(getattr(torch, name), torch.dtype) for name in PRECISIONS)


@pytest.mark.parametrize(("device", "told"), [("cpu", ("cpu", None)), ("cuda", ("cuda", 0)), ("cuda:1", ("cuda", 1))])
def test_the_number_of_a_gpu_is_told(gpus: CTranslate2, device: str, told: tuple[str, int | None]) -> None:
    load_translator("folder", device, "float32")
    assert gpus.asked == [(*told, "float32")]


def test_a_type_that_a_gpu_lacks_is_refused(gpus: CTranslate2) -> None:
    check_computes("cuda:1", "int8_float16")
    assert gpus.asked == [("cuda", 1)]
    with pytest.raises(RecipeError, match="cuda:1 doesn't compute in bfloat16; valid there: float16, float32, int8"):
        check_computes("cuda:1", "bfloat16")


def test_an_exported_folder_goes_to_the_gpu(gpus: CTranslate2, exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    translator = ns.Translator(exported, device="cuda:1", precision="float16")
    monkeypatch.setattr(exported_module, "CTranslate2Engine", lambda *given: SimpleNamespace())
    translator._exported.engine(translator.direction("en", "de"))  # type: ignore[union-attr]
    assert gpus.asked == [("cuda", 1), ("cuda", 1, "int8_float16")], "checked at the start, then loaded"
    with pytest.raises(RecipeError, match="cuda doesn't compute in int8_bfloat16; valid there: .*int8_float16"):
        ns.Translator(exported, device="cuda", precision="bfloat16")


def test_a_model_is_computed_in_the_precision(specialized: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch computes in bfloat16 on the CPU, too, so that it can be seen that the model does."""
    monkeypatch.setattr(translator_module, "_checked", lambda device, precision: "cpu")
    translator = ns.Translator(specialized, device="cpu", precision="bfloat16", beam=2)
    model = translator._engine.model  # type: ignore[attr-defined]
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    exact = ns.Translator(specialized, device="cpu", beam=2)
    texts = ["w1 w2", "w3 w4 w5", "w6"]
    assert translator(texts, "en-de") == exact(texts, "en-de") == ["w2 w1", "w5 w4 w3", "w6"]
    assert translator(texts, "de-fr") == exact(texts, "de-fr"), "composed"


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("gpu", None, "the device is 'gpu'; valid: cpu, cuda, and of several GPUs cuda:0"),
        ("cuda:", None, "the device is 'cuda:'"),
        ("mps", None, "the device is 'mps'"),
        ("meta", None, "the device is 'meta'"),
        ("cpu", "float16", "float16 is for GPUs: give a device such as cuda"),
        (None, "bfloat16", "bfloat16 is for GPUs"),
        ("cpu", "half", "the precision is 'half'; valid: float32, float16, bfloat16"),
    ],
)
def test_devices_and_types_that_make_no_sense(
    exported: Path, device: str | None, precision: str | None, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        ns.Translator(exported, device=device, precision=precision)


def test_a_gpu_that_is_not_there(gpus: CTranslate2, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(RecipeError, match="the device is cuda:2, and the last GPU here is cuda:1"):
        checked_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="the device is cuda:1, and PyTorch finds no CUDA GPU here"):
        checked_device("cuda:1")


@pytest.mark.parametrize("command", [["serve"], ["translate", "-", "--from", "en", "--to", "de"]])
def test_the_commands_pass_them_on(
    gpus: CTranslate2, exported: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    arguments = [command[0], str(exported), *command[1:], "--device", "cuda:1", "--precision", "bfloat16"]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, RecipeError) and "cuda:1 doesn't compute in int8_bfloat16" in str(done.exception)
