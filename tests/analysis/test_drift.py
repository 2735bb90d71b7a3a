"""Drift and stability of constructed masks and activations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from neuronspec.analysis import of_run
from neuronspec.analysis.drift import drift, mean_overlap, stability
from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.selection import select_neurons
from neuronspec.neurons.settings import RecordingSettings


def test_drift_of_known_masks(make_masks: Callable[..., NeuronMasks]) -> None:
    before = make_masks({"en-de": {"decoder.0": "1100"}, "en-fr": {"decoder.0": "0011"}})
    after = make_masks({"en-de": {"decoder.0": "0110"}, "en-fr": {"decoder.0": "0011"}})
    first, second = drift(before, after)
    assert (first.direction, first.iou, first.kept, first.before, first.after) == ("en-de", 1 / 3, 0.5, 2, 2)
    assert (second.iou, second.kept) == (1.0, 1.0)
    assert mean_overlap(before, after) == {"decoder.0": pytest.approx(2 / 3)}


def test_masks_must_be_comparable(make_masks: Callable[..., NeuronMasks]) -> None:
    masks = make_masks({"en-de": {"decoder.0": "1100"}})
    with pytest.raises(DirectionError, match="no direction in common: en-de and en-fr"):
        drift(masks, make_masks({"en-fr": {"decoder.0": "1100"}}))
    with pytest.raises(MaskError, match="different models"):
        drift(masks, make_masks({"en-de": {"decoder.0": "110"}}))


def test_equal_parts_are_stable_and_different_ones_are_not(make_activations: Callable[..., Activations]) -> None:
    select = partial(select_neurons, criterion=CumulativeActivation(0.5))
    same = [make_activations({"en-de": {"decoder.0": [5, 4, 1, 0]}}) for _ in range(4)]
    rows = stability(same, select, shares=(0.25, 0.5), seeds=(0, 1))
    assert [(row.share, row.seed) for row in rows] == [(0.25, 0), (0.25, 1), (0.5, 0), (0.5, 1)]
    assert all(row.iou == 1.0 and row.other == 1.0 for row in rows)
    assert [row.tokens for row in rows] == [100, 100, 200, 200]
    apart = [make_activations({"en-de": {"decoder.0": [9 * (i == part) for i in range(4)]}}) for part in range(4)]
    rows = stability(apart, select, shares=(0.25,), seeds=tuple(range(8)))
    # all text needs two of four neurons; a quarter of it has one neuron, mostly another than the other quarters
    assert {row.iou for row in rows} <= {0.0, 0.5}
    assert all(row.other is not None and row.other < 0.7 for row in rows)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_other_text_is_other_text(number: int, make_activations: Callable[..., Activations]) -> None:
    select = partial(select_neurons, criterion=CumulativeActivation(0.5))
    apart = [
        make_activations({"en-de": {"decoder.0": [9 * (i == part) for i in range(number)]}}) for part in range(number)
    ]
    rows = stability(apart, select, shares=(0.1,))
    assert {row.other for row in rows} == {0.0}, "each part has a neuron of its own"
    assert [row.other for row in stability(apart, select, shares=(1.0,))] == [None] * 3


def test_a_continuation_is_selected_by_its_own_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = object(), []

    def select(acts: object, model: Callable[[], object]) -> str:
        seen.append((acts, model()))
        return "after"

    material = SimpleNamespace(arms={"dense": lambda: (model, None)}, masks="before", select=select)
    monkeypatch.setattr(of_run, "_record", lambda *given: "activations")
    monkeypatch.setattr(of_run, "drift_summary", lambda *given: given)
    assert of_run._drift(material, RecordingSettings()) == [("dense", "before", "after")]  # type: ignore[arg-type,comparison-overlap]
    assert seen == [("activations", model)]


def test_one_part_is_too_few(make_activations: Callable[..., Activations]) -> None:
    with pytest.raises(MaskError, match="two parts"):
        stability([make_activations({"en-de": {"decoder.0": [1]}})], lambda acts: None)  # type: ignore[arg-type,return-value]
