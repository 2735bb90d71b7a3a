"""Which arithmetic a machine computes in: bf16 or float32, and TF32 for products of float32 on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from neuronspec.core.errors import ModelError, TrainingError
from neuronspec.models.dispatch import device_of


def resolve_precision(precision: str, model: PreTrainedModel) -> str:
    """What a training computes in: for `auto`, bf16 where weights are or the device multiplies it, else float32.

    On a CPU that is AVX-512 BF16 or AMX; elsewhere bf16 would be emulated, and slow. Weights that are trained,
    gradients and the optimizer stay float32 in either case.

    Args:
        precision: `auto`, or what to use.
        model: as it is trained, on the device that trains it.

    Raises:
        TrainingError: `float32` or `fp16`, and frozen weights are held in bf16.
    """
    held = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
    if held and precision in ("float32", "fp16"):
        raise TrainingError(
            f"precision is {precision}, but weights that aren't trained are held in bfloat16: set precision to auto or "
            "bf16, or model.dtype to float32"
        )
    if precision != "auto":
        return precision
    return "bf16" if held or _has_bf16(model.device) else "float32"


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The context that forward passes run in: autocast to bf16 or fp16, or none for `float32`."""
    narrow = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    return nullcontext() if narrow is None else torch.autocast(device.type, narrow)


@contextmanager
def without_gradients_in(precision: str, model: nn.Module) -> Iterator[None]:
    """The context that a model records or translates in.

    `auto` is bf16 on a GPU that multiplies it in hardware, where weights are float32; else the type of the weights, on
    a CPU always: what it gives doesn't depend on which CPU it is. A GPU multiplies float32 as `tensor_cores` says.

    Args:
        precision: `auto`, `bf16` or `float32`.
        model: on the device that computes.

    Raises:
        ModelError: `float32`, and weights are held in a narrower type.
    """
    device, held = device_of(model), {value.dtype for value in model.parameters() if value.is_floating_point()}
    if precision == "float32" and held & {torch.bfloat16, torch.float16}:
        raise ModelError(
            "precision is float32, but the model's weights are held in 16 bits: set precision to auto, or model.dtype "
            "to float32"
        )
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.float32 in held and _has_bf16(device) else "float32"
    with tensor_cores(device), autocast(device, precision):
        yield


@contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """Let a GPU multiply float32 on its tensor cores, with factors rounded to TF32's 10 bits and sums in float32.

    That is several times as fast. Where the process has chosen how float32 is multiplied, with
    `torch.set_float32_matmul_precision` or `torch.backends`, its choice counts; torch is left as it was found.
    """
    backends: Any = torch.backends
    cuda, cpu = backends.cuda.matmul, backends.mkldnn.matmul
    if device.type != "cuda" or not torch.cuda.is_tf32_supported() or cuda.fp32_precision != "none":
        yield
        return
    before = cpu.fp32_precision
    # The old way in, because torch's compiler still asks the old way, which fails after the new one; it also sets the
    # CPU's. The new way out, because "none", which was never chosen, has no old name.
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision("highest")
        cuda.fp32_precision, cpu.fp32_precision = "none", before


def products_of(model: nn.Module, precision: str = "float32") -> str:
    """What a model's matrix products are computed in here: `bf16`, `fp16`, `float32`, `tf32` or `float64`.

    Args:
        model: on the device that computes; contexts that are open count, such as autocast.
        precision: see `autocast`, which is opened for it.
    """
    device = device_of(model)
    dtype = next((value.dtype for value in model.parameters() if value.is_floating_point()), torch.float32)
    with autocast(device, precision):
        if torch.is_autocast_enabled(device.type):
            dtype = torch.get_autocast_dtype(device.type)
    if dtype == torch.float32 and device.type == "cuda" and torch.backends.cuda.matmul.fp32_precision == "tf32":
        return "tf32" if torch.cuda.is_tf32_supported() else "float32"
    name = str(dtype).removeprefix("torch.")
    return {"bfloat16": "bf16", "float16": "fp16"}.get(name, name)
