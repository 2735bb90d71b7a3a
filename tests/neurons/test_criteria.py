"""Exclusive, mutual information, weights, unions and differences: small cases by hand, and their laws."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.made_up import activations_with as activations

from neuronspec.core.errors import DirectionError, MaskError, RecipeError
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.batch import Batch
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.criterion import Criterion
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.criteria.difference import Difference
from neuronspec.neurons.criteria.exclusive import Exclusive
from neuronspec.neurons.criteria.lape import LAPE
from neuronspec.neurons.criteria.magnitude import WeightMagnitude, weight_norms
from neuronspec.neurons.criteria.mutual_information import MutualInformation, parts_of
from neuronspec.neurons.criteria.random import Random
from neuronspec.neurons.criteria.top_fraction import TopFraction
from neuronspec.neurons.criteria.union import Union
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.selection import select_masks, select_neurons
from neuronspec.neurons.settings import SelectionSettings

CORPUS = CorpusSettings.model_validate({"train": {"reader": "catalogs"}, "languages": ["de"]})
THREE = ("en-de", "en-fr", "en-it")


def three(rows: list[list[int]], **info: Any) -> Activations:
    """Activations of three directions at one site, 100 positions each."""
    return activations({name: {"decoder.0": row} for name, row in zip(THREE, rows, strict=True)}, **info)


def indices(masks: NeuronMasks, direction: str = "en-de", site: str = "decoder.0") -> list[int]:
    return masks[direction][site].nonzero().flatten().tolist()


def settings_of(**values: object) -> SelectionSettings:
    return SelectionSettings.model_validate(values)


def test_exclusive_by_hand() -> None:
    """Relative to the others' mean in en-de: 90/90, 60/0, 40/10, 2/0, 0/0, 30/60; the median of its own rates is 30."""
    acts = three([[90, 60, 40, 2, 0, 30], [90, 0, 10, 0, 0, 60], [90, 0, 10, 0, 0, 60]])
    assert indices(select_neurons(acts, Exclusive(1 / 6))) == [1]
    assert indices(select_neurons(acts, Exclusive(0.3))) == [1, 2]
    assert indices(select_neurons(acts, Exclusive(0.5))) == [0, 1, 2]
    assert indices(select_neurons(acts, Exclusive(0.6))) == [0, 1, 2, 5]  # neuron 3 hardly fires
    assert indices(select_neurons(acts, Exclusive(0.8))) == [0, 1, 2, 3, 5]
    assert indices(select_neurons(acts, Exclusive(0.3, quantile=0.1))) == [1, 3]
    assert select_neurons(acts, Exclusive(1)).sparsity() == 0


def test_exclusive_breaks_ties_by_index_and_compares_rates_not_counts() -> None:
    acts = three([[10, 20, 0, 0], [10, 20, 5, 0], [10, 20, 5, 0]])
    assert indices(select_neurons(acts, Exclusive(0.25))) == [0]
    rare = activations({"en-de": {"decoder.0": [9, 8]}}, tokens=10)
    often = activations({"en-fr": {"decoder.0": [90, 10]}}, tokens=100)
    assert indices(select_neurons(rare + often, Exclusive(0.5))) == [1]
    magnitude = Exclusive(0.25, statistic="magnitude")  # the counts in reverse
    assert indices(select_neurons(three([[1, 1, 2, 9]] + [[1, 1, 2, 1]] * 2), magnitude)) == [0]


def test_mutual_information_by_hand() -> None:
    acts = three([[60, 90, 30, 20], [30, 90, 90, 20], [0, 90, 60, 17]])
    assert indices(select_neurons(acts, MutualInformation(1.0))) == [0, 3]  # 1 fires as often everywhere, 2 less often
    assert indices(select_neurons(acts, MutualInformation(0.25))) == [0]
    assert indices(select_neurons(acts, MutualInformation(1.0)), "en-fr") == [2, 3]
    assert indices(select_neurons(acts, MutualInformation(1.0)), "en-it") == []
    found = parts_of(torch.tensor([0.6, 0.0, 1.0]).double(), torch.tensor([0.3, 0.5, 1.0]).double())
    assert found.tolist() == pytest.approx([0.6 * math.log(2) + 0.4 * math.log(4 / 7), math.log(2), 0])


