"""Evaluating arms: files, scores, loss, going on after a stop."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.toy_corpus import toy_model, toy_tokenizer

from neuronspec.batching.in_order import eval_batches
from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError
from neuronspec.evaluation.evaluate import evaluate_arm, evaluate_copy
from neuronspec.evaluation.results import products_in, read_scores
from neuronspec.models.ragged import Ragged
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.scoring.score import score
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training.loss import validation_loss
from neuronspec.translation.engine import Engine
from neuronspec.translation.settings import EvaluationSettings

DIRECTIONS = [Direction("en", "de"), Direction("de", "en"), Direction("en", "fr")]
SETTINGS = EvaluationSettings(beam=2, max_sentences=7)
TOKENIZER = toy_tokenizer()


@dataclass
class Pairs:
    """Test pairs with texts."""

    sources: list[str]
    targets: list[str]

    def __len__(self) -> int:
        return len(self.sources)

    def tokens(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        source, target = (
            np.array(TOKENIZER(text, add_special_tokens=False)["input_ids"], dtype=np.int64)
            for text in (self.sources[index], self.targets[index])
        )
        return source, target

    def gather(self, indices: np.ndarray) -> tuple[Ragged, Ragged]:
        chosen = [self.tokens(index) for index in indices.tolist()]
        return Ragged.of([source for source, _ in chosen]), Ragged.of([target for _, target in chosen])

    @property
    def source_lengths(self) -> np.ndarray:
        return np.array([len(self.tokens(index)[0]) for index in range(len(self))])

    @property
    def target_lengths(self) -> np.ndarray:
        return np.array([len(self.tokens(index)[1]) for index in range(len(self))])

    def source_texts(self) -> list[str]:
        return self.sources

    def references(self) -> list[str]:
        return self.targets


class Store:
    """A token store of test pairs alone."""

    references = "as read"

    def __init__(self, size: int = 10, name: str = "one") -> None:
        self._size, self._name = size, name

    def fingerprint(self) -> str:
        return self._name

    def pairs(self, split: str, direction: Direction) -> Pairs:
        assert split == "test"
        sources = [f"w{index} w{(index * 5) % 12} w3" for index in range(self._size)]
        return Pairs(sources, [" ".join(reversed(source.split())) for source in sources])


def run(folder: Path, *, store: Any = None, settings: EvaluationSettings = SETTINGS, model: Any = None,
        directions: list[Direction] = DIRECTIONS, **options: Any) -> Any:  # fmt: skip
    return evaluate_arm(
        model or toy_model(seed=1),
        TOKENIZER,
        store or Store(),
        directions,
        settings,
        folder,
        **options,
    )


def with_other_embeddings() -> Any:
    """The model of `run`, with the weights of its FFNs alone."""
    model = toy_model(seed=1)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.5)
    return model


def with_masks(left_out: int) -> Any:
    """The model of `run`, specialized; a neuron of every site is left out in each direction."""
    model = toy_model(seed=1)
    selected = {site.name: torch.arange(site.width) != left_out for site in find_ffn_sites(model)}
    return specialize(model, NeuronMasks.from_dict(dict.fromkeys(DIRECTIONS, selected)))


def test_files_scores_and_loss_of_every_direction(tmp_path: Path) -> None:
    scores = run(tmp_path)
    assert set(scores) == {"en-de", "de-en", "en-fr"}
    assert read_scores(tmp_path) == scores
    model = toy_model(seed=1)
    for name, found in scores.items():
        sources, hypotheses, references = (
            (tmp_path / f"{name}.{part}").read_text().splitlines() for part in ("src", "hyp", "ref")
        )
        assert len(sources) == len(hypotheses) == len(references) == found.n == 7
        expected = score(hypotheses, references, name[3:])
        assert (found.bleu, found.chrf) == (expected["bleu"].value, expected["chrf++"].value)
        assert found.signatures.items() >= {metric: value.signature for metric, value in expected.items()}.items()
        assert (found.ter, found.length_ratio) == (expected["ter"].value, expected["length_ratio"].value)
        batches = eval_batches(Store().pairs("test", DIRECTIONS[0]), name, TOKENIZER, limit=7)
        assert found.loss == pytest.approx(validation_loss(model, batches)[Direction.parse(name)].per_token, rel=1e-5)
    assert not list(tmp_path.glob(".*"))


def test_each_direction_runs_in_its_own_context(tmp_path: Path) -> None:
    entered = []

    @contextmanager
    def watched(direction: Direction) -> Iterator[None]:
        entered.append(str(direction))
        yield

    run(tmp_path, in_direction=watched)
    assert set(entered) == {"en-de", "de-en", "en-fr"}
    assert entered == sorted(entered, key=["en-de", "de-en", "en-fr"].index), "one after the other"


def test_a_stopped_evaluation_goes_on_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(tmp_path / "whole")
    translated: list[str] = []
    real = Engine.translate

    def stopping(self: Engine, sources: Any, direction: Direction) -> Any:
        if len(translated) == 2:
            raise KeyboardInterrupt
        translated.append(str(direction))
        return real(self, sources, direction)

    monkeypatch.setattr(Engine, "translate", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts")
    assert set(read_scores(tmp_path / "parts")) == {"en-de", "de-en"}
    translated.clear()
    scores = run(tmp_path / "parts")
    assert translated == ["en-fr"]
    assert scores == whole
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"settings": EvaluationSettings(beam=1, max_sentences=7)},
        {"store": Store(name="two")},
        {"model": toy_model(seed=2)},
        {"model": with_other_embeddings()},
        {"model": with_masks(0)},
    ],
    ids=["settings", "corpus", "model", "weights outside of the FFNs", "masks"],
)
def test_scores_of_something_else_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    run(tmp_path)
    translated: list[str] = []
    real = Engine.translate

    def watched(self: Engine, sources: Any, direction: Direction) -> Any:
        translated.append(str(direction))
        return real(self, sources, direction)

    monkeypatch.setattr(Engine, "translate", watched)
    run(tmp_path)
    assert translated == []
    run(tmp_path, **change)
    assert len(translated) == 3


def test_scores_with_other_masks_do_not_count(tmp_path: Path) -> None:
    def losses(left_out: int) -> list[float | None]:
        model = with_masks(left_out)
        scores = run(tmp_path, model=model, in_direction=lambda direction: use_direction(model, direction))
        return [score.loss for score in scores.values()]

    first = losses(0)
    assert losses(1) != first
    assert losses(0) == first


def test_the_precision_is_that_of_autocast_and_is_told(tmp_path: Path) -> None:
    """Older scores of a CPU count: where products are of the weights' type, nothing is said of them."""
    exact = run(tmp_path / "exact")
    assert "products" not in json.loads((tmp_path / "exact" / "scores.json").read_text())
    narrow = run(tmp_path / "narrow", settings=SETTINGS.model_copy(update={"precision": "bf16"}))
    assert products_in(tmp_path / "narrow") == "bf16" and products_in(tmp_path / "exact") is None
    batches = list(eval_batches(Store().pairs("test", DIRECTIONS[0]), DIRECTIONS[0], TOKENIZER, limit=7))
    expected = validation_loss(toy_model(seed=1), batches, precision="bf16")[DIRECTIONS[0]].per_token
    assert narrow[str(DIRECTIONS[0])].loss == pytest.approx(expected, rel=1e-6)
    assert narrow[str(DIRECTIONS[0])].loss != exact[str(DIRECTIONS[0])].loss


