"""Who uses a neuron, on masks small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from neuronspec.analysis.sharing import (
    KINDS,
    characteristic_neurons,
    featured_neurons,
    firing_frequency,
    neuron_kinds,
    neuron_profile,
    sharing_row,
)
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

BITS = {
    "en-de": {"decoder.0": "110100"},
    "en-nl": {"decoder.0": "110010"},
    "en-fr": {"decoder.0": "101000"},
    "en-it": {"decoder.0": "101000"},
}
DIRECTIONS, FAMILIES = ["en-de", "en-nl", "en-fr", "en-it"], ["Germanic", "Germanic", "Romance", "Romance"]


def test_kinds_of_known_masks(make_masks: Callable[..., NeuronMasks]) -> None:
    masks = make_masks(BITS)
    kinds = [KINDS[kind] for kind in neuron_kinds(masks, "decoder.0", DIRECTIONS, FAMILIES)]
    assert kinds == ["shared by all", "one family", "one family", "one language", "one language", "unused"]
    row = sharing_row(masks, "decoder.0", DIRECTIONS, FAMILIES)
    assert (row.width, row.shared, row.several, row.family, row.language, row.unused) == (6, 1, 0, 2, 2, 1)
    other = sharing_row(masks, "decoder.0", DIRECTIONS, ["x", "y", "x", "y"])
    assert (other.shared, other.several, other.family, other.language, other.unused) == (1, 2, 0, 2, 1)


def test_identical_masks_are_shared_and_disjoint_ones_are_of_one_language(
    make_masks: Callable[..., NeuronMasks],
) -> None:
    same = make_masks({name: {"decoder.0": "1100"} for name in DIRECTIONS})
    assert sharing_row(same, "decoder.0", DIRECTIONS, FAMILIES).shared == 2
    apart = {name: {"decoder.0": "".join("1" if i == at else "0" for i in range(4))} for at, name in enumerate(BITS)}
    assert sharing_row(make_masks(apart), "decoder.0", DIRECTIONS, FAMILIES).language == 4


COUNTS = {"en-de": {"decoder.0": [90, 10, 5, 50]}, "en-fr": {"decoder.0": [90, 40, 0, 10]}}


def test_frequencies_and_profiles(
    make_activations: Callable[..., Activations], make_masks: Callable[..., NeuronMasks]
) -> None:
    acts = make_activations(COUNTS, tokens=100)
    rates = firing_frequency(acts, "decoder.0")
    expected = torch.tensor([[0.9, 0.1, 0.05, 0.5], [0.9, 0.4, 0.0, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(rates, expected)
    masks = make_masks({"en-de": {"decoder.0": "1001"}, "en-fr": {"decoder.0": "1100"}})
    profile = neuron_profile(acts, masks, "decoder.0", 1)
    assert dict(profile.frequency) == {"en-de": 0.1, "en-fr": 0.4} and profile.selected == ("en-fr",)
    with pytest.raises(IndexError, match="neurons 0 to 3, not 4"):
        neuron_profile(acts, masks, "decoder.0", 4)


def test_characteristic_neurons_fire_more_here_than_elsewhere(
    make_activations: Callable[..., Activations], make_masks: Callable[..., NeuronMasks]
) -> None:
    acts = make_activations(COUNTS, tokens=100)
    assert characteristic_neurons(acts, "decoder.0", ["en-de", "en-fr"], 2).tolist() == [[3, 2], [1, 0]]
    masks = make_masks({"en-de": {"decoder.0": "1001"}, "en-fr": {"decoder.0": "1100"}})
    featured = featured_neurons(acts, masks, "decoder.0", ["en-de", "en-fr"], ["Germanic", "Romance"])
    assert featured == {"shared by all": [0], "one family": [], "one language": [3, 1]}
