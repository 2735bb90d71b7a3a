"""What happens to a training: memory runs out, it stops early, it is averaged, tracked, killed at random."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import EN_DE, toy_model
from tests.helpers.toy_training import SIZES, assert_same, toy_train

from neuronspec.core.errors import MissingExtraError, TrainingError
from neuronspec.models.batch import Batch
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction, use_directions
from neuronspec.training import parallel, validation
from neuronspec.training.log import read_log
from neuronspec.training.loss import Loss
from neuronspec.training.tracking import Trackers, Tracking


def small_memory(monkeypatch: pytest.MonkeyPatch, rows: int) -> list[int]:
    """Training batches of more rows than that run out of memory; returns the rows of those that don't."""
    plain, sizes = parallel.batch_loss, []

    def batch_loss(model: torch.nn.Module, batch: Batch, smoothing: float) -> Any:
        size = len(batch.inputs["labels"])
        if model.training and size > rows:
            raise torch.OutOfMemoryError(f"{size} rows")
        sizes.append(size)
        return plain(model, batch, smoothing)

    monkeypatch.setattr(parallel, "batch_loss", batch_loss)
    return sizes


@pytest.mark.parametrize("mixed", [False, True])
def test_a_batch_that_does_not_fit_is_tried_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The same weights as with enough memory; in float64, see `test_accumulated_batches_equal_one_large_batch`."""

    def train(folder: Path) -> None:
        model = toy_model(dropout=0.0, dtype=torch.float64)
        specialize(model, random_masks(model, tuple(map(str, SIZES))))

        def scope(given: Any) -> Any:
            return (use_directions if isinstance(given, tuple) else use_direction)(model, given)

        options = {"mix_directions": mixed, "validate_every": 100}
        toy_train(folder, 6, model=model, in_direction=scope, **options)

    train(tmp_path / "enough")
    sizes = small_memory(monkeypatch, rows=3)
    train(tmp_path / "little")
    assert 0 < max(sizes[:-3]) <= 3
    assert "tried again in halves. Lower batch_tokens (now 60) for speed" in caplog.text
    expected, found = (load_file(tmp_path / name / "model.safetensors") for name in ("enough", "little"))
    assert max(float((found[name] - value).abs().max()) for name, value in expected.items()) < 1e-9


def test_a_single_pair_that_does_not_fit_says_which_settings_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, rows=0)
    with pytest.raises(TrainingError, match=r"out of memory with .*: 1 pairs of up to \d+ tokens.*max_tokens"):
        toy_train(tmp_path)


def test_training_stops_when_validation_has_not_improved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    means = iter([3.0, 1.0, 2.0, 1.5, 0.5, 0.6, 0.7, 0.8])
    monkeypatch.setattr(validation, "validation_loss", lambda *args, **kwargs: {EN_DE: Loss(4 * next(means), 4)})
    result = toy_train(tmp_path, 400, patience=3)
    assert (result.updates, result.best_update) == (32, 20)
    again = toy_train(tmp_path, 400, patience=3)
    assert (again.updates, again.best_update) == (32, 20)


def test_the_mean_of_the_last_checkpoints(tmp_path: Path) -> None:
    options = {"average_checkpoints": 3, "save_every": 2, "validate_every": 5}
    model = toy_model()
    result = toy_train(tmp_path, 10, model=model, **options)
    updates = sorted(int(path.name.removeprefix("step-")) for path in (tmp_path / "checkpoints").iterdir())
    line = next(line for line in read_log(tmp_path / "log.jsonl") if line["kind"] == "average")
    assert line["updates"] == updates[-3:] and updates[-1] == 10 and len(updates) >= 3
    saved = [load_file(tmp_path / "checkpoints" / f"step-{update}" / "model.safetensors") for update in updates[-3:]]
    exported = load_file(tmp_path / "model.safetensors")
    for name, value in model.named_parameters():
        mean = sum(tensors[name].double() for tensors in saved) / 3
        assert torch.equal(value, mean.float())
        assert torch.equal(exported[name], value)
    assert {str(one): loss for one, loss in result.validation.items()} == line["losses"]


def test_weights_reach_the_training(tmp_path: Path) -> None:
    toy_train(tmp_path, 4, weights={"en-de": 8, "de-en": 1, "en-fr": 1})
    start = read_log(tmp_path / "log.jsonl")[0]
    assert start["directions"]["en-de"]["probability"] == 0.8


def is_checkpointed(model: torch.nn.Module) -> bool:
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


def test_a_checkpointed_training_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, with masks; without dropout, whose random numbers are drawn in another way there."""
    checkpointed: list[bool] = []
    plain = parallel.batch_loss

    def spy(model: torch.nn.Module, batch: Batch, smoothing: float) -> Any:
        checkpointed.append(is_checkpointed(model))
        return plain(model, batch, smoothing)

    def train(folder: Path, **options: Any) -> torch.nn.Module:
        model = toy_model(dropout=0.0, dtype=torch.float64)
        specialize(model, random_masks(model, tuple(map(str, SIZES))))
        toy_train(folder, 5, model=model, in_direction=lambda given: use_direction(model, given), **options)
        return model

    expected = train(tmp_path / "plain")
    monkeypatch.setattr(parallel, "batch_loss", spy)
    found = train(tmp_path / "checkpointed", gradient_checkpointing=True)
    assert checkpointed and all(checkpointed) and not is_checkpointed(found)
    for one, other in zip(found.parameters(), expected.parameters(), strict=True):
        assert (one - other).abs().max() < 1e-9


