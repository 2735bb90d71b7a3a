"""What only a GPU can show: the same results as on a CPU, in bf16 too, and what happens when its memory is full."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.batching.in_order import eval_batches
from neuronspec.core.signals import Interrupted
from neuronspec.models.batch import Batch
from neuronspec.models.precision import autocast
from neuronspec.neurons.recording import record_activations
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.training.checkpoint import updates_saved
from neuronspec.training.loss import batch_loss
from neuronspec.training.memory import peak_memory, reset_peak_memory
from neuronspec.training.optimization import Optimizer
from neuronspec.training.projected_loss import projected_loss
from neuronspec.training.settings import TrainingSettings
from neuronspec.translation.beam import beam_search
from tests.helpers.families import FAMILIES, PAD, build_family, padded_inputs
from tests.helpers.masked import gradients, naive, random_masks
from tests.helpers.toy_corpus import DE_EN, EN_DE, ToyStore, toy_model, toy_tokenizer
from tests.helpers.toy_training import SIZES, assert_same, toy_train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]

CUDA = torch.device("cuda")
METHODS = ("compact", "rows", "auto")
SEMANTICS = ("weight", "neuron")
CLOSE = {"float32": 2e-4, "bf16": 6e-2}
"""Largest difference over the largest value: of float32's rounding, and of bf16's."""


def middle_model(dropout: float = 0.0, vocabulary: int = 1000) -> M2M100ForConditionalGeneration:
    """Large enough that a GPU's own kernels run, in 2+2 layers."""
    config = M2M100Config(
        vocab_size=vocabulary, d_model=128, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=512,
        decoder_ffn_dim=512, encoder_attention_heads=4, decoder_attention_heads=4, max_position_embeddings=256,
        dropout=dropout, attention_dropout=dropout, activation_dropout=0.0, encoder_layerdrop=0.0,
        decoder_layerdrop=0.0, init_std=0.1, pad_token_id=PAD,
    )  # fmt: skip
    torch.manual_seed(0)
    return M2M100ForConditionalGeneration(config)


def middle_batch(rows: int = 24, longest: int = 40, vocabulary: int = 1000) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, longest + 1, (2, rows), generator=generator)
    lengths[:, 0] = longest
    masks = [torch.arange(longest) < side[:, None] for side in lengths]
    source, labels = (
        torch.randint(4, vocabulary, mask.shape, generator=generator).masked_fill(~mask, PAD) for mask in masks
    )
    return {
        "input_ids": source.to(CUDA),
        "attention_mask": masks[0].long().to(CUDA),
        "decoder_input_ids": torch.cat([torch.full((rows, 1), 2), labels[:, :-1]], 1).to(CUDA),
        "decoder_attention_mask": masks[1].long().to(CUDA),
        "labels": labels.masked_fill(~masks[1], -100).to(CUDA),
    }


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float, what: str) -> None:
    scale = max(float(expected.detach().abs().max()), 1e-3)
    assert float((found - expected).detach().abs().max()) <= tolerance * scale, what


