"""The settings of a training that the paper's fairseq runs have: tag loss, pooled selection, no clipping, fp16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.families import build_family
from tests.helpers.toy_corpus import DE_EN, EN_DE, FORMAT, LAYOUT, ToyStore, toy_model
from tests.helpers.toy_training import SIZES, assert_same, toy_train
from torch.nn.functional import cross_entropy

from neuronspec.batching.stream import TrainingBatches
from neuronspec.core.errors import RecipeError, TrainingError
from neuronspec.core.settings import without_added
from neuronspec.models.frames import IGNORED
from neuronspec.models.precision import resolve_precision
from neuronspec.models.text_format import TextFormat
from neuronspec.training import validation
from neuronspec.training.log import read_log
from neuronspec.training.loss import Loss, batch_loss, target_tokens
from neuronspec.training.progress_state import FIRST_SCALE, SCALE_KEPT, SMALLEST_SCALE, State
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.validation import deciding_loss


def test_keys_that_runs_from_before_lack_are_left_out_of_what_matters() -> None:
    plain = TrainingSettings(updates=1)
    dumped = without_added(plain, plain.model_dump())
    assert {"tag_loss", "select_by"}.isdisjoint(dumped)
    asked = TrainingSettings(updates=1, tag_loss=True, select_by="pooled")
    assert {"tag_loss", "select_by"} <= without_added(asked, asked.model_dump()).keys()


@pytest.mark.parametrize("mixed", [False, True])
def test_the_tag_takes_loss(mixed: bool) -> None:
    settings = TrainingSettings(updates=1, batch_tokens=60, mix_directions=mixed)
    plain, tagged = (
        TrainingBatches(ToyStore(SIZES), list(SIZES), text_format, settings, 1)
        for text_format in (FORMAT, FORMAT.with_tag_loss())
    )
    model = toy_model(dropout=0.0)
    for _ in range(5):
        draws = plain.draw(), tagged.draw()
        before, batch = plain.make(draws[0]).batch, tagged.make(draws[1]).batch
        labels = batch.inputs["labels"]
        assert torch.equal(labels[:, 1:], before.inputs["labels"][:, 1:])
        assert torch.equal(labels[:, 0], batch.inputs["decoder_input_ids"][:, 1])
        assert set(labels[:, 0].tolist()) <= set(LAYOUT.tags.values())
        assert tagged.target_tokens(draws[1]) == target_tokens(model, batch) == int((labels != IGNORED).sum())
        inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
        logits = model(**inputs).logits
        expected = cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.1)
        assert batch_loss(model, batch, 0.1).smoothed.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_tag_is_learnt(tmp_path: Path) -> None:
    toy_train(tmp_path / "tag", tag_loss=True)
    toy_train(tmp_path / "plain")
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "tag", tmp_path / "plain")


def test_a_target_without_a_tag_has_no_such_loss() -> None:
    class Untagged:
        tokenizer = None

    with pytest.raises(RecipeError, match="training.tag_loss: the target of this model doesn't begin with the tag"):
        TextFormat(Untagged()).with_tag_loss()  # type: ignore[arg-type]


LOSSES = {EN_DE: Loss(100, 100, 140), DE_EN: Loss(3, 1, 4)}


def test_the_loss_that_decides() -> None:
    assert deciding_loss(LOSSES.values(), "mean") == 2
    assert deciding_loss(LOSSES.values(), "pooled") == pytest.approx(144 / 101)


@pytest.mark.parametrize(("select_by", "best"), [("mean", 8), ("pooled", 4)])
def test_the_best_checkpoint_is_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select_by: str, best: int
) -> None:
    losses = iter([LOSSES, {EN_DE: Loss(150, 100, 190), DE_EN: Loss(2, 1, 3)}])
    monkeypatch.setattr(validation, "validation_loss", lambda *args, **kwargs: next(losses))
    assert toy_train(tmp_path, 8, select_by=select_by).best_update == best


def test_the_pooled_loss_is_smoothed(tmp_path: Path) -> None:
    """What is logged is what torch gives over all validation pairs together, with the tag."""
    model = toy_model(dropout=0.0)
    toy_train(tmp_path, 4, model=model, select_by="pooled", tag_loss=True, validation_sentences=100)
    store, total, tokens = ToyStore(SIZES), 0.0, 0
    for direction in SIZES:
        pairs = store.pairs("valid", direction)
        inputs = FORMAT.with_tag_loss().pieces([direction] * len(pairs), pairs.gather(np.arange(len(pairs))))
        labels = inputs.pop("labels")
        with torch.no_grad():
            logits = model(**inputs).logits
        total += cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=0.1).item()
        tokens += int((labels != IGNORED).sum())
    logged = [line["loss"] for line in read_log(tmp_path / "log.jsonl") if line["kind"] == "validation"]
    assert logged == [pytest.approx(total / tokens, rel=1e-5)]


def test_no_clipping(tmp_path: Path) -> None:
    for name, norm in (("none", 0), ("wide", 1e9), ("narrow", 1e-3)):
        toy_train(tmp_path / name, clip_norm=norm)
    assert_same(tmp_path / "none", tmp_path / "wide")
    with pytest.raises(AssertionError):
        assert_same(tmp_path / "none", tmp_path / "narrow")


def test_fp16_follows_float32(tmp_path: Path) -> None:
    models: dict[str, Any] = {}
    for precision in ("float32", "fp16"):
        models[precision] = toy_model(dropout=0.0)
        toy_train(tmp_path / precision, 8, model=models[precision], precision=precision, learning_rate=0.001)
    for one, other in zip(models["fp16"].parameters(), models["float32"].parameters(), strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one, other, atol=5e-3)


def test_an_overflow_halves_the_scale_and_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An update that is skipped changes nothing, and is no failure; stopped and resumed, the scale is as it was."""
    from neuronspec.training import progress_state
    from neuronspec.training.checkpoint import read_record, updates_saved

    # The field's default was taken when the class was made.
    monkeypatch.setattr(State, "__init__", _with_scale(State.__init__, 2.0**140))
    monkeypatch.setattr(progress_state, "LARGEST_SCALE", 2.0**140)
    toy_train(tmp_path / "run", 30, precision="fp16", save_every=30)
    record = read_record(tmp_path / "run" / "checkpoints", updates_saved(tmp_path / "run" / "checkpoints")[-1])
    state = record["state"]
    assert state.skipped > 10
    assert state.scale == 2.0 ** (140 - state.skipped)
    assert state.scaled == 30 - state.skipped
    toy_train(tmp_path / "parts", 13, precision="fp16", save_every=30)
    toy_train(tmp_path / "parts", 30, precision="fp16", save_every=30)
    assert_same(tmp_path / "parts", tmp_path / "run")


def _with_scale(plain: Any, scale: float) -> Any:
    def init(self: State, *args: Any, **fields: Any) -> None:
        plain(self, *args, **{"scale": scale} | fields)

    return init


def test_the_scale() -> None:
    state = State()
    assert state.scale == FIRST_SCALE
    assert all(state.rescale(True) for _ in range(SCALE_KEPT))
    assert (state.scale, state.scaled) == (2 * FIRST_SCALE, 0)
    state.scale = 2 * SMALLEST_SCALE
    assert state.rescale(False)
    assert not state.rescale(False)


def test_fp16_with_weights_in_bfloat16() -> None:
    model = build_family("m2m100").bfloat16()
    with pytest.raises(TrainingError, match="precision is fp16, but weights that aren't trained are held in bfloat16"):
        resolve_precision("fp16", model)