@given(st.lists(st.tuples(*[st.integers(0, 100)] * 3), min_size=1, max_size=20))
def test_the_parts_are_the_mutual_information(rows: list[tuple[int, int, int]]) -> None:
    """Sum of p(g) KL(p_g, m) = H(A) - H(A | G)."""
    rates = torch.tensor(rows).T.double() / 100
    mean = rates.mean(0)
    entropy = lambda p: -torch.special.xlogy(p, p) - torch.special.xlogy(1 - p, 1 - p)  # noqa: E731
    found = sum(parts_of(rate, mean) for rate in rates) / 3
    torch.testing.assert_close(found, entropy(mean) - entropy(rates).mean(0), atol=1e-12, rtol=0)


def test_mutual_information_reads_counts_alone() -> None:
    with pytest.raises(RecipeError, match="a mean magnitude is no probability: use statistic: count"):
        MutualInformation(statistic="magnitude")
    gated = three([[3, 1], [1, 3], [1, 1]], gated=True)
    with pytest.raises(RecipeError, match="use statistic: count"):  # auto is magnitude behind a gate
        select_masks(gated, settings_of(criterion="mutual_information"), CORPUS)
    with pytest.warns(UserWarning, match="counts say little"):
        select_masks(gated, settings_of(criterion="mutual_information", statistic="count"), CORPUS)


@pytest.mark.parametrize("criterion", [Exclusive(), MutualInformation()])
def test_criteria_that_compare_need_two_groups(criterion: Criterion) -> None:
    with pytest.raises(MaskError, match="needs two groups or more to compare; the decoder has only en-de"):
        select_neurons(activations({"en-de": {"decoder.0": [1, 2]}}), criterion)


rows_of_three = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 100), min_size=width, max_size=width), min_size=3, max_size=3)
)
CRITERIA = [Exclusive(0.3), Exclusive(0.6, 0.8), MutualInformation(0.4), TopFraction(0.5)]
fractions = st.integers(1, 100).map(lambda percent: percent / 100)


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
@given(rows=rows_of_three, order=st.permutations([0, 1, 2]))
def test_directions_may_be_renamed(criterion: Criterion, rows: list[list[int]], order: list[int]) -> None:
    masks = select_neurons(three(rows), criterion)
    renamed = select_neurons(three([rows[place] for place in order]), criterion)
    for name, place in zip(THREE, order, strict=True):
        assert indices(renamed, name) == indices(masks, THREE[place])


@pytest.mark.parametrize("criterion", [Exclusive(0.3), Exclusive(0.6, 0.8), MutualInformation(0.4)], ids=str)
@given(
    columns=st.lists(st.tuples(*[st.integers(0, 100)] * 3), min_size=1, max_size=12, unique_by=lambda c: c[0]),
    random=st.randoms(),
)
def test_neurons_may_be_renumbered(criterion: Criterion, columns: list[tuple[int, int, int]], random: Any) -> None:
    """Where no two are tied: an index decides ties."""
    ratio = {neuron[0] / (sum(neuron) or 1) for neuron in columns}
    assume(len(ratio) == len(columns))
    order = list(range(len(columns)))
    random.shuffle(order)
    rows = [list(row) for row in zip(*columns, strict=True)]
    before = select_neurons(three(rows), criterion)["en-de"]["decoder.0"]
    after = select_neurons(three([[row[place] for place in order] for row in rows]), criterion)["en-de"]["decoder.0"]
    assert torch.equal(after, before[order])


