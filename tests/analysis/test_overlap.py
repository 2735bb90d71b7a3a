"""Overlap of masks: constructed cases with known answers, and chance level against simulation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from neuronspec.analysis.overlap import (
    above_chance,
    chance_overlap,
    most_active_overlap,
    overlap,
    overlap_progression,
    sparsity_table,
)
from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks

Make = Callable[..., NeuronMasks]
BITS = {
    "en-de": {"encoder.0": "1111", "decoder.0": "110000"},
    "en-nl": {"encoder.0": "1111", "decoder.0": "011000"},
    "en-fr": {"encoder.0": "1111", "decoder.0": "000111"},
    "de-en": {"encoder.0": "1100", "decoder.0": "000000"},
    "nl-en": {"encoder.0": "1100", "decoder.0": "000000"},
}


def test_iou_of_known_masks(make_masks: Make) -> None:
    masks = make_masks(BITS)
    matrix = overlap(masks, "decoder.0", ["en-de", "en-nl", "en-fr"])
    expected = torch.tensor([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(matrix, expected)
    assert overlap(masks, "encoder.0").shape == (5, 5)
    assert torch.equal(overlap(masks, "decoder.0", ["de-en", "nl-en"]), torch.ones(2, 2, dtype=torch.float64))
    assert overlap(masks, "decoder.0", ["de-en", "en-fr"])[0, 1] == 0


def test_errors_name_what_is_there(make_masks: Make) -> None:
    with pytest.raises(MaskError, match=r"no masks for site 'decoder\.1'; did you mean 'decoder\.0'"):
        overlap(make_masks(BITS), "decoder.1")
    with pytest.raises(DirectionError, match="no masks for direction en-it"):
        overlap(make_masks(BITS), "decoder.0", ["en-de", "en-it"])


@pytest.mark.parametrize(("first", "second"), [(30, 30), (10, 45), (0, 20), (60, 60), (59, 3), (0, 0)])
def test_chance_is_what_random_masks_give(first: int, second: int) -> None:
    width, draws = 60, 4000
    order = torch.rand(2, draws, width, generator=torch.Generator().manual_seed(1)).argsort(-1)
    a, b = order[0] < first, order[1] < second
    union = (a | b).sum(-1)
    simulated = torch.where(union > 0, (a & b).sum(-1) / union, 1.0).mean()
    masks = NeuronMasks.from_dict({"en-de": {"decoder.0": a[0]}, "en-fr": {"decoder.0": b[0]}})
    chance = chance_overlap(masks, "decoder.0")
    assert float(chance[0, 1]) == pytest.approx(float(simulated), abs=0.006)
    assert torch.equal(chance, chance.T)


def test_progression_takes_into_the_pivot_for_encoders_and_out_of_it_for_decoders(make_masks: Make) -> None:
    encoder, decoder = overlap_progression(make_masks(BITS), pivot="en")
    assert [str(direction) for direction in encoder.directions] == ["de-en", "nl-en"]
    assert (encoder.site, encoder.mean) == ("encoder.0", 1.0)
    assert encoder.chance == pytest.approx((1 * 1 + 4 * (1 / 3) + 1 * 0) / 6)
    assert [str(direction) for direction in decoder.directions] == ["en-de", "en-fr", "en-nl"]
    assert decoder.mean == pytest.approx(1 / 9)


def test_progression_without_a_pair_says_so(make_masks: Make) -> None:
    masks = make_masks(
        {"en-de": {"encoder.0": "11", "decoder.0": "01"}, "en-fr": {"encoder.0": "11", "decoder.0": "01"}}
    )
    encoder, decoder = overlap_progression(masks, pivot="en")
    assert (encoder.mean, encoder.chance, encoder.directions) == (None, None, ())
    assert decoder.mean == 1.0
    layers = make_masks({"en-de": {"layers.0": "10"}, "fr-en": {"layers.0": "11"}})
    assert overlap_progression(layers, pivot="en")[0].mean == 0.5


def test_sparsity_table(make_masks: Make) -> None:
    table = sparsity_table(make_masks(BITS))
    assert table["en-de"] == pytest.approx({"encoder.0": 0.0, "decoder.0": 4 / 6})
    assert list(table) == ["de-en", "en-de", "en-fr", "en-nl", "nl-en"]


def test_above_chance_is_0_at_chance_and_1_when_identical() -> None:
    measured = torch.tensor([1.0, 0.25, 0.0, 1.0], dtype=torch.float64)
    chance = torch.tensor([0.5, 0.25, 0.5, 1.0], dtype=torch.float64)
    assert above_chance(measured, chance).tolist() == [1.0, 0.0, -1.0, 0.0]


def test_progression_has_quartiles_and_above_chance(make_masks: Make) -> None:
    _, decoder = overlap_progression(make_masks(BITS), pivot="en")
    # the pairs have 1/3, 0 and 0
    assert decoder.quartiles == pytest.approx((0.0, 0.0, 1 / 6))
    pairs = ((1 / 3, 2, 2), (0.0, 2, 3), (0.0, 2, 3))
    chances = [float(chance_of(a, b, 6)) for _, a, b in pairs]
    expected = sum((iou - chance) / (1 - chance) for (iou, _, _), chance in zip(pairs, chances, strict=True)) / 3
    assert decoder.above_chance == pytest.approx(expected)


def chance_of(a: int, b: int, width: int) -> torch.Tensor:
    place = torch.arange(width)
    masks = NeuronMasks.from_dict({"en-de": {"decoder.0": place < a}, "en-fr": {"decoder.0": place < b}})
    return chance_overlap(masks, "decoder.0")[0, 1]


def test_two_families_share_within_and_not_between(make_masks: Make) -> None:
    bits = {"en-de": "111100", "en-nl": "111000", "en-fr": "000011", "en-it": "000001"}
    matrix = overlap(make_masks({name: {"decoder.0": row} for name, row in bits.items()}), "decoder.0",
                     ["en-de", "en-nl", "en-fr", "en-it"])  # fmt: skip
    assert (matrix[0, 1], matrix[2, 3]) == (0.75, 0.5)
    assert not matrix[:2, 2:].any()


def test_directions_in_any_spelling(make_masks: Make) -> None:
    masks = make_masks({"en-de": {"decoder.0": "110"}, "en-pt_BR": {"decoder.0": "100"}})
    assert overlap(masks, "decoder.0", ["EN-deu_Latn", "en-pt-BR"]).tolist() == [[1, 0.5], [0.5, 1]]
    with pytest.raises(DirectionError, match="not bytes"):
        overlap(masks, "decoder.0", [b"en-de"])  # type: ignore[list-item]


def test_equally_many_of_the_most_active_neurons_are_compared(make_activations: Callable[..., Activations]) -> None:
    acts = make_activations(
        {
            "en-de": {"decoder.0": [9, 8, 7, 1, 0]},
            "en-fr": {"decoder.0": [9, 1, 7, 8, 0]},
            "en-it": {"decoder.0": [5, 5, 5, 5, 5]},
        }
    )
    found = most_active_overlap(acts, "decoder.0", ["en-de", "en-fr", "en-it"], 2)
    # {0, 1}, {0, 3}, and of equal ones the first: {0, 1}
    assert found.flatten().tolist() == pytest.approx([1, 1 / 3, 1, 1 / 3, 1, 1 / 3, 1, 1 / 3, 1])
    # the magnitudes are the counts in reverse order
    turned = most_active_overlap(acts, "decoder.0", ["en-de", "en-fr"], 2, "magnitude")
    assert turned[0, 1] == pytest.approx(1 / 3)
    assert most_active_overlap(acts, "decoder.0", ["en-de", "en-fr"], 5).tolist() == [[1, 1], [1, 1]]
