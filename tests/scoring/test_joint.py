"""Sentences that directions share are drawn for all of them; the others each for itself."""

from __future__ import annotations

import numpy as np
import pytest

from neuronspec.scoring import joint
from neuronspec.scoring.joint import JointSamples
from neuronspec.scoring.pairwise import mean_difference
from neuronspec.scoring.statistics import Statistics
from neuronspec.sweep.differences import group_difference

RANDOM = np.random.default_rng(2)
SCORES = RANDOM.normal(size=80)


def rows(scores: np.ndarray) -> Statistics:
    return {"comet": np.stack([scores, np.ones(len(scores))], axis=1)}


SYSTEMS = {"one": {"en-de": rows(SCORES), "en-fr": rows(SCORES)}, "zero": {"en-de": rows(0 * SCORES)}}


def drawn(samples: JointSamples[str], name: str) -> np.ndarray:
    return samples.samples("one", name, "comet")


def test_shared_sentences_have_the_same_weight_everywhere() -> None:
    same = np.arange(80)
    samples = JointSamples(SYSTEMS, {"en-de": same, "en-fr": same})
    assert samples.shared and samples.sentences == 80
    np.testing.assert_allclose(drawn(samples, "en-de"), drawn(samples, "en-fr"))
    turned = {"one": {"en-de": rows(SCORES), "en-fr": rows(SCORES[::-1])}}
    again = JointSamples(turned, {"en-de": same, "en-fr": same[::-1].copy()})
    np.testing.assert_allclose(drawn(again, "en-de"), drawn(again, "en-fr"), err_msg="the order doesn't matter")


def test_without_shared_sentences_directions_are_independent() -> None:
    for ids in (None, {"en-de": np.arange(80), "en-fr": 100 + np.arange(80)}):
        samples = JointSamples(SYSTEMS, ids)
        assert not samples.shared and samples.sentences == 160
        assert abs(np.corrcoef(drawn(samples, "en-de"), drawn(samples, "en-fr"))[0, 1]) < 0.12


def test_test_sets_that_share_some_sentences_are_correlated_by_as_much() -> None:
    samples = JointSamples(SYSTEMS, {"en-de": np.arange(80), "en-fr": np.r_[np.arange(40), 100 + np.arange(40)]})
    assert samples.shared and samples.sentences == 120
    assert 0.2 < np.corrcoef(drawn(samples, "en-de"), drawn(samples, "en-fr"))[0, 1] < 0.8


def test_the_spread_is_that_of_the_mean() -> None:
    samples = JointSamples(SYSTEMS, resamples=4000)
    assert drawn(samples, "en-de").mean() == pytest.approx(SCORES.mean(), abs=0.01)
    assert drawn(samples, "en-de").std() == pytest.approx(SCORES.std() / 81**0.5, rel=0.06)
    np.testing.assert_allclose(samples.differences("one", "zero", "en-de", "comet"), drawn(samples, "en-de"))


def test_parts_are_the_draws_undivided(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(JointSamples(SYSTEMS, resamples=50), "en-fr")
    monkeypatch.setattr(joint, "CHUNK", 160 * 7)
    np.testing.assert_allclose(drawn(JointSamples(SYSTEMS, resamples=50), "en-fr"), whole)


def test_only_the_metrics_asked_for_are_drawn() -> None:
    both = {"one": {"en-de": rows(SCORES) | {"ter": rows(SCORES)["comet"]}}}
    samples = JointSamples(both, resamples=5, metrics=["ter"])
    assert len(samples.samples("one", "en-de", "ter")) == 5
    with pytest.raises(KeyError):
        samples.samples("one", "en-de", "comet")


def test_nothing_to_draw_is_no_error() -> None:
    samples: JointSamples[str] = JointSamples({}, {"en-de": np.arange(3)})
    assert (samples.sentences, samples.shared) == (0, False)


def test_numbers_of_other_sentences_are_refused() -> None:
    with pytest.raises(ValueError, match="en-de: 80 lines were scored, and 9 have a number"):
        JointSamples(SYSTEMS, {"en-de": np.arange(9), "en-fr": np.arange(80)})


def test_one_sentence_says_nothing_of_others() -> None:
    systems = {"one": {"en-de": rows(SCORES[:1]), "en-fr": rows(SCORES[1:2])}}
    for ids, known in ((dict.fromkeys(systems["one"], np.zeros(1, np.int64)), False), (None, True)):
        samples = JointSamples(systems, ids, resamples=20)
        drawn = np.stack([samples.samples("one", name, "comet") for name in systems["one"]])
        found = mean_difference([1.0, 2.0], drawn, samples, 2)
        assert (found.these_directions is not None, found.other_directions is not None) == (known, known)
        trained = group_difference(np.array([[1.0, 2.0], [2.0, 1.0]]), np.stack([drawn, drawn]), [0, 0], samples, 2)
        ends = trained.these_trainings, trained.other_trainings, trained.other_directions
        assert [bounds is not None for bounds in ends] == [known] * 3
