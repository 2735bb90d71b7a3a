"""Permutation tests: exact on small cases, and calibrated: about 5% of random masks come out at p <= 0.05."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from neuronspec.analysis.overlap import above_chance, chance_overlap, overlap
from neuronspec.analysis.permutation import family_test, mantel_test
from neuronspec.core.errors import MaskError
from neuronspec.neurons.masks import NeuronMasks

FAMILIES = ["a", "a", "a", "b", "b", "b", "c", "c", "c"]


def random_masks(seed: int, items: int = 9, width: int = 60, growing: bool = False) -> NeuronMasks:
    """Independent random masks; `growing`: the first families are sparser than the last."""
    generator = torch.Generator().manual_seed(seed)
    shares = [0.3 + 0.05 * i if growing else 0.5 for i in range(items)]
    return NeuronMasks.from_dict(
        {f"en-l{i}": {"decoder.0": torch.rand(width, generator=generator) < share} for i, share in enumerate(shares)}
    )


def random_overlap(seed: int, items: int = 9) -> np.ndarray:
    """The IoU of independent random masks."""
    return overlap(random_masks(seed, items), "decoder.0").numpy()


def above(masks: NeuronMasks) -> np.ndarray:
    return above_chance(overlap(masks, "decoder.0"), chance_overlap(masks, "decoder.0")).numpy()


def blocks(within: float, between: float) -> np.ndarray:
    same = np.equal.outer(np.array(FAMILIES), np.array(FAMILIES))
    return np.where(np.eye(9, dtype=bool), 1.0, np.where(same, within, between))


def test_two_families_that_differ() -> None:
    test = family_test(blocks(0.8, 0.2), FAMILIES, permutations=999)
    assert (test.within, test.between) == (pytest.approx(0.8), pytest.approx(0.2))
    assert test.difference == pytest.approx(0.6)
    # 280 ways to part nine items into three groups of three, one of which is this one
    assert test.p == pytest.approx(1 / 280, abs=0.005)


def test_the_p_value_is_that_of_all_permutations() -> None:
    matrix = random_overlap(3, items=6)
    families = np.array(["a", "a", "b", "b", "c", "c"])
    rows, columns = np.triu_indices(6, 1)
    values = matrix[rows, columns]

    def difference(order: tuple[int, ...]) -> float:
        same = families[list(order)][rows] == families[list(order)][columns]
        return float(values[same].mean() - values[~same].mean())

    every = [difference(order) for order in permutations(range(6))]
    exact = np.mean(np.array(every) >= difference(tuple(range(6))) - 1e-12)
    assert family_test(matrix, list(families), permutations=9999).p == pytest.approx(exact, abs=0.02)


def test_identical_masks_and_single_families_have_no_difference() -> None:
    assert family_test(blocks(1.0, 1.0), FAMILIES).p == 1.0
    alone = family_test(blocks(0.5, 0.5), list("abcdefghi"))
    assert (alone.within, alone.p) == (None, None)
    one = family_test(blocks(0.5, 0.5), ["a"] * 9)
    assert (one.between, one.p) == (None, None)


def rate(p_values: list[float]) -> float:
    return float(np.mean(np.array(p_values) <= 0.05))


def test_family_test_is_calibrated() -> None:
    p = [family_test(random_overlap(seed), FAMILIES, permutations=199, seed=seed).p or 0.0 for seed in range(600)]
    # 600 draws at 5%: a standard error of 0.9%
    assert 0.025 < rate(p) < 0.08
    assert 0.42 < float(np.mean(p)) < 0.58


def test_families_of_like_sparsity_are_no_finding_above_chance() -> None:
    masks = [random_masks(seed, growing=True) for seed in range(600)]
    raw = [family_test(overlap(some, "decoder.0").numpy(), FAMILIES, permutations=199).p or 0.0 for some in masks]
    p = [family_test(above(some), FAMILIES, permutations=199).p or 0.0 for some in masks]
    assert rate(raw) > 0.15, "sparsity alone makes families look alike"
    assert 0.025 < rate(p) < 0.08


def test_mantel_is_calibrated_and_finds_what_is_there() -> None:
    p = [
        mantel_test(1 - random_overlap(seed), 1 - random_overlap(seed + 10_000), permutations=199, seed=seed).p or 0.0
        for seed in range(400)
    ]
    assert 0.02 < rate(p) < 0.085
    same = mantel_test(blocks(0.9, 0.3), 2 * blocks(0.9, 0.3) + 1)
    assert same.r == pytest.approx(1.0) and same.p is not None and same.p < 0.02
    against = mantel_test(blocks(0.9, 0.3), -blocks(0.9, 0.3))
    assert against.r == pytest.approx(-1.0) and against.p is not None and against.p > 0.9


def test_constant_distances_have_no_correlation() -> None:
    test = mantel_test(np.zeros((4, 4)), random_overlap(1, items=4))
    assert (test.r, test.p) == (None, None)


def test_the_seed_decides() -> None:
    matrix = random_overlap(5)
    assert family_test(matrix, FAMILIES, seed=1) == family_test(matrix, FAMILIES, seed=1)


def test_sizes_must_fit() -> None:
    with pytest.raises(MaskError, match=r"shape \[2, 3\]: expected \[2, 2\]"):
        family_test(np.zeros((2, 3)), ["a", "b"])
    with pytest.raises(MaskError, match="expected"):
        mantel_test(np.zeros((3, 3)), np.zeros((4, 4)))