def test_compiling_on_a_cpu_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="training.compile is true, but the model is on a CPU"):
        toy_train(tmp_path / "run", compile=True)
    assert not (tmp_path / "run").exists()


def test_trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setenv("WANDB_SILENT", "true")
    toy_train(
        tmp_path / "run" / "base",
        20,
        tracking=Tracking(["tensorboard", "wandb"], tmp_path / "run" / "tracking", "base"),
    )
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tracking" / "tensorboard" / "base"))
    events.Reload()
    lines = [line for line in read_log(tmp_path / "run" / "base" / "log.jsonl") if line["kind"] == "training"]
    losses = {event.step: event.value for event in events.Scalars("training/nll")}
    assert losses == pytest.approx({line["update"]: line["nll"] for line in lines}, rel=1e-4)
    assert set(losses) == {10, 20}
    assert len(events.Scalars("validation/en-de")) == 5
    assert list((tmp_path / "run" / "tracking" / "wandb").glob("offline-run-*/*.wandb"))


MLFLOW = """
import re, types

calls = []

def set_tracking_uri(uri):
    calls.append(("uri", uri))

def search_experiments(filter_string):
    return []

def create_experiment(name, artifact_location, tags):
    calls.append(("experiment", name, artifact_location))
    return "1"

def start_run(experiment_id, run_name, **more):
    calls.append(("run", run_name))

def log_metrics(metrics, step):
    assert all(re.fullmatch(r"[\\w\\-. :/]+", name) for name in metrics), metrics
    calls.append((step, metrics))

def end_run():
    calls.append(("end",))
"""
"""What Accelerate's tracker calls, with the rule for names of `mlflow.utils.validation`."""


def test_mlflow_keeps_its_database_beside_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "mlflow.py").write_text(MLFLOW, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "stub")
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    with Trackers(Tracking(["mlflow"], tmp_path / "tracking", "base")) as trackers:
        trackers.write({"kind": "training", "update": 10, "nll": 2.5, "epoch": 1})
        trackers.write({"kind": "validation", "update": 10, "losses": {"en-pt_BR": 2.0}, "best": True})
    calls = sys.modules["mlflow"].calls
    monkeypatch.delitem(sys.modules, "mlflow")
    assert calls == [
        ("uri", f"sqlite:///{(tmp_path / 'tracking' / 'mlflow.db').as_posix()}"),
        ("experiment", "neuronspec", (tmp_path / "tracking" / "mlflow").as_uri()),
        ("run", "base"),
        (10, {"training/nll": 2.5, "training/epoch": 1}),
        (10, {"validation/en-pt_BR": 2.0}),
        ("end",),
    ]


def test_a_tracker_that_is_not_installed_is_named_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises((MissingExtraError, ValueError), match="wandb"):
        toy_train(tmp_path / "base", tracking=Tracking(["wandb"], tmp_path / "tracking", "base"))
    assert not (tmp_path / "base" / "log.jsonl").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """At least ten kills -9 from outside, at any instruction: in a step, in a validation, in a save."""
    options = {"save_every": 1, "validate_every": 3}
    begun = time.monotonic()
    toy_train(tmp_path / "whole", 40, **options)
    longest = (time.monotonic() - begun) / 8
    draw, kills = random.Random(1), 0
    for _ in range(200):
        child = os.fork()
        if child == 0:
            try:
                toy_train(tmp_path / "run", 40, **options)
            finally:
                os._exit(0)
        # Wherever this lands is as good as anywhere else: no result depends on it.
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        if not os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            break
        kills += 1
        if kills == 12:
            break
    toy_train(tmp_path / "run", 40, **options)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert kills >= 10