def on_gpu(masks: dict[str, dict[str, torch.Tensor]]) -> dict[str, dict[str, torch.Tensor]]:
    return {one: {site: mask.to(CUDA) for site, mask in sites.items()} for one, sites in masks.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("semantics", SEMANTICS)
def test_every_family_computes_what_masked_weights_compute(family: str, semantics: str) -> None:
    model = build_family(family, dtype=torch.float64).to(CUDA)
    inputs = {name: value.to(CUDA) for name, value in padded_inputs(model).items()}
    masks = random_masks(model)
    expected = naive(model, on_gpu(masks)["en-de"], semantics, inputs)
    expected_gradients = gradients(model, expected.loss)
    for method in METHODS:
        specialize(model, masks, semantics=semantics, method=method)
        with use_direction(model, "en-de"):
            found = model(**inputs)
        assert_close(found.logits, expected.logits, 2e-5, method)  # norms of many families go through float32
        for name, gradient in gradients(model, found.loss).items():
            assert_close(gradient, expected_gradients[name], 1e-4, f"{method} {name}")
        unspecialize(model)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("method", METHODS)
def test_a_step_is_that_of_masked_weights(precision: str, semantics: str, method: str) -> None:
    model, inputs = middle_model().to(CUDA), middle_batch()
    masks = random_masks(model)
    with autocast(CUDA, precision):
        expected = naive(model, on_gpu(masks)["en-de"], semantics, inputs)
    wanted = gradients(model, expected.loss.float())
    specialize(model, masks, semantics=semantics, method=method)
    with use_direction(model, "en-de"):
        with autocast(CUDA, precision):
            loss = batch_loss(model, Batch("en-de", inputs))
        found = gradients(model, loss.smoothed / (inputs["labels"] != -100).sum())
    assert_close(loss.nats / (inputs["labels"] != -100).sum(), expected.loss.float(), CLOSE[precision], "loss")
    for name, gradient in wanted.items():
        assert_close(found[name], gradient, CLOSE[precision], name)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_direction_for_each_row(precision: str) -> None:
    model, inputs = middle_model().to(CUDA), middle_batch(rows=8)
    masks, rows = random_masks(model), ["en-de", "de-en"] * 4
    with autocast(CUDA, precision):
        alone = {one: naive(model, on_gpu(masks)[one], "weight", inputs).logits for one in masks}
    specialize(model, masks)
    with torch.no_grad(), autocast(CUDA, precision), use_directions(model, rows):
        found = model(**inputs).logits
    for place, direction in enumerate(rows):
        assert_close(found[place].float(), alone[direction][place].float(), CLOSE[precision], direction)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_projected_loss_is_plain_cross_entropy(dtype: torch.dtype, smoothing: float) -> None:
    generator = torch.Generator(CUDA).manual_seed(0)
    hidden, weight = (torch.randn(size, 64, device=CUDA, generator=generator) for size in (700, 5000))
    targets = torch.randint(0, 5000, (700,), device=CUDA, generator=generator)
    hidden, weight = hidden.requires_grad_(), (weight / 8).requires_grad_()
    exact = cross_entropy(hidden.double() @ weight.double().T, targets, reduction="sum", label_smoothing=smoothing)
    wanted = torch.autograd.grad(exact, (hidden, weight))
    with torch.autocast("cuda", torch.bfloat16) if dtype == torch.bfloat16 else nullcontext():
        found, nats = projected_loss(hidden, weight, None, targets, smoothing)
    tolerance = CLOSE["bf16" if dtype == torch.bfloat16 else "float32"]
    assert not nats.requires_grad
    assert_close(found.double(), exact, tolerance, "loss")
    for one, other in zip(torch.autograd.grad(found, (hidden, weight)), wanted, strict=True):
        assert_close(one, other, tolerance, "gradient")


def test_recording_counts_what_a_cpu_counts() -> None:
    pairs = ToyStore({EN_DE: 40}).pairs("train", EN_DE)
    batches = list(eval_batches(pairs, EN_DE, toy_tokenizer(), batch_tokens=60))
    expected = record_activations(toy_model().double(), batches)
    found = record_activations(toy_model().double().to(CUDA), batches)
    for site, counts in expected.counts["en-de"].items():
        assert torch.equal(found.counts["en-de"][site], counts)
        assert found.tokens["en-de"][site] == expected.tokens["en-de"][site]


@pytest.fixture(scope="module", params=["float32", "bf16"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A training that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    toy_train(folder, model=toy_model().to(CUDA), precision=request.param)
    return request.param, folder


@pytest.mark.parametrize("after", [2, 3, 7])
def test_a_training_that_is_resumed_is_the_same_to_the_bit(
    trained: tuple[str, Path], tmp_path: Path, after: int
) -> None:
    precision, whole = trained
    model, seen = toy_model().to(CUDA), iter(range(1, 10**6))

    def stop(direction: Any) -> Any:
        if model.training and next(seen) == 2 * after:
            raise Interrupted("stopped here")
        return nullcontext()

    with pytest.raises(Interrupted):
        toy_train(tmp_path / "run", model=model, precision=precision, in_direction=stop)
    toy_train(tmp_path / "run", model=toy_model().to(CUDA), precision=precision)
    assert_same(tmp_path / "run", whole)


def test_the_optimizer_comes_back_to_the_device() -> None:
    model = toy_model().to(CUDA)
    optimizer = Optimizer(model, TrainingSettings(updates=3, learning_rate=0.01, warmup=1))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(1)
    saved = {name: value.cpu() for name, value in optimizer.tensors().items()}
    other = toy_model().to(CUDA)
    again = Optimizer(other, TrainingSettings(updates=3, learning_rate=0.01, warmup=1))
    again.restore(saved)
    assert {value.device.type for value in again.tensors().values()} == {"cuda"}
    for parameter in other.parameters():
        parameter.grad = torch.ones_like(parameter)
    again.step(2)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU of which this process may use about 300 MB."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction(300e6 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_batch_that_does_not_fit_is_computed_in_halves(
    little_memory: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from neuronspec.training.gradient import GradientOf
    from neuronspec.training.loss import any_direction
    from neuronspec.training.parallel import Parallel

    model = middle_model().train().to(CUDA)
    inputs = {name: value.cpu().repeat(8, 1) for name, value in middle_batch(rows=128, longest=60).items()}
    whole = Batch("en-de", inputs)
    targets = int((inputs["labels"] != -100).sum())

    def clear() -> None:
        model.zero_grad(set_to_none=True)

    from types import SimpleNamespace

    settings = TrainingSettings(updates=1, batch_tokens=100_000)
    parallel = Parallel(model, "ddp", SimpleNamespace(size=1))
    gradient = GradientOf(parallel, settings, 1, CUDA, "float32", any_direction, clear)

    def update(batches: list[Batch]) -> Any:
        micro = [SimpleNamespace(batch=batch, name="en-de", draw=number) for number, batch in enumerate(batches)]
        return SimpleNamespace(micro_batches=micro, target_tokens=targets)

    with caplog.at_level(logging.WARNING, "neuronspec"):
        loss, _ = gradient(update([whole]))
    assert "tried again in halves" in caplog.text
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    clear()
    expected, _ = gradient(update([whole.rows(first, first + 32) for first in range(0, 1024, 32)]))
    assert_close(loss, expected, 1e-4, "loss")
    for name, value in model.named_parameters():
        if value.grad is not None:
            assert_close(found[name], value.grad, 1e-3, name)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_compiled_training_ends_close_to_an_eager_one(tmp_path: Path, precision: str) -> None:
    """By its losses: Adam makes steps of full size of gradients that are rounding alone."""
    losses = {}
    for name in ("eager", "compiled"):
        torch._dynamo.reset()
        model = toy_model(dropout=0.0).to(CUDA)
        masks = random_masks(model, tuple(map(str, SIZES)))
        specialize(model, masks)
        result = toy_train(
            tmp_path / name, 6, model=model, precision=precision, compile=name == "compiled",
            in_direction=lambda given, model=model: use_direction(model, given),
        )  # fmt: skip
        losses[name] = result.validation
    assert losses["eager"].keys() == losses["compiled"].keys()
    for direction, loss in losses["eager"].items():
        assert losses["compiled"][direction] == pytest.approx(loss, rel=1e-3 if precision == "float32" else 2e-2)


@pytest.mark.parametrize("beams", [1, 5])
def test_beam_search_finds_what_generate_finds(beams: int) -> None:
    model = middle_model().double().eval().to(CUDA)
    batch = middle_batch(rows=6, longest=12)
    sources = [row[mask.bool()] for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    shared: dict[str, Any] = {"num_beams": beams, "do_sample": False, "max_length": 15, "min_length": 0}
    theirs = [
        model.generate(
            input_ids=source[None], attention_mask=torch.ones_like(source)[None], forced_bos_token_id=7,
            forced_eos_token_id=None, **shared, **({"early_stopping": True} if beams > 1 else {}),
        )[0].tolist()
        for source in sources
    ]  # fmt: skip
    prompt = torch.tensor([[2, 7]], device=CUDA).expand(len(sources), 2)
    ours = model.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], decoder_input_ids=prompt,
        forced_eos_token_id=None, custom_generate=beam_search, limits=torch.full((len(sources),), 14), **shared,
    )  # fmt: skip

    def stripped(row: list[int]) -> list[int]:
        return [token for token in row if token != PAD]

    assert [stripped(row) for row in ours.tolist()] == [stripped(row) for row in theirs]


def test_the_peak_of_memory_is_measured_anew() -> None:
    model = toy_model().to(CUDA)
    held = torch.empty(50_000_000, dtype=torch.uint8, device=CUDA)
    before = peak_memory(model)
    del held
    reset_peak_memory(CUDA)
    assert peak_memory(model) <= before - 50_000_000


def test_a_whole_recipe_runs_on_the_gpu(tmp_path: Path) -> None:
    """Prepare, train, record, select, specialize, evaluate, report."""
    from typer.testing import CliRunner

    from neuronspec.cli.app import app
    from tests.helpers.synthetic import RECIPE, write_table

    write_table(tmp_path / "table.tsv")
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    result = CliRunner().invoke(app, ["run", str(recipe), "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output[-3000:]
    assert (tmp_path / "run" / "results.json").is_file()
    again = CliRunner().invoke(app, ["run", str(recipe), "--out", str(tmp_path / "run")])
    assert again.exit_code == 0 and "up to date" in again.output


def test_directions_take_turns(tmp_path: Path) -> None:
    """Each with its own masks, whose device is the model's; the mean of both losses falls."""
    model = toy_model(dropout=0.0).to(CUDA)
    specialize(model, random_masks(model, (str(EN_DE), str(DE_EN))))
    store = ToyStore({EN_DE: 40, DE_EN: 15})
    result = toy_train(
        tmp_path / "run", 30, model=model, store=store, directions=[EN_DE, DE_EN],
        in_direction=lambda given: use_direction(model, given), validate_every=30,
    )  # fmt: skip
    assert set(result.validation) == {EN_DE, DE_EN}
    assert updates_saved(tmp_path / "run" / "checkpoints")
