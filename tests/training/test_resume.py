"""Training that is stopped or killed anywhere ends with the weights it would have had, to the bit."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from tests.helpers.small_disk import small_disk
from tests.helpers.toy_corpus import EN_DE, ToyStore, toy_model
from tests.helpers.toy_training import SIZES, assert_same, toy_train

from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.core.signals import Interrupted
from neuronspec.training import checkpoint
from neuronspec.training import trainer as loop
from neuronspec.training.log import read_log

UPDATES = 12
PER_UPDATE = 2  # micro-batches


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    toy_train(folder, UPDATES)
    return folder


def at_batch(number: int, action: Callable[[], None], validation: bool = False) -> Callable[[Direction], Any]:
    """An `in_direction` that acts before training (or validation) batch `number`, counted from 1."""
    model = toy_model()
    calls = iter(range(1, 10**6))

    def scope(direction: Direction) -> AbstractContextManager[Any]:
        if scope.model.training != validation and next(calls) == number:
            action()
        return nullcontext()

    scope.model = model
    return scope


def stop_at(folder: Path, number: int, action: Callable[[], None], validation: bool = False, **options: Any) -> None:
    scope = at_batch(number, action, validation)
    toy_train(folder, UPDATES, model=scope.model, in_direction=scope, **options)


def send(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("update", [1, 2, 3, 4, 8, 11, 12])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_finishes_the_update_and_saves(tmp_path: Path, whole: Path, update: int, number: int) -> None:
    message = f"stopped by {signal.Signals(number).name} after update {update}; "
    with pytest.raises(Interrupted, match=message) as caught:
        stop_at(tmp_path / "run", (update - 1) * PER_UPDATE + 1, send(number))
    assert caught.value.exit_code == 130
    assert max(checkpoint.updates_saved(tmp_path / "run" / "checkpoints")) == update
    toy_train(tmp_path / "run", UPDATES)
    assert_same(tmp_path / "run", whole)


def test_the_mean_of_the_last_checkpoints_knows_nothing_of_a_signal(tmp_path: Path) -> None:
    options = {"average_checkpoints": 3, "save_every": 3, "validate_every": 6}
    toy_train(tmp_path / "whole", UPDATES, **options)
    for update in (7, 8, 10):
        with pytest.raises(Interrupted):
            done = checkpoint.updates_saved(tmp_path / "run" / "checkpoints")[-1:] or [0]
            stop_at(tmp_path / "run", (update - done[0] - 1) * PER_UPDATE + 1, send(signal.SIGTERM), **options)
    toy_train(tmp_path / "run", UPDATES, **options)
    for name in ("whole", "run"):
        (mean,) = (line for line in read_log(tmp_path / name / "log.jsonl") if line["kind"] == "average")
        assert mean["updates"] == [6, 9, 12]
        assert checkpoint.updates_saved(tmp_path / name / "checkpoints") == [6, 9, 12]
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_signal_before_the_validation_that_ends_the_training_leaves_the_mean_as_it_is(tmp_path: Path) -> None:
    """The checkpoint that the signal made is then the last one that the settings ask for."""
    options = {"average_checkpoints": 2, "patience": 1, "learning_rate": 3.0}
    toy_train(tmp_path / "whole", UPDATES, **options)
    with pytest.raises(Interrupted, match="after update 8"):
        stop_at(tmp_path / "run", 7 * PER_UPDATE + 1, send(signal.SIGTERM), **options)
    toy_train(tmp_path / "run", UPDATES, **options)
    for name in ("whole", "run"):
        (mean,) = (line for line in read_log(tmp_path / name / "log.jsonl") if line["kind"] == "average")
        assert mean["updates"] == [6, 8]
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize("batch", [1, 4, 7])
def test_signal_in_a_validation_breaks_it_off(tmp_path: Path, whole: Path, batch: int) -> None:
    with pytest.raises(Interrupted, match="after update"):
        stop_at(tmp_path / "run", batch, send(signal.SIGTERM), validation=True)
    toy_train(tmp_path / "run", UPDATES)
    assert_same(tmp_path / "run", whole)
    assert validations(tmp_path / "run") == validations(whole)


def test_stopped_again_and_again(tmp_path: Path, whole: Path) -> None:
    stops = 0
    for _ in range(3 * UPDATES):
        try:
            stop_at(tmp_path / "run", 1, send(signal.SIGINT))
        except Interrupted:
            stops += 1
        else:
            break
    assert stops == UPDATES
    assert_same(tmp_path / "run", whole)
    assert validations(tmp_path / "run") == validations(whole)


@pytest.mark.parametrize("options", [{"optimizer": "adafactor"}, {"schedule": "linear"}, {"schedule": "cosine"}])
def test_other_optimizers_and_schedules_end_the_same(tmp_path: Path, options: dict[str, str]) -> None:
    toy_train(tmp_path / "whole", UPDATES, **options)
    scope = at_batch(5 * PER_UPDATE, send(signal.SIGTERM))
    with pytest.raises(Interrupted, match="after update 5"):
        toy_train(tmp_path / "run", UPDATES, model=scope.model, in_direction=scope, **options)
    toy_train(tmp_path / "run", UPDATES, **options)
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_schedule_that_falls_to_the_end_has_one_budget(tmp_path: Path) -> None:
    toy_train(tmp_path / "run", 4, schedule="linear")
    with pytest.raises(TrainingError, match=r"training\.updates: 4 before, 8 now"):
        toy_train(tmp_path / "run", 8, schedule="linear")


def test_an_exception_costs_only_what_came_after_the_checkpoint(
    tmp_path: Path, whole: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")

    def fail() -> None:
        raise RuntimeError("injected")

    with pytest.raises(RuntimeError, match="injected"):
        stop_at(tmp_path / "run", 11 * PER_UPDATE, fail)
    assert max(checkpoint.updates_saved(tmp_path / "run" / "checkpoints")) == 9
    toy_train(tmp_path / "run", UPDATES)
    assert "run: resuming after update 9" in caplog.messages
    assert_same(tmp_path / "run", whole)
    assert validations(tmp_path / "run") == validations(whole)


def validations(folder: Path) -> list[tuple[int, float]]:
    """Update and loss; each update once, whatever was repeated."""
    lines = [line for line in read_log(folder / "log.jsonl") if line["kind"] == "validation"]
    return [(line["update"], line["loss"]) for line in lines]


def killed(work: Callable[[], None]) -> bool:
    """Run `work` in a child process; True if the child was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def train_and_die(folder: Path, place: str, count: int) -> None:
    """Train until the `count`-th time that `place` is reached, and kill this process with SIGKILL there."""
    calls = iter(range(1, 10**6))

    def die_in_time(before: bool, plain: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            now = next(calls) == count
            if now and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = plain(*args, **kwargs)
            if now:
                if place == "half a file":
                    path = Path(args[0])
                    os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapper

    if place == "update":
        loop.Trainer._update = die_in_time(False, loop.Trainer._update)
    elif place == "half a file":
        checkpoint.write_tensors = die_in_time(False, checkpoint.write_tensors)
    elif place == "before the record":
        checkpoint.write_json = die_in_time(True, checkpoint.write_json)
    elif place == "before the rename":
        Path.rename = die_in_time(True, Path.rename)
    elif place == "after the rename":
        Path.rename = die_in_time(False, Path.rename)
    elif place == "removing":
        shutil.rmtree = die_in_time(True, shutil.rmtree)
    elif place == "exporting":
        Path.replace = die_in_time(False, Path.replace)
    toy_train(folder, UPDATES)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    ("place", "counts"),
    [
        ("update", [1, 5, 4, 2]),
        ("half a file", [1, 2, 3, 4]),
        ("before the record", [1, 2, 3]),
        ("before the rename", [1, 3]),
        ("after the rename", [1, 2, 2]),
        ("removing", [1, 2]),
        ("exporting", [1, 11, 3]),
    ],
)
def test_killed_anywhere(tmp_path: Path, whole: Path, place: str, counts: list[int]) -> None:
    for count in counts:
        assert killed(lambda count=count: train_and_die(tmp_path / "run", place, count))
    toy_train(tmp_path / "run", UPDATES)
    assert_same(tmp_path / "run", whole)
    assert validations(tmp_path / "run") == validations(whole)
    left = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert left == {path.name for path in (whole / "checkpoints").iterdir()}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in whole.iterdir()}


