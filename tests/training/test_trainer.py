"""What the loop learns, writes and repeats."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, ToyStore, toy_model
from tests.helpers.toy_training import SETTINGS, SIZES, assert_same, toy_train

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, TrainingError
from neuronspec.core.progress import Bars
from neuronspec.models.batch import Batch
from neuronspec.training import parallel, validation
from neuronspec.training.log import read_log
from neuronspec.training.loss import Loss


def test_learns_to_copy(tmp_path: Path) -> None:
    store = ToyStore({EN_FR: 400}, longest=3, valid=20)
    model = toy_model(dropout=0.0)
    result = toy_train(
        tmp_path / "run", 120, store=store, model=model, directions=[EN_FR], batch_tokens=400, warmup=20,
        learning_rate=0.02, label_smoothing=0.0, validate_every=40,
    )  # fmt: skip
    losses = [line["loss"] for line in read_log(tmp_path / "run" / "log.jsonl") if line["kind"] == "validation"]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 < 2 < read_log(tmp_path / "run" / "log.jsonl")[1]["nll"]
    assert result.validation == {EN_FR: losses[-1]}


def test_same_seed_same_weights_whatever_the_global_random_state(tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    toy_train(tmp_path / "one")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    toy_train(tmp_path / "two")
    assert_same(tmp_path / "one", tmp_path / "two")
    toy_train(tmp_path / "three", seed=2)
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "one", tmp_path / "three")


def test_arms_see_the_same_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    plain = parallel.batch_loss

    def spy(model: torch.nn.Module, batch: Batch, smoothing: float) -> object:
        if model.training:
            seen.append(batch.inputs["input_ids"].flatten().tolist())
        return plain(model, batch, smoothing)

    monkeypatch.setattr(parallel, "batch_loss", spy)
    toy_train(tmp_path / "one", 5)
    first, seen = seen, []
    toy_train(tmp_path / "other", 5, model=toy_model(seed=9), learning_rate=0.002, label_smoothing=0.0)
    assert len(first) == 10
    assert first == seen


def test_direction_scope_is_entered_around_its_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from collections.abc import Iterator
    from contextlib import contextmanager

    current: list[Direction] = []
    plain = parallel.batch_loss

    @contextmanager
    def scope(direction: Direction) -> Iterator[None]:
        current.append(direction)
        yield
        current.pop()

    def spy(model: torch.nn.Module, batch: Batch, smoothing: float) -> object:
        assert current == [batch.direction]
        loss = plain(model, batch, smoothing)
        if not model.training:
            return loss
        loss.smoothed.register_hook(lambda gradient: checked.append(current == [batch.direction]))
        return loss

    checked: list[bool] = []
    monkeypatch.setattr(parallel, "batch_loss", spy)
    toy_train(tmp_path / "run", 4, in_direction=scope)
    assert checked == [True] * 8


@pytest.mark.parametrize("kind", ["one direction", "unequal directions"])
def test_accumulated_batches_equal_one_large_batch(tmp_path: Path, kind: str) -> None:
    # Eight pairs are one batch of 8 x 8 tokens or two of 4 x 8; either way an update sees all of them.
    store = ToyStore({EN_FR: 8}, longest=6)
    if kind == "unequal directions":
        for place, (source, _) in enumerate(store.pairs("train", EN_FR).pairs):
            store.pairs("train", EN_FR).pairs[place] = (source, source[: 1 + place % 3])
    # In float64: Adam makes a step of any rounding error where the gradient is 0 (the keys' biases).
    whole, halves, start = (toy_model(dropout=0.0, dtype=torch.float64) for _ in range(3))
    common = {"store": store, "directions": [EN_FR], "validate_every": 100}
    toy_train(tmp_path / "whole", 1, model=whole, batch_tokens=64, accumulation=1, **common)
    lengths = store.pairs("train", EN_FR)
    longer = sorted((lengths.source_lengths.clip(lengths.target_lengths) + 2).tolist())
    budget = 4 * longer[-1]
    result = toy_train(tmp_path / "halves", 1, model=halves, batch_tokens=budget, accumulation=2, **common)
    assert result.target_tokens == int((lengths.target_lengths + 1).sum())
    for found, expected in zip(halves.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(halves.lm_head.weight, start.lm_head.weight, atol=1e-3)


def test_best_weights_are_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    means = iter([3.0, 1.0, 2.0, 2.5])
    monkeypatch.setattr(validation, "validation_loss", lambda *args, **kwargs: {EN_DE: Loss(4 * next(means), 4)})
    model = toy_model()
    result = toy_train(tmp_path, 16, model=model)
    assert (result.updates, result.best_update, result.validation) == (16, 8, {EN_DE: 1.0})
    best = load_file(tmp_path / "checkpoints" / "step-8" / "model.safetensors")
    exported = load_file(tmp_path / "model.safetensors")
    for name, value in model.named_parameters():
        assert torch.equal(value, best[name])
        assert torch.equal(exported[name], best[name])
    assert not model.training
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-15", "step-16", "step-8"]


def test_macro_average_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([{EN_DE: Loss(100, 100), DE_EN: Loss(3, 1)}, {EN_DE: Loss(150, 100), DE_EN: Loss(2, 1)}])
    monkeypatch.setattr(validation, "validation_loss", lambda *args, **kwargs: next(losses))
    assert toy_train(tmp_path, 8).best_update == 8


def test_log(tmp_path: Path) -> None:
    toy_train(tmp_path, 21)
    lines = read_log(tmp_path / "log.jsonl")
    assert [line["update"] for line in lines if line["kind"] == "training"] == [10, 20, 21]
    assert [line["update"] for line in lines if line["kind"] == "validation"] == [4, 8, 12, 16, 20, 21]
    start, end = lines[0], lines[-1]
    assert (start["kind"], end["kind"]) == ("start", "end")
    assert start["directions"]["en-de"]["pairs"] == 40
    assert start["directions"]["en-de"]["upsampling"] < 1 < start["directions"]["en-fr"]["upsampling"]
    assert set(end["passes"]) == {str(direction) for direction in SIZES}
    assert 0 < end["padding"] < 0.6
    training = next(line for line in lines if line["kind"] == "training")
    assert training["learning_rate"] == pytest.approx(0.01 * (5 / 10) ** 0.5)
    assert 0 <= training["padding"] < 0.6
    assert training["loss"] > 0
    assert training["gradient_norm"] > 0
    assert training["target_tokens_per_second"] > 0
    validation = next(line for line in lines if line["kind"] == "validation")
    assert validation["loss"] == pytest.approx(sum(validation["losses"].values()) / 3)


def test_epochs_are_passes_over_all_pairs(tmp_path: Path) -> None:
    result = toy_train(tmp_path, epochs=2, temperature=1.0, accumulation=1)
    passes = read_log(tmp_path / "log.jsonl")[-1]["passes"]
    seen = sum(passes[str(direction)] * size for direction, size in SIZES.items())
    assert seen / sum(SIZES.values()) == pytest.approx(2, abs=0.35)
    assert result.updates > 2


def test_minutes_are_a_budget(tmp_path: Path) -> None:
    result = toy_train(tmp_path, minutes=1e-9)
    assert result.updates == 1
    assert result.best_update == 1


def test_a_line_now_and_then_where_there_is_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("neuronspec.core.progress.LINE_EVERY", 0.0)
    caplog.set_level(logging.INFO, logger="neuronspec")
    toy_train(tmp_path / "base", 4, progress=Bars(Console(file=io.StringIO())))
    lines = caplog.messages
    assert len(lines) == 7
    assert lines[0].startswith("base: 63 pairs in 3 directions, sampled from 0.62 (en-de) to 2.24 (en-fr)")
    assert "base: 50%  update 2  loss " in lines[2]
    assert "target tokens/s" in lines[2]
    assert lines[2].endswith(" left")
    assert lines[-2].startswith("base: update 4: validation loss ")
    assert (
        lines[-1].startswith("base: 4 updates in ")
        and "of the tokens in batches were padding; best at update 4" in lines[-1]
    )


def test_exported_folder_needs_no_neuronspec(tmp_path: Path) -> None:
    toy_train(tmp_path / "base", 3)
    code = """