@given(rows=rows_of_three, fraction=fractions)
def test_the_fraction_is_respected(rows: list[list[int]], fraction: float) -> None:
    acts, width = three(rows), len(rows[0])
    wanted = math.ceil(round(fraction * 100) * width / 100)
    for name in THREE:
        assert len(indices(select_neurons(acts, Exclusive(fraction)), name)) == wanted
        assert len(indices(select_neurons(acts, TopFraction(fraction)), name)) == wanted
        assert len(indices(select_neurons(acts, MutualInformation(fraction)), name)) <= wanted


@given(rows=rows_of_three, first=fractions, second=fractions)
def test_unions_and_differences_obey_their_laws(rows: list[list[int]], first: float, second: float) -> None:
    acts = three(rows)
    one, other = TopFraction(first), Exclusive(second)
    masks = {criterion: select_neurons(acts, criterion) for criterion in (one, other)}
    union = select_neurons(acts, Union([one, other]))
    assert union == masks[one] | masks[other] == select_neurons(acts, Union([other, one]))
    assert select_neurons(acts, Union([one, one])) == masks[one]
    difference = select_neurons(acts, Difference([one, other]))
    assert difference == masks[one] - masks[other]
    assert (difference & masks[other]).sparsity() == 1
    assert select_neurons(acts, Difference([one, Union([one, other])])).sparsity() == 1
    assert select_neurons(acts, Difference([one, other, LAPE(0.5, 0.5)])) == difference - select_neurons(
        acts, LAPE(0.5, 0.5)
    )


@given(rows=rows_of_three, fraction=fractions, seed=st.integers(0, 99))
def test_random_keeps_the_counts_of_any_criterion(rows: list[list[int]], fraction: float, seed: int) -> None:
    acts = three(rows)
    for like in (Exclusive(fraction), Difference([TopFraction(fraction), LAPE(0.5, 0.5)])):
        masks, drawn = select_neurons(acts, like), select_neurons(acts, Random(like, seed))
        assert [len(indices(drawn, name)) for name in THREE] == [len(indices(masks, name)) for name in THREE]


def test_each_part_reads_its_own_statistic() -> None:
    acts = three([[9, 5, 1, 0]] * 3)
    both = Union([TopFraction(0.25), TopFraction(0.25, "magnitude")])
    assert indices(select_neurons(acts, both)) == [0, 3]
    assert indices(select_neurons(acts, Random(both, 1))) != [] and Random(both).statistic is None
    gated = three([[3, 1]] * 3, gated=True)
    with pytest.warns(UserWarning, match="counts say little"):
        select_neurons(gated, Union([TopFraction(0.5, "magnitude"), TopFraction(0.5)]))


@pytest.mark.parametrize("of", [[], [LAPE()], "lape", ["lape", "cumulative"], None])
def test_combinations_need_two_criteria(of: Any) -> None:
    for kind in (Union, Difference):
        with pytest.raises(RecipeError, match="needs a list of two criteria or more"):
            kind(of)


def test_masks_of_other_directions_arent_combined() -> None:
    acts = three([[1, 2]] * 3)
    strange = NeuronMasks.from_dict({"en-es": {"decoder.0": torch.tensor([True, False])}})
    with pytest.raises(DirectionError, match="only one of them has the directions"):
        select_neurons(acts, Union([TopFraction(0.5), Random(strange)]))


@pytest.mark.parametrize("family", ["m2m100", "llama", "gpt2", "t5-gated"])
def test_magnitude_takes_the_largest_weights_of_the_model(family: str) -> None:
    model = build_family(family)
    acts = record_activations(model, [Batch(name, padded_inputs(model)) for name in ("en-de", "de-en")])
    like = TopFraction(0.3, acts.statistic)
    masks = select_neurons(acts, WeightMagnitude(like), model=model)
    selected = select_neurons(acts, like)
    assert (
        masks == WeightMagnitude(selected).masks(model) == select_neurons(acts, WeightMagnitude(selected), model=model)
    )
    for site in find_ffn_sites(model):
        norms, chosen = weight_norms(site), masks["en-de"][site.name]
        assert chosen.sum() == selected["en-de"][site.name].sum() < len(chosen)
        assert norms[chosen].min() >= norms[~chosen].max()
    with pytest.raises(MaskError, match=r"reads weights: give select_neurons the model, as model=model"):
        select_neurons(acts, Union([like, WeightMagnitude(like)]))
    other = build_family("opt" if family == "m2m100" else "m2m100")
    with pytest.raises(MaskError, match="the model isn't the one that was recorded"):
        select_neurons(acts, WeightMagnitude(like), model=other)