def test_a_larger_budget_goes_on(tmp_path: Path, whole: Path) -> None:
    toy_train(tmp_path / "run", 5, save_every=2)
    result = toy_train(tmp_path / "run", UPDATES)
    assert result.updates == UPDATES
    mine, theirs = (folder / "checkpoints" / "step-12" / "model.safetensors" for folder in (tmp_path / "run", whole))
    assert mine.read_bytes() == theirs.read_bytes()


def test_running_again_after_the_end_changes_nothing(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    result = toy_train(tmp_path / "run", UPDATES)
    assert (result.updates, sorted(result.validation)) == (UPDATES, sorted(SIZES))
    assert_same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"learning_rate": 0.02}, "training.learning_rate: 0.01 before, 0.02 now"),
        ({"batch_tokens": 61}, "training.batch_tokens: 60 before, 61 now"),
        ({"accumulation": 1, "temperature": 1.0}, "training.temperature: 5.0 before, 1.0 now"),
        ({"precision": "bf16"}, 'training.precision: "float32" before, "bf16" now'),
        ({"seed": 2}, "seed: 1 before, 2 now"),
        ({"directions": [EN_DE]}, "data.de-en: [15, "),
        ({"store": ToyStore(SIZES, seed=1)}, "data.en-de: [40, "),
        ({"model": toy_model(dropout=0.2)}, "model.dropout: 0.1 before, 0.2 now"),
        ({"model": toy_model(seed=5)}, "the weights it starts from (checksum): "),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path: Path, whole: Path, change: dict[str, Any], named: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(TrainingError) as caught:
        toy_train(tmp_path / "run", 20, **change)
    assert named in str(caught.value)
    if "accumulation" in change:
        assert "micro-batches per update (training.accumulation x processes): 2 before, 1 now" in str(caught.value)
    assert_same(tmp_path / "run", whole)


