"""The arms: what each continues with."""

from __future__ import annotations

import pytest
import torch

from neuronspec.baselines import ARMS, arm_masks, register_arm
from neuronspec.errors import MaskError, RecipeError
from neuronspec.neurons import NeuronMasks


def some_masks() -> NeuronMasks:
    generator = torch.Generator().manual_seed(0)
    sizes = {"en-de": 20, "de-en": 35, "en-fr": 50}

    def mask(size: int) -> torch.Tensor:
        return torch.randperm(64, generator=generator) < size

    sites = ("encoder.0", "decoder.0")
    return NeuronMasks.from_dict({name: {site: mask(size) for site in sites} for name, size in sizes.items()})


def test_specialized_has_the_masks_and_dense_none() -> None:
    masks = some_masks()
    assert arm_masks("specialized", masks, 1) == masks
    assert arm_masks("dense", masks, 1) is None
    assert arm_masks("dense", None, 1) is None


def test_random_keeps_every_size_and_not_the_choice() -> None:
    masks = some_masks()
    random = arm_masks("random", masks, 1)
    assert random is not None
    assert list(random) == list(masks) and random.widths == masks.widths
    for direction, sites in masks.items():
        for site, mask in sites.items():
            assert random[direction][site].sum() == mask.sum()
            assert not torch.equal(random[direction][site], mask)
    assert arm_masks("random", masks, 1) == random
    assert arm_masks("random", masks, 2) != random


def test_unknown_arms_and_missing_masks_are_errors() -> None:
    with pytest.raises(RecipeError, match="did you mean 'random'"):
        arm_masks("rndom", some_masks(), 1)
    with pytest.raises(MaskError, match="select neurons first"):
        arm_masks("specialized", None, 1)


def test_names_are_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuronspec.baselines.arms.ARMS", dict(ARMS))
    register_arm("inverted", lambda masks, seed: ~masks)
    assert arm_masks("inverted", some_masks(), 1) == ~some_masks()
    for name in ("inverted", "dense", "base", "copy"):
        with pytest.raises(RecipeError, match="registered already"):
            register_arm(name, None)
