"""The arithmetic that models record, translate and train in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from tests.helpers.toy_corpus import toy_model

from neuronspec.core.errors import ModelError
from neuronspec.models import precision
from neuronspec.models.precision import products_of, tensor_cores, without_gradients_in

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def choices() -> tuple[str, str, str, str]:
    """All that torch says of how float32 is multiplied."""
    backends: Any = torch.backends
    return (
        torch.get_float32_matmul_precision(),
        backends.fp32_precision,
        backends.cuda.matmul.fp32_precision,
        backends.mkldnn.matmul.fp32_precision,
    )


@pytest.fixture(autouse=True)
def _unchosen() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    backends: Any = torch.backends
    backends.fp32_precision = backends.cuda.matmul.fp32_precision = backends.mkldnn.matmul.fp32_precision = "none"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model seems to be on a GPU that has all; the precisions that are cast to."""
    cast: list[str] = []
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    monkeypatch.setattr(precision, "device_of", lambda model: CUDA)
    monkeypatch.setattr(precision, "autocast", lambda device, name: nullcontext(cast.append(name)))
    return cast


def test_a_gpu_multiplies_on_its_tensor_cores_and_torch_is_left_as_it_was(gpu: list[str]) -> None:
    before = choices()
    with pytest.raises(KeyError), tensor_cores(CUDA):
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
        assert torch.get_float32_matmul_precision() == "high"
        with tensor_cores(CUDA):  # as recording within training
            assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32
        raise KeyError
    assert choices() == before == ("highest", "none", "none", "none")


@pytest.mark.parametrize("chosen", ["highest", "high", "medium"])
def test_a_choice_by_name_counts(chosen: str, gpu: list[str]) -> None:
    torch.set_float32_matmul_precision(chosen)
    before = choices()
    with tensor_cores(CUDA):
        assert choices() == before
    assert choices() == before


@pytest.mark.parametrize("where", [torch.backends, torch.backends.cuda.matmul])
def test_a_choice_by_backend_counts(where: Any, gpu: list[str]) -> None:
    where.fp32_precision = "ieee"
    with tensor_cores(CUDA):
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert where.fp32_precision == "ieee"


def test_what_another_part_of_torch_chose_is_kept(gpu: list[str]) -> None:
    matmul: Any = torch.backends.mkldnn.matmul
    matmul.fp32_precision = "ieee"
    with tensor_cores(CUDA):
        assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    assert matmul.fp32_precision == "ieee"


def test_nothing_changes_on_a_cpu_or_without_tensor_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: False)
    for device in (CPU, CUDA):
        with tensor_cores(device):
            assert choices() == ("highest", "none", "none", "none")


@pytest.mark.parametrize(
    ("dtype", "wanted", "cast"),
    [
        (torch.float32, "auto", "bf16"),
        (torch.float32, "float32", "float32"),
        (torch.bfloat16, "auto", "float32"),
        (torch.float64, "auto", "float32"),
    ],
)
def test_auto_is_bf16_on_a_gpu(dtype: torch.dtype, wanted: str, cast: str, gpu: list[str]) -> None:
    model = toy_model(dtype=dtype)
    with without_gradients_in(wanted, model):
        assert gpu == [cast]
        assert products_of(model) == {torch.bfloat16: "bf16", torch.float32: "tf32", torch.float64: "float64"}[dtype]


@pytest.mark.parametrize(("wanted", "products"), [("auto", "float32"), ("float32", "float32"), ("bf16", "bf16")])
def test_a_cpu_computes_in_float32_unless_asked(wanted: str, products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that multiplies bf16: what it gives is what any CPU gives."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    model = toy_model()
    with without_gradients_in(wanted, model):
        assert products_of(model) == products
    assert products_of(model) == "float32"
    assert products_of(model, "bf16") == "bf16"


def test_narrow_weights_give_no_float32() -> None:
    model = toy_model(dtype=torch.bfloat16)
    with without_gradients_in("auto", model):
        assert products_of(model) == "bf16"
        assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(ModelError, match="set precision to auto"), without_gradients_in("float32", model):
        pass