def test_budget_and_saving_may_change(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    assert toy_train(tmp_path / "run", save_every=1, epochs=1).updates == UPDATES


def damage(path: Path, kind: str) -> None:
    if kind == "cut off":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "missing":
        path.unlink()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "one bit":
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("model.safetensors", "cut off"),
        ("model.safetensors", "missing"),
        ("model.safetensors", "one bit"),
        ("optimizer.safetensors", "one bit"),
        ("optimizer.safetensors", "empty"),
        ("optimizer.safetensors", "cut off"),
        ("trainer.json", "cut off"),
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, whole: Path, file: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Interrupted):
        stop_at(tmp_path / "run", 8 * PER_UPDATE, send(signal.SIGTERM))
    checkpoints = tmp_path / "run" / "checkpoints"
    newest = checkpoint.updates_saved(checkpoints)[-1]
    damage(checkpoints / f"step-{newest}" / file, kind)
    toy_train(tmp_path / "run", UPDATES)
    assert any(f"step-{newest}/{file}" in one.message for one in caplog.records if one.levelname == "WARNING")
    assert (checkpoints / f"damaged-{newest}").is_dir()
    assert_same(tmp_path / "run", whole)


def test_a_damaged_record_before_the_newest_is_set_aside_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options = {"keep_checkpoints": 5, "save_every": 3, "validate_every": 100}
    toy_train(tmp_path, 6, **options)
    damage(tmp_path / "checkpoints" / "step-3" / "trainer.json", "cut off")
    assert toy_train(tmp_path, UPDATES, **options).updates == UPDATES
    assert "step-3/trainer.json" in caplog.text
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert names == {"damaged-3", "step-6", "step-9", "step-12"}


