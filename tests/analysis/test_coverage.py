"""Coverage curves and the effect of k, against sums made by hand and against the masks themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neuronspec.analysis.coverage import coverage_curve, effect_of_coverage
from neuronspec.analysis.overlap import overlap_progression
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.selection import select_neurons

COUNTS = {
    "en-de": {"encoder.0": [4, 3, 2, 1], "decoder.0": [8, 0, 1, 1]},
    "en-fr": {"encoder.0": [4, 3, 2, 1], "decoder.0": [0, 5, 5, 0]},
    "de-en": {"encoder.0": [1, 1, 1, 1], "decoder.0": [1, 1, 1, 1]},
    "fr-en": {"encoder.0": [0, 0, 0, 0], "decoder.0": [2, 2, 2, 2]},
}


def test_curve_of_known_counts(make_activations: Callable[..., Activations]) -> None:
    acts = make_activations(COUNTS)
    curve = coverage_curve(acts, "decoder.0", ["en-de", "en-fr"], points=4)
    assert curve.neurons == (0, 0.25, 0.5, 0.75, 1)
    assert curve.mean == pytest.approx([0, 0.65, 0.95, 1, 1])
    assert curve.low == pytest.approx([0, 0.5, 0.9, 1, 1])
    assert curve.high == pytest.approx([0, 0.8, 1, 1, 1])
    even = coverage_curve(acts, "encoder.0", ["de-en"], points=4)
    silent = coverage_curve(acts, "encoder.0", ["fr-en"], points=4)
    assert even.mean == silent.mean == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_effect_of_k_is_that_of_the_masks(make_activations: Callable[..., Activations]) -> None:
    acts = make_activations(COUNTS)
    effects = effect_of_coverage(acts, "en", levels=[0.5, 0.9])
    assert [(effect.coverage, effect.side) for effect in effects] == [
        (k, side) for k in (0.5, 0.9) for side in ("encoder", "decoder")
    ]
    for effect in effects:
        masks = select_neurons(acts, CumulativeActivation(effect.coverage))
        row = next(row for row in overlap_progression(masks, "en") if row.site.startswith(effect.side))
        assert (effect.first, effect.last, effect.first_chance) == (row.mean, row.mean, row.chance)
        assert effect.sparsity == pytest.approx(masks.sparsity("site")[row.site])
