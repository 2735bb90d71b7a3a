"""The arms with masks and without: what each continues with, what it leaves behind, what it costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tests.helpers.toy_arm import DIRECTIONS, logits, logits_of, toy_given, toy_recipe, trained
from tests.helpers.toy_corpus import EN_DE, toy_model

from neuronspec.arms.arm import Given, get_arm, read_cost
from neuronspec.arms.masked import random_masks
from neuronspec.arms.registry import ARMS
from neuronspec.core.errors import ModelError, RecipeError, RunError
from neuronspec.deploy.opening import open_model
from neuronspec.models.load import load_model
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.criteria.magnitude import WeightMagnitude, norms_of, weight_norms
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.methods import MASKS_FILE

NEEDED = {"lass": {"updates": 1}, "bilingual": {"updates": 1, "directions": ["en-de"]}}
"""What the arms ask of a recipe."""

MASKED = ("specialized", "random", "magnitude", "top_fraction")


def some_masks() -> NeuronMasks:
    generator = torch.Generator().manual_seed(0)
    sizes = {"en-de": 20, "de-en": 35, "en-fr": 50}

    def mask(size: int) -> torch.Tensor:
        return torch.randperm(64, generator=generator) < size

    sites = ("encoder.0", "decoder.0")
    return NeuronMasks.from_dict({name: {site: mask(size) for site in sites} for name, size in sizes.items()})


def test_the_recipe_knows_every_arm() -> None:
    for name in ARMS:
        assert name in toy_recipe(arms=[name], baselines=NEEDED).arms
    with pytest.raises(ValidationError, match="did you mean 'lora'. Valid: adapters_direction, adapters_family"):
        toy_recipe(arms=["lorra"])
    with pytest.raises(RecipeError, match="did you mean 'random'"):
        get_arm("rndom")


def test_random_keeps_every_size_and_not_the_choice() -> None:
    masks = some_masks()
    random = random_masks(masks, 1)
    assert list(random) == list(masks) and random.widths == masks.widths
    for direction, sites in masks.items():
        for site, mask in sites.items():
            assert random[direction][site].sum() == mask.sum()
            assert not torch.equal(random[direction][site], mask)
    assert random_masks(masks, 1) == random
    assert random_masks(masks, 2) != random


def test_magnitude_keeps_every_size_and_the_largest_weights(tmp_path: Path) -> None:
    given = toy_given(tmp_path)
    model, like = load_model(given.base), NeuronMasks.load(given.masks)
    masks = WeightMagnitude(like).masks(model)
    for site in find_ffn_sites(model):
        norms = weight_norms(site)
        neuron = 3
        by_hand = site.ups[0].weight[neuron].norm() * site.down.weight[:, neuron].norm()
        torch.testing.assert_close(norms[neuron], by_hand)
        for direction in masks:
            chosen = masks[direction][site.name]
            assert chosen.sum() == like[direction][site.name].sum() < len(chosen)
            assert norms[chosen].min() >= norms[~chosen].max()


def test_top_fraction_spreads_the_same_sparsity_evenly(tmp_path: Path) -> None:
    given = toy_given(tmp_path)
    like, masks = NeuronMasks.load(given.masks), get_arm("top_fraction").masks(given)  # type: ignore[attr-defined]
    sizes = {int(mask.sum()) for sites in masks.values() for mask in sites.values()}
    assert len(sizes) == 1
    assert abs(masks.sparsity() - like.sparsity()) < 1 / 24
    assert len({int(mask.sum()) for sites in like.values() for mask in sites.values()}) > 1


def test_top_fraction_has_the_sparsity_of_the_component_that_is_specialized(tmp_path: Path) -> None:
    selection = {"coverage": {"encoder": 0.3, "decoder": 0.99}}
    given = toy_given(tmp_path, "top_fraction", specialization={"components": "encoder"}, selection=selection)
    like, masks = (each.sparsity("site") for each in (NeuronMasks.load(given.base.parent / "masks"), _masks(given)))
    encoder = [site for site in like if site.startswith("encoder")]
    mean = sum(like[site] for site in encoder) / len(encoder)
    assert mean > sum(like.values()) / len(like) + 0.1
    assert all(masks[site] == pytest.approx(mean, abs=1 / 24) for site in encoder)


def _masks(given: Given) -> NeuronMasks:
    return get_arm("top_fraction").masks(given)  # type: ignore[attr-defined,no-any-return]


def test_magnitude_of_narrow_weights_is_that_of_wide_ones(tmp_path: Path) -> None:
    """In bf16 most norms would be equal, and equal ones are taken in their order."""
    model = toy_model().to(torch.bfloat16)
    widths = {site.name: site.width for site in find_ffn_sites(model)}
    narrow = norms_of(model, widths)
    wide = norms_of(model.float(), widths)
    for site, norms in wide.items():
        torch.testing.assert_close(narrow[site], norms)


@pytest.mark.parametrize("name", MASKED)
def test_masked_arms_come_back_as_they_were_trained(tmp_path: Path, name: str) -> None:
    given = trained(tmp_path, name)
    masks = NeuronMasks.load(given.folder / MASKS_FILE)
    assert set(masks) == set(map(str, DIRECTIONS)) and masks.sparsity() > 0.1
    model, in_direction = get_arm(name).load(given)
    specialized = logits_of(model, in_direction, EN_DE)
    rows, in_direction = get_arm(name).load(given, method="rows")
    torch.testing.assert_close(logits_of(rows, in_direction, EN_DE), specialized)
    dense = load_model(given.folder)
    assert not torch.allclose(logits_of(dense, lambda d: torch.no_grad(), EN_DE), specialized, atol=1e-4)


def test_arms_differ_from_each_other_and_from_the_baseline(tmp_path: Path) -> None:
    outputs = [logits(trained(tmp_path, name), name, EN_DE) for name in ("dense", *MASKED)]
    base = load_model(tmp_path / "base")
    outputs.append(logits_of(base, lambda d: torch.no_grad(), EN_DE))
    for place, one in enumerate(outputs):
        assert all(not torch.allclose(one, other, atol=1e-4) for other in outputs[:place])


def test_an_arm_writes_down_what_it_cost(tmp_path: Path) -> None:
    given = trained(tmp_path, "specialized")
    cost = json.loads((given.folder / "cost.json").read_text())
    parameters = sum(parameter.numel() for parameter in load_model(given.base).parameters())
    assert cost["trained_parameters"] == parameters and cost["extra_parameters"] == 0
    assert cost["prepare_seconds"] == 0 and cost["update_seconds"] > 0 and cost["peak_memory"] > 1e7


def test_the_continuation_can_have_a_seed_of_its_own(tmp_path: Path) -> None:
    given = toy_given(tmp_path, continuation={"seed": 7})
    assert (given.seed, toy_given(tmp_path).seed) == (7, 1)
    first, second = (trained(tmp_path / str(seed), "dense", continuation={"seed": seed}) for seed in (1, 2))
    assert not torch.equal(logits(first, "dense", EN_DE), logits(second, "dense", EN_DE))


def test_a_damaged_cost_is_told(tmp_path: Path) -> None:
    given = trained(tmp_path, "dense")
    assert read_cost(given.folder).extra_parameters == 0
    (given.folder / "cost.json").write_text('{"trained_parameters": ')
    with pytest.raises(RunError, match="train the arm again"):
        read_cost(given.folder)


@pytest.mark.parametrize("name", ["adapters_family", "lass"])
def test_what_only_a_run_can_compute_is_not_opened_as_a_dense_model(tmp_path: Path, name: str) -> None:
    settings = {"baselines": {"adapters": {"bottleneck": 4}, "lass": {"updates": 2}}}
    given = trained(tmp_path, name, **settings)
    with pytest.raises(ModelError, match="only the run"):
        open_model(given.folder)