@pytest.mark.parametrize("places", [[], {"en-de": 1}, {"en-de": ["x", 0]}, {"nowhere": [0, 0]}, None])
def test_a_damaged_place_in_the_data_is_named_too(
    tmp_path: Path, whole: Path, places: Any, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    checkpoints = tmp_path / "run" / "checkpoints"
    newest = checkpoint.updates_saved(checkpoints)[-1]
    record = json.loads((checkpoints / f"step-{newest}" / "trainer.json").read_text())
    record["state"]["batches"]["places"] = places
    (checkpoints / f"step-{newest}" / "trainer.json").write_text(json.dumps(record))
    toy_train(tmp_path / "run", UPDATES)
    assert f"step-{newest}: the place in the data is damaged" in caplog.text
    assert_same(tmp_path / "run", whole)


def test_nothing_but_damaged_checkpoints(tmp_path: Path, whole: Path) -> None:
    shutil.copytree(whole, tmp_path / "run")
    saved = list((tmp_path / "run" / "checkpoints").iterdir())
    for folder in saved:
        damage(folder / "trainer.json", "cut off")
    for _ in range(2):  # the second time as well: it never starts over by itself
        with pytest.raises(TrainingError, match="none of the checkpoints .* remove that folder"):
            toy_train(tmp_path / "run", UPDATES)
    assert sorted((tmp_path / "run" / "checkpoints").iterdir()) == sorted(saved)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("No space left on device")]
)
def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, whole: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = checkpoint.write_tensors, iter(range(100))

    def write(path: Path, tensors: Any) -> None:
        plain(path, tensors)
        if next(calls) == 5:
            raise error

    with monkeypatch.context() as patch, pytest.raises(TrainingError) as caught:
        patch.setattr(checkpoint, "write_tensors", write)
        toy_train(tmp_path / "run", UPDATES)
    assert "can't be written" in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "the one of update 4 is whole" in str(caught.value)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").glob(".*")] == []
    toy_train(tmp_path / "run", UPDATES)
    assert_same(tmp_path / "run", whole)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", "200k") as folder:
        yield folder


def test_a_disk_that_is_really_full(disk: Path, whole: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    with pytest.raises(TrainingError, match="can't be written.*No space left") as caught:
        toy_train(disk / "run", UPDATES)
    assert "is whole" in str(caught.value)
    saved = checkpoint.updates_saved(disk / "run" / "checkpoints")
    assert saved
    subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
    toy_train(disk / "run", UPDATES)
    assert f"resuming after update {saved[-1]}" in caplog.text
    assert_same(disk / "run", whole)


def test_full_disk_while_exporting(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path / "run")

    def fail(self: Any, folder: Path, **options: Any) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="can't be written .*training is done"):
        patch.setattr(type(toy_model()), "save_pretrained", fail)
        toy_train(tmp_path / "run", UPDATES)
    assert_same(tmp_path / "run", whole)
    assert not list((tmp_path / "run").glob(".*"))


def test_log_reads_as_one_run(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("injected")

    scope = at_batch(11 * PER_UPDATE, fail)
    with pytest.raises(RuntimeError):
        toy_train(tmp_path, 20, model=scope.model, in_direction=scope)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"kind": "training", "upd')
    assert read_log(tmp_path / "log.jsonl")[-1]["update"] == 10
    toy_train(tmp_path, 20)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    updates = [line["update"] for line in lines]
    assert updates == sorted(updates)
    assert [line["update"] for line in lines if line["kind"] == "training"] == [10, 20]
    assert [line["update"] for line in lines if line["kind"] == "resume"] == [9]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)


def test_dropout_is_active_in_these_tests(tmp_path: Path, whole: Path) -> None:
    toy_train(tmp_path / "run", UPDATES, model=toy_model(dropout=0.0))
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "run", whole)
    assert torch.is_grad_enabled()
