"""The sentences of the summary say what the numbers say."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.helpers.fake_run import changed, fake_run

from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, compute
from neuronspec.report.page.lead import lead_sentences
from neuronspec.report.page.summary import (
    adaptation_told,
    causes_told,
    neurons_told,
    scores_told,
    structure_told,
)

SMALL = {"Germanic": ["de", "nl"], "Romance": ["fr"]}


def summary_sentences(data: ReportData, numbers: Numbers) -> list[str]:
    """All that the sections of a report say."""
    results, ablations = data.results, data.findings.ablation if data.findings else []
    scores = [*scores_told(results), *adaptation_told(results)] if results is not None else []
    causes = [sentence for ablation in ablations for sentence in causes_told(ablation)]
    return [*scores, *neurons_told(data, numbers), *structure_told(numbers), *causes]


def with_scores(arms: dict[str, dict[str, float]]) -> ReportData:
    """A run with these chrF++ by arm and direction."""
    data = fake_run(SMALL)
    scores = {
        arm: {name: {"bleu": 1.0, "chrf++": score, "loss": 1.0, "n": 9} for name, score in by_direction.items()}
        for arm, by_direction in arms.items()
    }
    return dataclasses.replace(data, results=changed(data.results, arms=scores))


def sentences(arms: dict[str, dict[str, float]], masks: NeuronMasks | None = None) -> str:
    """The summary of a run with these chrF++ by arm and direction."""
    data = with_scores(arms)
    chosen = masks or data.masks
    return " ".join(summary_sentences(dataclasses.replace(data, masks=chosen), compute(chosen, "en", {})))


def opening(arms: dict[str, dict[str, float]]) -> str:
    """How the report of such a run opens."""
    data = with_scores(arms)
    return " ".join(lead_sentences(data, compute(data.masks, "en", {})))


def test_who_is_ahead_and_in_how_many() -> None:
    names = ["de-en", "en-de", "en-fr"]
    text = sentences(
        {
            "specialized": dict.fromkeys(names, 40.0),
            "dense": {"de-en": 42.0, "en-de": 45.5, "en-fr": 39.0},
            "random": dict.fromkeys(names, 39.0),
        }
    )
    assert "Specialized is 2.17 chrF++ below dense on average, better in 1 of 3 directions" in text
    assert "Specialized is 1.00 chrF++ above random on average, better in 3 of 3 directions" in text
    assert "too little trained" not in text


def test_equal_arms_are_neither_above_nor_below() -> None:
    scores = {arm: {"en-de": 40.0} for arm in ("specialized", "dense")}
    assert "Specialized is equal to dense on average, better in 0 of 1 directions" in sentences(scores)
    assert "; specialized is equal to dense (not tested)" in opening(scores)


def test_only_a_baseline_is_held_against_copying() -> None:
    specialized, copy = {"en-de": 40.0}, {"en-de": 5.0}
    assert "baseline" not in opening({"copy": copy, "specialized": specialized})
    assert "no better than copying" in opening({"copy": copy, "base": copy, "specialized": specialized})


def test_a_baseline_below_copy_gives_no_verdict() -> None:
    assert "no better than copying" in sentences({"copy": {"en-de": 20.0}, "base": {"en-de": 12.0}})
    assert "no better than copying" not in sentences({"copy": {"en-de": 10.0}, "base": {"en-de": 12.0}})


def masks_with(overlaps: list[tuple[int, int]]) -> NeuronMasks:
    """For each decoder layer of 100 neurons: masks of `size` neurons, of which `common` are shared by any two."""
    masks: dict[str, dict[str, torch.Tensor]] = {"en-de": {}, "en-fr": {}}
    for layer, (size, common) in enumerate(overlaps):
        place = torch.arange(100)
        masks["en-de"][f"decoder.{layer}"] = place < size
        masks["en-fr"][f"decoder.{layer}"] = (place >= size - common) & (place < 2 * size - common)
    return NeuronMasks.from_dict(masks)


@pytest.mark.parametrize(
    ("overlaps", "expected"),
    [
        ([(50, 40), (50, 20)], "falls from 0.67 in the first layer to 0.25 in the last; "),
        ([(50, 40), (50, 20)], "The neurons grow more language-specific."),
        ([(50, 20), (50, 40)], "The neurons grow more language-agnostic."),
        (
            [(50, 40), (50, 40)],
            "stays the same from 0.67 in the first layer to 0.67 in the last; random neurons would ",
        ),
        ([(70, 60), (20, 15)], "Above chance the overlap rises: the change comes from sparser layers."),
        ([(20, 15), (70, 60)], "Above chance the overlap falls: the change comes from denser layers."),
    ],
)
def test_progression_is_held_against_chance(overlaps: list[tuple[int, int]], expected: str) -> None:
    assert expected in sentences({"base": {"en-de": 12.0}}, masks_with(overlaps))


def test_sparsity_is_told() -> None:
    data = fake_run(SMALL)
    assert f"leave out {data.masks.sparsity():.0%} of" in sentences({"base": {"en-de": 1.0}})


def test_families_and_causes_are_told_with_their_tests() -> None:
    data = fake_run()
    numbers = compute(data.masks, "en", data.families, data.activations)
    text = " ".join(summary_sentences(data, numbers))
    assert (
        "of 3 decoder layers (equally many of the most active neurons compared; permutation test, p < 0.05 af" in text
    )
    assert (
        "changes its loss by +0.500 nats per token on average; as many of another direction's change it by +0.100"
        in text
    )
    assert "+0.400 nats more than another direction's (95% interval for other directions +0.400 to +0.400)" in text
    assert "+0.450 nats more than random ones" in text and "mean over 25 directions." in text
    assert "Its own cost more than another's in 25 of them." in text


def test_without_results_there_is_no_word_of_arms() -> None:
    data = dataclasses.replace(fake_run(SMALL), results=None, findings=None)
    text = " ".join(summary_sentences(data, compute(data.masks, "en", data.families)))
    assert "chrF++" not in text and "Turning off" not in text and "leave out" in text


@pytest.mark.parametrize(("low", "high", "verdict"), [(0.2, 1.8, "beyond chance"), (-0.3, 2.3, "not beyond chance")])
def test_the_interval_is_told_where_there_is_one(low: float, high: float, verdict: str) -> None:
    data = fake_run(SMALL)
    bounds = {"these_directions": {"low": 0.6, "high": 1.4}, "other_directions": {"low": low, "high": high}}
    entry = {"directions": {}, "average": {"difference": 1.0, "n": 6, "of": 6, **bounds}}
    pairs = {"specialized": {"dense": {"chrf++": entry}}}
    results = changed(data.results, significance={"method": {}, "pairs": pairs})
    numbers = compute(data.masks, "en", data.families)
    text = " ".join(summary_sentences(dataclasses.replace(data, results=results), numbers))
    assert "(one seed; beyond chance for other sentences in these directions (95% interval +0.60 to +1.40); " in text
    assert f"; {verdict} for other directions of this kind (95% interval {low:+.2f} to {high:+.2f}))" in text
    assert "random on average, better in" in text and "no significance test" in text


def test_an_adaptation_is_told_by_gain_and_change() -> None:
    data = fake_run()
    assert data.results is not None
    adapted = sorted(data.results.arms["base"])[:2]
    changed_results = changed(data.results, adapted=adapted)
    numbers = compute(data.masks, "en", data.families)
    text = " ".join(summary_sentences(dataclasses.replace(data, results=changed_results), numbers))
    assert f"trained on 2 of these directions ({', '.join(adapted)}); in chrF++ over base: specialized +" in text
    assert text.count(" there, ") == len(data.results.arms) - 2
    assert "elsewhere" not in " ".join(summary_sentences(data, numbers))


def test_a_report_opens_with_what_was_run_what_wins_and_what_the_neurons_show() -> None:
    data = dataclasses.replace(fake_run(), about="On 1 May 2026, a model was trained.")
    assert data.results is not None
    bounds = {"low": 0.2, "high": 1.8}
    entry = {"directions": {}, "average": {"difference": 0.9, "n": 50, "of": 50, "other_directions": bounds}}
    pairs = {"specialized": {"dense": {"chrf++": entry}}}
    data = dataclasses.replace(data, results=changed(data.results, significance={"method": {}, "pairs": pairs}))
    run, outcome, neurons = lead_sentences(data, compute(data.masks, "en", data.families, data.activations))
    assert run == data.about
    assert outcome.startswith("The arm specialized scores best on average: chrF++ ") and "(base " in outcome
    assert "above dense (95% interval for other directions +0.20 to +1.80: beyond chance), and " in outcome
    assert "above random (not tested)" in outcome and outcome.endswith(". This is one training seed.")
    assert f"A direction uses {1 - data.masks.sparsity():.0%} of the feed-forward neurons on average; " in neurons
    assert "costs a direction more than another's: +0.400 nats in the decoder, 95% +0.400 to +0.400." in neurons
    assert "of 6 layers (p < 0.05)" in neurons


def test_without_results_a_report_opens_with_the_neurons() -> None:
    data = dataclasses.replace(fake_run(SMALL), results=None, findings=None)
    (neurons,) = lead_sentences(data, compute(data.masks, "en", data.families))
    assert "feed-forward neurons" in neurons
