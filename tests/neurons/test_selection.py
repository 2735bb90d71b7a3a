"""Selection: the published rule to the last neuron, its invariants, and the other criteria."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.toy_arm import toy_recipe

from neuronspec.core.errors import DirectionError, MaskError, RecipeError
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.batch import Batch
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.criterion import Criterion, Selected
from neuronspec.neurons.criteria.cumulative import CumulativeActivation, smallest_prefix
from neuronspec.neurons.criteria.difference import Difference
from neuronspec.neurons.criteria.exclusive import Exclusive
from neuronspec.neurons.criteria.lape import LAPE
from neuronspec.neurons.criteria.magnitude import WeightMagnitude
from neuronspec.neurons.criteria.mutual_information import MutualInformation
from neuronspec.neurons.criteria.random import Random
from neuronspec.neurons.criteria.top_fraction import TopFraction
from neuronspec.neurons.criteria.union import Union
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.pooling import Pool
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.registry import CRITERIA, register_criterion
from neuronspec.neurons.selection import select_masks, select_neurons
from neuronspec.neurons.settings import SelectionSettings, Statistic

Make = Callable[..., Activations]
SHARED = Path(os.environ.get("NEURONSPEC_SHARED", Path(__file__).parents[3] / "shared"))
GOLDEN = SHARED / "golden" / "selection.json"

# Counts, coverage and the neurons that the published selection rule picks.
CASES = [
    ([153, 165, 45, 175, 113, 121, 133, 182], 0.5, [0, 1, 3, 7]),
    ([5, 5, 5, 5], 0.5, [0, 1]),
    ([5, 5, 5, 5], 0.51, [0, 1, 2]),
    ([1, 9, 0, 0], 0.9, [1]),
    ([1, 9, 0, 0], 0.91, [0, 1]),
    ([0, 3, 0, 7], 0.7, [3]),  # 0.7 * 10 > 7 in floating point
    ([0, 0, 0], 0.95, [0]),
    ([0, 0, 4], 0.01, [2]),
    ([3, 0, 2, 0, 1], 1.0, [0, 2, 4]),
    ([7], 0.95, [0]),
]


def _indices(mask: torch.Tensor) -> list[int]:
    return mask.nonzero().flatten().tolist()


@pytest.mark.parametrize(("counts", "coverage", "selected"), CASES)
def test_known_selections(counts: list[int], coverage: float, selected: list[int]) -> None:
    assert _indices(smallest_prefix(torch.tensor(counts), coverage)) == selected


def test_golden_selections(make_activations: Make) -> None:
    if not GOLDEN.exists():
        pytest.skip(f"no golden selections at {GOLDEN} (set NEURONSPEC_SHARED)")
    cases = json.loads(GOLDEN.read_text())
    for case in cases:
        acts = make_activations({"en-de": {"decoder.0": case["counts"]}})
        masks = select_neurons(acts, CumulativeActivation(case["k"]))
        assert _indices(masks["en-de"]["decoder.0"]) == sorted(case["selected"])
    assert len(cases) == 24


counts_of_neurons = st.lists(st.integers(0, 50) | st.integers(0, 10**12), min_size=1, max_size=40)
coverages = st.integers(1, 100).map(lambda percent: percent / 100)


@given(counts_of_neurons, coverages)
def test_selects_the_fewest_neurons_that_cover(counts: list[int], coverage: float) -> None:
    chosen = _indices(smallest_prefix(torch.tensor(counts), coverage))
    wanted = Fraction(str(coverage)) * sum(counts)
    assert chosen
    assert sum(counts[index] for index in chosen) >= wanted
    if len(chosen) > 1:  # the highest neurons, one fewer, fall short
        assert sum(sorted(counts, reverse=True)[: len(chosen) - 1]) < wanted
    weakest = min((counts[index], -index) for index in chosen)
    assert all((counts[index], -index) < weakest for index in range(len(counts)) if index not in chosen)


@given(counts_of_neurons.filter(lambda counts: len(set(counts)) == len(counts)), coverages, st.randoms())
def test_neurons_may_be_renumbered(counts: list[int], coverage: float, random: object) -> None:
    order = list(range(len(counts)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mask = smallest_prefix(torch.tensor(counts), coverage)
    assert torch.equal(smallest_prefix(torch.tensor(counts)[order], coverage), mask[order])


@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=40), coverages)
def test_magnitudes_are_covered(values: list[float], coverage: float) -> None:
    magnitudes = torch.tensor(values, dtype=torch.float64)
    mask = smallest_prefix(magnitudes, coverage)
    assert mask.any()
    assert float(magnitudes[mask].sum()) >= coverage * float(magnitudes.sum()) * (1 - 1e-12)


@given(counts_of_neurons, st.tuples(coverages, coverages))
def test_more_coverage_selects_more(counts: list[int], pair: tuple[float, float]) -> None:
    low, high = (smallest_prefix(torch.tensor(counts), coverage) for coverage in sorted(pair))
    assert not (low & ~high).any()


TWO_WAYS = {
    "en-de": {"encoder.0": [8, 1, 1, 0], "decoder.0": [0, 1, 1, 8]},
    "en-fr": {"encoder.0": [6, 3, 1, 0], "decoder.0": [0, 8, 1, 1]},
    "de-en": {"encoder.0": [1, 1, 0, 8], "decoder.0": [4, 3, 2, 1]},
    "de-fr": {"encoder.0": [1, 1, 0, 8], "decoder.0": [4, 3, 2, 1]},
}


def test_coverage_by_side_and_way(make_activations: Make) -> None:
    acts = make_activations(TWO_WAYS)
    coverage = {"encoder/out": 0.95, "encoder": 0.5, "decoder/into": 0.95, "decoder/other": 0.7, "decoder": 0.5}
    masks = select_neurons(acts, CumulativeActivation(coverage, pivot="en"))
    assert _indices(masks["en-de"]["encoder.0"]) == [0, 1, 2]
    assert _indices(masks["de-en"]["encoder.0"]) == [3]
    assert _indices(masks["en-de"]["decoder.0"]) == [3]
    assert _indices(masks["de-en"]["decoder.0"]) == [0, 1, 2, 3]
    assert _indices(masks["de-fr"]["decoder.0"]) == [0, 1]
    assert masks.info.coverage == coverage
    with pytest.raises(RecipeError, match="no coverage for decoder of de-en: give 'decoder' or 'decoder/into'"):
        select_neurons(acts, CumulativeActivation({"encoder": 0.9, "decoder/out": 0.9}, pivot="en"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coverage": 0}, "coverage is 0"),
        ({"coverage": 1.01}, "coverage is 1.01: expected a number above 0 and at most 1"),
        ({"coverage": "0.95"}, "coverage is '0.95'"),
        ({"coverage": True}, "coverage is True"),
        ({"coverage": {"encoder": 95}}, "coverage encoder is 95"),
        ({"coverage": {"encodr": 0.9}}, "did you mean 'encoder'"),
        ({"coverage": {"encoder/out": 0.9}}, "needs the pivot"),
        ({"statistic": "counts"}, "did you mean 'count'"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CumulativeActivation(**settings)  # type: ignore[arg-type]


def test_magnitude_reads_magnitudes(make_activations: Make) -> None:
    acts = make_activations({"en-de": {"decoder.0": [8, 1, 1, 0]}})
    assert _indices(select_neurons(acts, CumulativeActivation(0.5, "magnitude"))["en-de"]["decoder.0"]) == [3]
    assert _indices(select_neurons(acts, TopFraction(0.5, "magnitude"))["en-de"]["decoder.0"]) == [1, 3]


def test_top_fraction(make_activations: Make) -> None:
    acts = make_activations({"en-de": {"encoder.0": [3, 9, 3, 3, 1], "decoder.0": [0, 0, 5]}})
    masks = select_neurons(acts, TopFraction(0.4))
    assert _indices(masks["en-de"]["encoder.0"]) == [0, 1]
    assert _indices(masks["en-de"]["decoder.0"]) == [0, 2]
    assert select_neurons(acts, TopFraction(0.001)).sparsity() == pytest.approx(1 - 2 / 8)
    with pytest.raises(RecipeError, match="fraction is 0"):
        TopFraction(0)


def test_pooling_by_language(make_activations: Make) -> None:
    """Encoders by source, decoders by target; equal masks are one tensor."""
    masks = select_neurons(make_activations(TWO_WAYS), CumulativeActivation(0.7), "language")
    assert masks["en-de"]["encoder.0"] is masks["en-fr"]["encoder.0"]
    assert _indices(masks["en-de"]["encoder.0"]) == [0]  # 14, 4, 2, 0
    assert masks["de-fr"]["decoder.0"] is masks["en-fr"]["decoder.0"]
    assert _indices(masks["de-fr"]["decoder.0"]) == [0, 1]  # 4, 11, 3, 2
    assert _indices(masks["en-de"]["decoder.0"]) == [3]
    assert masks.info.granularity == "language"


def test_pooling_by_family(make_activations: Make) -> None:
    acts = make_activations(TWO_WAYS)
    masks = select_neurons(acts, CumulativeActivation(0.7), "family")
    assert masks["de-en"]["encoder.0"] is masks["en-fr"]["encoder.0"]  # Germanic: 16, 6, 2, 16
    assert _indices(masks["de-en"]["encoder.0"]) == [0, 3]
    assert not torch.equal(masks["en-de"]["decoder.0"], masks["en-fr"]["decoder.0"])
    one = select_neurons(acts, CumulativeActivation(0.7), "family", families={"de": "X", "fr": "X", "en": "X"})
    assert one["en-de"]["decoder.0"] is one["en-fr"]["decoder.0"]
    unknown = make_activations({"en-qqq": {"encoder.0": [1], "decoder.0": [1]}})
    with pytest.raises(DirectionError, match="qqq"):
        select_neurons(unknown, CumulativeActivation(), "family")
    with pytest.raises(RecipeError, match="did you mean 'family'"):
        select_neurons(acts, CumulativeActivation(), "famly")  # type: ignore[arg-type]


def test_pooling_decoder_only_models(make_activations: Make) -> None:
    counts = {"en-de": {"layers.0": [9, 1]}, "en-fr": {"layers.0": [0, 4]}, "fr-de": {"layers.0": [1, 1]}}
    prompt = select_neurons(make_activations(counts, positions="prompt"), CumulativeActivation(0.6), "language")
    assert prompt["en-de"]["layers.0"] is prompt["en-fr"]["layers.0"]
    spoken = select_neurons(make_activations(counts, positions="continuation"), CumulativeActivation(0.6), "language")
    assert spoken["en-de"]["layers.0"] is spoken["fr-de"]["layers.0"]
    with pytest.raises(MaskError, match="mix source and target"):
        select_neurons(make_activations(counts), CumulativeActivation(0.6), "language")


def test_lape_finds_planted_language_neurons(make_activations: Make) -> None:
    """Neuron 0 fires everywhere, 1 in German alone, 2 in French alone, 3 in both, the rest hardly."""
    quiet = [1] * 36
    acts = make_activations(
        {
            "en-de": {"encoder.0": [90] * 40, "decoder.0": [90, 80, 0, 50, *quiet]},
            "en-fr": {"encoder.0": [90] * 40, "decoder.0": [90, 0, 70, 60, *quiet]},
        }
    )
    masks = select_neurons(acts, LAPE(fraction=0.05, quantile=0.9))
    assert _indices(masks["en-de"]["decoder.0"]) == [1]
    assert _indices(masks["en-fr"]["decoder.0"]) == [2]
    assert not masks["en-de"]["encoder.0"].any()  # nothing stands out
    wider = select_neurons(acts, LAPE(fraction=0.075, quantile=0.9))
    assert _indices(wider["en-de"]["decoder.0"]) == [1, 3]


def test_lape_ranks_all_sites_of_a_side_together(make_activations: Make) -> None:
    acts = make_activations(
        {
            "en-de": {"decoder.0": [90, 80, 1, 1], "decoder.1": [50, 50, 1, 1]},
            "en-fr": {"decoder.0": [90, 0, 1, 1], "decoder.1": [50, 50, 1, 1]},
        }
    )
    masks = select_neurons(acts, LAPE(fraction=0.1, quantile=0.5))
    assert _indices(masks["en-de"]["decoder.0"]) == [1]
    assert not masks["en-de"]["decoder.1"].any()
    assert not masks["en-fr"]["decoder.0"].any()


def test_lape_compares_pooled_languages_once(make_activations: Make) -> None:
    """Ten directions that share a source don't outweigh another source."""
    many = {f"en-{code}": {"encoder.0": [8, 0, 4, 1]} for code in ("de", "fr", "it", "es")}
    few = {"de-en": {"encoder.0": [8, 8, 4, 1]}}
    masks = select_neurons(make_activations(many | few), LAPE(fraction=0.25, quantile=0.5), "language")
    assert _indices(masks["de-en"]["encoder.0"]) == [1]
    with pytest.raises(MaskError, match="two groups or more"):
        select_neurons(make_activations(many), LAPE(), "language")