def test_cut_sources_are_told_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = toy_model(seed=1)
    model.config.max_position_embeddings = 4
    with caplog.at_level(logging.WARNING, logger="neuronspec"):
        scores = run(tmp_path, model=model, directions=DIRECTIONS[:1])
    assert scores["en-de"].truncated == 7
    assert "en-de: 7 sources were cut" in caplog.text


def test_copy_is_the_floor(tmp_path: Path) -> None:
    evaluate_copy(Store(), DIRECTIONS, SETTINGS, tmp_path)  # type: ignore[arg-type]
    scores = read_scores(tmp_path)
    assert set(scores) == {"en-de", "de-en", "en-fr"}
    assert all(found.loss is None and found.n == 7 for found in scores.values())
    assert (tmp_path / "en-de.hyp").read_text() == (tmp_path / "en-de.src").read_text()


def test_what_cannot_be_evaluated_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no test sentences for en-de"):
        run(tmp_path, store=Store(0))
    broken = toy_model(seed=1)
    with torch.no_grad():
        broken.model.decoder.layer_norm.weight.fill_(torch.nan)
    with pytest.raises(EvaluationError, match="diverge"):
        run(tmp_path, model=broken)
    (tmp_path / "scores.json").write_text('{"made_from": "x", "scores": {"en-de": {"bleu": 1')
    with pytest.raises(EvaluationError, match=r"scores.json is damaged \(not JSON.*evaluate again"):
        read_scores(tmp_path)
    (tmp_path / "scores.json").write_text(json.dumps({"made_from": "x", "scores": {"en-de": {"bleu": "high"}}}))
    with pytest.raises(EvaluationError, match=r"scores.en-de.bleu is 'high' and should be a number"):
        read_scores(tmp_path)
