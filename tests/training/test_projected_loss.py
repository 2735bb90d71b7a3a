"""The elementwise part of the loss, as it is compiled for GPUs: what the operations one by one give."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch

from neuronspec.training import projected_loss as projection
from neuronspec.training.projected_loss import projected_loss

TOKENS, WIDTH, PIECES = 7, 12, 50


@pytest.fixture(autouse=True)
def _chunks_of_three_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(projection, "FEWEST_ROWS", 3)
    monkeypatch.setattr(projection, "LOGITS_HELD", {})
    fused = projection._fused
    yield
    fused.cache_clear()
    torch._dynamo.reset()


def found(smoothing: float, softcap: float | None, narrow: bool) -> list[torch.Tensor]:
    """The two losses, and the gradients of what goes into the head and of its weight."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(rows, WIDTH, generator=generator) for rows in (TOKENS, PIECES))
    hidden, weight = hidden.requires_grad_(), weight.requires_grad_()
    targets = torch.randint(0, PIECES, (TOKENS,), generator=generator)
    with torch.autocast("cpu", torch.bfloat16) if narrow else nullcontext():
        smoothed, nats = projected_loss(hidden, weight, None, targets, smoothing, softcap)
    return [smoothed.detach(), nats, *torch.autograd.grad(smoothed, (hidden, weight))]


def compare(backend: Any, monkeypatch: pytest.MonkeyPatch, narrow: bool = False, **settings: Any) -> None:
    expected = found(**settings, narrow=narrow)
    monkeypatch.setattr(projection, "FUSED", {"cpu"})
    monkeypatch.setattr(projection, "BACKEND", backend)
    tolerance = {"rtol": 2e-2, "atol": 2e-2} if narrow else {"rtol": 1e-5, "atol": 1e-5}
    for one, other in zip(found(**settings, narrow=narrow), expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, **tolerance)


@pytest.mark.parametrize("narrow", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize(("smoothing", "softcap"), [(0.0, None), (0.1, None), (0.1, 3.0)])
def test_what_is_compiled_gives_the_same(
    smoothing: float, softcap: float | None, narrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare("eager", monkeypatch, narrow, smoothing=smoothing, softcap=softcap)


def test_chunks_of_all_sizes_share_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def backend(graph: torch.fx.GraphModule, example: list[Any]) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(projection, "FEWEST_ROWS", 5)  # then 2
    compare(backend, monkeypatch, smoothing=0.1, softcap=None)
    assert len(graphs) == 1


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compilers_give_the_same(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def must_not(*args: Any) -> None:
        raise AssertionError("it was computed operation by operation")

    compare(backend, monkeypatch, smoothing=0.1, softcap=3.0)
    monkeypatch.setattr(projection, "_in_place", must_not)
    found(0.1, 3.0, False)


def test_without_a_compiler_it_is_told_once_and_computed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def backend(graph: torch.fx.GraphModule, example: list[Any]) -> Any:
        raise ImportError("there is no triton here")

    with caplog.at_level(logging.WARNING, "neuronspec"):
        compare(backend, monkeypatch, smoothing=0.1, softcap=None)
    assert len(caplog.records) == 1 and "there is no triton here" in caplog.text


def test_a_cpu_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "_fused", None)
    found(0.1, None, False)


def test_the_gradient_of_a_narrow_weight_is_summed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of one that FSDP gathers: over many chunks, as exact as over one."""
    generator = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(rows, WIDTH, generator=generator).bfloat16() for rows in (600, PIECES))
    targets = torch.randint(0, PIECES, (600,), generator=generator)

    def gradient(rows: int) -> torch.Tensor:
        monkeypatch.setattr(projection, "FEWEST_ROWS", rows)
        of = weight.clone().requires_grad_()
        return torch.autograd.grad(projected_loss(hidden, of, None, targets, 0.1)[0], of)[0].float()

    one, many = gradient(600), gradient(2)
    assert (one - many).abs().max() <= 2e-2 * one.abs().max()