def test_recipes_load_the_model_only_for_a_criterion_that_reads_it() -> None:
    model, asked = build_family("m2m100"), []
    acts = record_activations(model, [Batch(name, padded_inputs(model)) for name in ("en-de", "de-en")])

    def base() -> Any:
        asked.append(1)
        return model

    like = select_masks(acts, settings_of(coverage=0.6), CORPUS, base)
    select_masks(acts, settings_of(criterion="union", parameters={"of": ["lape", "cumulative"]}), CORPUS, base)
    assert not asked
    assert select_masks(acts, settings_of(criterion="magnitude", coverage=0.6), CORPUS, base) == WeightMagnitude(
        like
    ).masks(model)
    within = {"of": ["lape", {"criterion": "random", "parameters": {"like": "magnitude"}}]}
    select_masks(acts, settings_of(criterion="difference", parameters=within), CORPUS, base)
    assert len(asked) == 2


def test_fractions_by_side_and_way(make_activations: Callable[..., Activations]) -> None:
    rows = {"encoder.0": [9, 5, 4, 3, 1], "decoder.0": [1, 2, 3, 4, 5]}
    acts = make_activations(dict.fromkeys(("en-de", "de-en", "de-fr"), rows))
    fraction = {"encoder": 0.2, "decoder/out": 0.4, "decoder": 0.6}
    for criterion in (TopFraction(fraction, pivot="en"), Exclusive(fraction, pivot="en")):
        masks = select_neurons(acts, criterion)
        counts = {name: [int(mask.sum()) for mask in sites.values()] for name, sites in masks.items()}
        assert counts == {"de-en": [1, 3], "de-fr": [1, 3], "en-de": [1, 2]}
    for kind in (TopFraction, Exclusive, MutualInformation):
        with pytest.raises(RecipeError, match="fraction for 'decoder/out' needs the pivot"):
            kind(fraction)
        with pytest.raises(RecipeError, match="no fraction for decoder of de-en: give 'decoder' or 'decoder/into'"):
            select_neurons(acts, kind({"encoder": 0.2}, pivot="en"))
    in_recipe = select_masks(acts, settings_of(criterion="top_fraction", fraction=fraction), CORPUS)
    assert in_recipe == select_neurons(acts, TopFraction(fraction, pivot="en"))