import sys, torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
model, tokenizer = (kind.from_pretrained(sys.argv[1]) for kind in (AutoModelForSeq2SeqLM, AutoTokenizer))
batch = tokenizer(["__en__ w1 w2 </s>"], return_tensors="pt", add_special_tokens=False)
start = tokenizer.convert_tokens_to_ids("__de__")
given = model.generate(**batch, forced_bos_token_id=start, max_new_tokens=4, num_beams=2)
assert given[0, 1] == start
assert "neuronspec" not in sys.modules
print(float(model.lm_head.weight.double().sum()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "base")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "base" / "model.safetensors")["model.shared.weight"]
    assert float(done.stdout) == pytest.approx(weights.double().sum().item(), abs=1e-9)
    assert not list((tmp_path / "base").glob(".*"))


def test_directions_without_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no training pairs for en-cs"):
        toy_train(tmp_path, directions=[EN_DE, Direction("en", "cs")])
    with pytest.raises(DirectionError, match="uk"):
        toy_train(tmp_path, directions=[Direction("en", "uk")])
    with pytest.raises(TrainingError, match="no validation sentences"):
        toy_train(tmp_path, store=ToyStore(SIZES, valid=0))
    assert list(tmp_path.iterdir()) == []


def poison(model: torch.nn.Module, updates: set[int]) -> None:
    """Make the gradient of these updates (from 1) not finite."""
    calls = iter(range(10**6))
    per_update = SETTINGS["accumulation"]
    model.model.decoder.layer_norm.weight.register_hook(
        lambda gradient: gradient * (float("nan") if next(calls) // per_update + 1 in updates else 1.0)
    )


def test_updates_without_a_finite_gradient_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = toy_model()
    poison(model, {2, 3, 7})
    result = toy_train(tmp_path, 10, model=model)
    assert result.updates == 10
    assert all(value.isfinite().all() for value in load_file(tmp_path / "model.safetensors").values())
    assert [line["skipped"] for line in read_log(tmp_path / "log.jsonl") if line["kind"] == "training"] == [3]
    assert "update 7 skipped: the loss or gradient of " in caplog.text
    record = json.loads((tmp_path / "checkpoints" / "step-10" / "trainer.json").read_text())
    assert (record["state"]["skipped"], record["state"]["skipped_in_row"]) == (3, 0)


def test_skipped_updates_leave_weights_alone(tmp_path: Path) -> None:
    model = toy_model()
    poison(model, {1, 2, 3})
    toy_train(tmp_path, 3, model=model)
    for found, expected in zip(model.parameters(), toy_model().parameters(), strict=True):
        assert torch.equal(found, expected)


def test_many_skipped_updates_in_a_row_stop_training(tmp_path: Path) -> None:
    model = toy_model()
    poison(model, set(range(5, 100)))
    message = r"10 updates in a row .* number 14, in \w\w-\w\w \(epoch \d+, batch \d+\), .* that of update 12; lower"
    with pytest.raises(TrainingError, match=message):
        toy_train(tmp_path, 50, model=model)
    assert (tmp_path / "checkpoints" / "step-4" / "model.safetensors").exists()
    assert not (tmp_path / "model.safetensors").exists()