def test_random_masks_keep_sizes_and_sharing(make_activations: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    bits = torch.rand(3, 200, generator=generator) < 0.3
    like = NeuronMasks.from_dict(
        {"en-de": {"encoder.0": bits[0], "decoder.0": bits[1]}, "en-fr": {"encoder.0": bits[0], "decoder.0": bits[2]}}
    )
    acts = make_activations({d: {s: [1] * 200 for s in like.sites} for d in like})
    masks = select_neurons(acts, Random(like, seed=1))
    assert masks != like
    for direction, sites in like.items():
        for site, mask in sites.items():
            assert masks[direction][site].sum() == mask.sum()
            kept = int((masks[direction][site] & mask).sum())
            assert kept < 0.6 * int(mask.sum())  # a third or so by chance
    assert masks["en-de"]["encoder.0"] is masks["en-fr"]["encoder.0"]
    assert masks == Random(like, seed=1).masks()
    assert masks != Random(like, seed=2).masks()


def test_counts_behind_a_gate_warn_and_name_magnitude(make_activations: Make) -> None:
    acts = make_activations({"en-de": {"layers.0": [3, 1]}, "en-fr": {"layers.0": [1, 3]}}, gated=True)
    for criterion in (CumulativeActivation(), TopFraction(0.5), LAPE(0.5, 0.5)):
        with pytest.warns(UserWarning, match='1 of 1 FFN sites are gated SiLU: .* use statistic="magnitude"'):
            select_neurons(acts, criterion)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select_neurons(acts, CumulativeActivation(statistic="magnitude"))
        select_neurons(make_activations({"en-de": {"layers.0": [3, 1]}}), CumulativeActivation())


def test_info_tells_the_origin(make_activations: Make) -> None:
    masks = select_neurons(make_activations(TWO_WAYS), CumulativeActivation(0.9))
    assert masks.info.coverage == 0.9
    assert masks.info.fingerprint == "f" * 32
    assert "CumulativeActivation(coverage=0.9" in (masks.info.criterion or "")


def test_the_registry_refuses_duplicates_and_lists_names() -> None:
    assert CRITERIA.get("cumulative") is CumulativeActivation
    register_criterion("mine", TopFraction)
    try:
        assert CRITERIA.get("mine") is TopFraction
        with pytest.raises(RecipeError, match="'mine' is registered already"):
            register_criterion("mine", LAPE)
    finally:
        CRITERIA.remove("mine")
    with pytest.raises(RecipeError, match="did you mean 'random'. Valid: cumulative"):
        CRITERIA.get("randm")


@dataclass(frozen=True)
class AtLeast(Criterion):
    """A criterion of a user's own: the neurons that fire at `least` positions."""

    least: int
    statistic: Statistic = "count"

    def select(self, pool: Pool) -> Selected:
        return {
            str(direction): {site: by[pool.group(direction, site)] >= self.least for site, by in pool.values.items()}
            for direction in pool.directions
        }


CORPUS = CorpusSettings.model_validate({"train": {"reader": "catalogs"}, "languages": ["de"]})


def settings_of(**values: object) -> SelectionSettings:
    return SelectionSettings.model_validate(values)


def test_a_criterion_of_ones_own_is_named_in_a_recipe(make_activations: Make) -> None:
    register_criterion("at_least")(AtLeast)
    try:
        masks = select_masks(
            make_activations({"en-de": {"encoder.0": [5, 1, 3], "decoder.0": [0, 2, 2]}}),
            settings_of(criterion="at_least", parameters={"least": 3}),
            CORPUS,
        )
        assert masks["en-de"]["encoder.0"].tolist() == [True, False, True]
        with pytest.raises(ValidationError, match="criterion at_least needs least"):
            settings_of(criterion="at_least")
        with pytest.raises(ValidationError, match="has no 'lest' there; did you mean 'least'"):
            settings_of(criterion="at_least", parameters={"lest": 3})
    finally:
        CRITERIA.remove("at_least")


def test_every_criterion_is_built_from_a_recipes_section(make_activations: Make) -> None:
    built = {
        "cumulative": ({"coverage": {"encoder": 0.9, "decoder/out": 0.8, "decoder": 0.7}, "statistic": "magnitude"},
                       CumulativeActivation({"encoder": 0.9, "decoder/out": 0.8, "decoder": 0.7}, "magnitude", "en")),
        "top_fraction": ({"fraction": 0.25}, TopFraction(0.25, pivot="en")),
        "lape": ({"fraction": 0.05, "parameters": {"quantile": 0.5}}, LAPE(0.05, 0.5)),
        "exclusive": ({"fraction": {"encoder/out": 0.2, "encoder": 0.1}, "parameters": {"quantile": 0.9}},
                      Exclusive({"encoder/out": 0.2, "encoder": 0.1}, 0.9, pivot="en")),
        "mutual_information": ({}, MutualInformation(pivot="en")),
        "random": ({"coverage": 0.5, "parameters": {"seed": 3}}, Random(CumulativeActivation(0.5, pivot="en"), 3)),
        "magnitude": ({"parameters": {"like": "lape"}}, WeightMagnitude(LAPE())),
        "union": ({"coverage": 0.5, "statistic": "magnitude", "parameters": {"of": ["cumulative", "lape"]}},
                  Union([CumulativeActivation(0.5, "magnitude", "en"), LAPE(statistic="magnitude")])),
        "difference": ({"parameters": {"of": [{"criterion": "top_fraction", "fraction": 0.5}, "lape"]}},
                       Difference([TopFraction(0.5, pivot="en"), LAPE()])),
    }  # fmt: skip
    assert set(built) == set(CRITERIA)
    for name, (values, expected) in built.items():
        settings = settings_of(criterion=name, **values)
        assert CRITERIA.get(name).from_settings(settings, "en") == expected
    acts = make_activations(TWO_WAYS)
    settings = settings_of(criterion="random", coverage=0.5)
    like = select_neurons(acts, CumulativeActivation(0.5))
    drawn = select_masks(acts, settings, CORPUS)
    assert drawn == Random(like, seed=1).masks()


def test_parameters_that_a_criterion_doesnt_have_are_refused() -> None:
    for values, message in [
        (
            {"fraction": 0.5},
            "criterion cumulative has no fraction; top_fraction, lape, exclusive, mutual_information have",
        ),
        ({"criterion": "top_fraction"}, "criterion top_fraction needs fraction"),
        ({"criterion": "lape", "parameters": {"quantil": 0.9}}, "has no 'quantil' there; did you mean 'quantile'"),
        ({"criterion": "lape", "parameters": {"fraction": 0.9}}, "it is the key selection.fraction"),
        ({"criterion": "cumulative", "parameters": {"seed": 1}}, "has no 'seed' there; it has none"),
        ({"criterion": "lape", "parameters": {"quantile": 2}}, "quantile is 2: expected a number above 0"),
        ({"criterion": "lape", "parameters": {"quantile": "abc"}}, "quantile is 'abc': expected a number above 0"),
        *(
            ({"criterion": "random", "parameters": {"seed": seed}}, "it should be a whole number from 0, below 2^63")
            for seed in ("abc", -1, math.inf, math.nan, 2**63, True, None)
        ),
        ({"coverage": {"encoder": 2}}, "less than or equal to 1"),
        ({"criterion": "lappe"}, "did you mean 'lape'"),
    ]:
        with pytest.raises(ValidationError, match=re.escape(message)):
            settings_of(**values)


def test_recipes_are_checked_without_torch() -> None:
    code = """
import sys
from neuronspec.neurons.registry import CRITERIA
from neuronspec.neurons.settings import SelectionSettings
for name in CRITERIA:
    needed = {"top_fraction": {"fraction": 0.5}, "union": {"parameters": {"of": ["lape", "cumulative"]}}}
    needed["difference"] = needed["union"]
    SelectionSettings(criterion=name, **needed.get(name, {}))
sys.exit("torch is imported" if "torch" in sys.modules else 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("family", "statistic"),
    [("m2m100", "count"), ("t5", "count"), ("opt", "count"), ("nemotron", "count"), ("mbart", "magnitude"),
     ("marian", "magnitude"), ("t5-gated", "magnitude"), ("llama", "magnitude"), ("gemma2", "magnitude"),
     ("gpt2", "magnitude")],
)  # fmt: skip
def test_a_recipe_selects_by_what_fits_the_model(family: str, statistic: str) -> None:
    """A count is what the paper uses, behind ReLU; elsewhere the sign of a value says little."""
    model = build_family(family)
    batches = [Batch(name, padded_inputs(model, seed=seed)) for seed, name in enumerate(("en-de", "de-en"))]
    acts, corpus = record_activations(model, batches), toy_recipe().corpus
    assert acts.statistic == statistic
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = select_masks(acts, SelectionSettings(), corpus)
    assert found == select_neurons(acts, CumulativeActivation(0.95, statistic=statistic))
    assert f"statistic={statistic!r}" in str(found.info.criterion)
    for criterion in ("lape", "random", "top_fraction"):
        fraction = {"fraction": 0.5} if criterion == "top_fraction" else {}
        masks = select_masks(acts, SelectionSettings(criterion=criterion, **fraction), corpus)
        assert f"statistic={statistic!r}" in str(masks.info.criterion)
    other = "count" if statistic == "magnitude" else "magnitude"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = select_masks(acts, SelectionSettings(statistic=other), corpus)
    assert f"statistic={other!r}" in str(chosen.info.criterion)