def test_lape_takes_fractions_by_side() -> None:
    rows = [[90, 80, 1, 0], [90, 0, 1, 70], [90, 0, 1, 0]]
    sites = {name: {"encoder.0": row, "decoder.0": row} for name, row in zip(THREE, rows, strict=True)}
    masks = select_neurons(activations(sites), LAPE({"encoder": 0.25, "decoder": 0.5}, 0.5))
    assert [indices(masks, name, "encoder.0") for name in THREE] == [[1], [], []]
    assert [indices(masks, name, "decoder.0") for name in THREE] == [[1], [3], []]
    with pytest.raises(RecipeError, match="LAPE ranks all of a side together; give 'encoder'"):
        LAPE({"encoder/out": 0.1})
    with pytest.raises(RecipeError, match="no fraction for decoder; given: encoder"):
        select_neurons(activations(sites), LAPE({"encoder": 0.1}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"criterion": "union"}, "criterion union needs parameters.of, a list of criteria"),
        ({"criterion": "union", "parameters": {"of": "lape"}}, "needs parameters.of, a list of criteria"),
        ({"criterion": "union", "parameters": {"of": ["lape"]}}, "union needs a list of two criteria or more"),
        ({"of": ["lape", {"criterion": "top_fraction", "fraction": 2}]}, "parameters.of[1].fraction is 2"),
        ({"of": ["lape", "top_fraction"]}, "parameters.of[1]: criterion top_fraction needs fraction"),
        ({"of": ["lappe", "lape"]}, "parameters.of[0].criterion is 'lappe'; did you mean 'lape'"),
        ({"of": ["lape", 3]}, "parameters.of[1] is 3: expected the name of a criterion, or its keys"),
        ({"of": ["lape", {"fraction": 0.3}]}, "parameters.of[1] is {'fraction': 0.3}: expected the name"),
        ({"of": ["lape", {"criterion": "lape", "quantile": 0.9}]}, "parameters.of[1].quantile is an unknown key"),
        ({"of": ["lape", {"criterion": "lape", "granularity": "family"}]}, "[1].granularity is an unknown key"),
        ({"of": ["lape", {"criterion": "lape", "coverage": 0.9}]}, "parameters.of[1].coverage: criterion lape has no"),
        ({"of": ["lape", {"criterion": "cumulative", "fraction": 0.9}]}, "of[1]: criterion cumulative has no fraction"),
        ({"of": ["lape", {"criterion": "lape", "statistic": "auto"}]}, "[1].statistic is 'auto': expected"),
        ({"of": ["lape", {"criterion": "random", "parameters": {"like": "lap"}}]},
         "parameters.of[1].parameters.like.criterion is 'lap'; did you mean 'lape'"),
        ({"of": ["lape", "lape"], "off": 1}, "criterion union has no 'off' there; did you mean 'of'"),
        ({"criterion": "random", "parameters": {"like": {"criterion": "lape", "fraction": 2}}},
         "parameters.like.fraction is 2"),
        ({"criterion": "magnitude", "parameters": {"like": None}}, "parameters.like is None: expected the name"),
        ({"criterion": "magnitude", "parameters": {"seed": 1}}, "criterion magnitude has no 'seed' there"),
        ({"criterion": "random", "fraction": 0.05, "parameters": {"like": "lape"}}, "criterion random has no fraction"),
        ({"criterion": "lape", "fraction": {"encoder/out": 0.1}}, "LAPE ranks all of a side together"),
        ({"criterion": "exclusive", "fraction": {"encodr": 0.1}}, "encodr"),
        ({"criterion": "mutual_information", "statistic": "magnitude"}, "use statistic: count"),
    ],
)  # fmt: skip
def test_mistakes_in_a_recipe_say_where(values: dict[str, Any], message: str) -> None:
    if "of" in values:
        values = {"criterion": "union", "parameters": values}
    with pytest.raises(ValidationError, match=re.escape(message)):
        settings_of(**values)


def test_parts_have_the_sections_coverage_and_statistic() -> None:
    acts = three([[9, 5, 3, 1]] * 3, gated=True)
    random = settings_of(
        criterion="random",
        parameters={"like": {"criterion": "union", "parameters": {"of": ["cumulative", "cumulative"]}}},
        coverage=0.5,
    )
    drawn = select_masks(acts, random, CORPUS)
    like = CumulativeActivation(0.5, "magnitude", "en")  # auto is magnitude behind a gate
    assert drawn.info.criterion == repr(Random(Union([like, like]), 1))
    assert drawn == select_neurons(acts, Random(like, 1))


def test_criteria_within_criteria_are_built_once() -> None:
    """As deep as a recipe may be nested; each level built twice would take 2^20 of them."""
    nested: Any = "lape"
    for _ in range(20):
        nested = {"criterion": "union", "parameters": {"of": ["lape", nested]}}
    acts = three([[9, 1, 1], [9, 8, 1], [9, 1, 7]])
    assert select_masks(acts, settings_of(**nested), CORPUS) == select_neurons(acts, LAPE())
