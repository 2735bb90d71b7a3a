"""Paired tests: the p-values of sacreBLEU's own, ties, calibration, Holm's correction."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from neuronspec.scoring import resampling
from neuronspec.scoring.resampling import PairedTests, holm
from neuronspec.scoring.score import score_with_statistics
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Statistics

WORDS = "the a small old red boat house tree stands sinks by near lake hill and slowly today again".split()  # noqa: SIM905


def sentences(draw: random.Random, count: int) -> list[str]:
    return [" ".join(draw.choices(WORDS, k=draw.randint(4, 12))) for _ in range(count)]


def damaged(draw: random.Random, lines: list[str], share: float) -> list[str]:
    return [" ".join(draw.choice(WORDS) if draw.random() < share else word for word in line.split()) for line in lines]


@pytest.fixture(scope="module")
def systems() -> dict[str, list[str]]:
    draw = random.Random(5)
    references = sentences(draw, 60)
    base = damaged(draw, references, 0.3)
    return {"ref": references, "base": base, "close": damaged(draw, base, 0.08), "worse": damaged(draw, base, 0.2)}


def statistics_of(systems: dict[str, list[str]]) -> dict[str, Statistics]:
    return {
        name: score_with_statistics(lines, systems["ref"], "en", ScoreSettings())[1]
        for name, lines in systems.items()
        if name != "ref"
    }


@pytest.mark.parametrize(("kind", "samples"), [("bs", 300), ("ar", 500)])
def test_p_values_are_those_of_sacrebleu(systems: dict[str, list[str]], kind: str, samples: int) -> None:
    named = [(name, systems[name]) for name in ("base", "close", "worse")]
    metrics = {"bleu": BLEU(force=True), "chrf++": CHRF(word_order=2), "ter": TER()}
    _, theirs = PairedTest(named, metrics, [systems["ref"]], test_type=kind, n_samples=samples)()
    pairs = [("close", "base"), ("worse", "base")]
    ours = PairedTests(statistics_of(systems), resamples=samples, trials=samples).compare(pairs)
    compared = 0
    for metric, name in (("bleu", "BLEU"), ("chrf++", "chrF2++"), ("ter", "TER")):
        scores = [result.score for result in theirs[name]]
        for index, pair in enumerate(pairs, start=1):
            test = ours[pair][metric]
            p = test.sacrebleu_bootstrap_p if kind == "bs" else test.p
            # a tie more or less: sacreBLEU computes in float32
            assert p == pytest.approx(theirs[name][index].p_value, abs=1.5 / (samples + 1)), (metric, pair)
            assert test.value == pytest.approx(scores[index] - scores[0], abs=1e-9)
            compared += 1
    assert compared == 6
    assert ours["worse", "base"]["bleu"].p < 0.01
    assert ours["close", "base"]["chrf++"].low <= ours["close", "base"]["chrf++"].value


def test_draws_in_parts_are_the_draws_undivided(systems: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PairedTests(statistics_of(systems), resamples=200, trials=200).compare([("close", "base")])
    monkeypatch.setattr(resampling, "CHUNK", 60 * 64)
    parts = PairedTests(statistics_of(systems), resamples=200, trials=200).compare([("close", "base")])
    assert parts == whole


def test_equal_systems_are_never_significant(systems: dict[str, list[str]]) -> None:
    same = dict(systems, twin=systems["base"])
    test = PairedTests(statistics_of(same), resamples=100, trials=100).compare([("twin", "base")])["twin", "base"]
    for found in test.values():
        assert (found.value, found.low, found.high, found.p, found.sacrebleu_bootstrap_p) == (0, 0, 0, 1, 1)


def test_one_changed_sentence_is_not_significant(systems: dict[str, list[str]]) -> None:
    # Every shuffle of a single differing sentence gives the same difference: sacreBLEU's p would be 1 / (trials + 1).
    one = dict(systems, one=["the the the the", *systems["base"][1:]])
    test = PairedTests(statistics_of(one), resamples=200, trials=200).compare([("one", "base")])["one", "base"][
        "chrf++"
    ]
    assert test.value != 0
    assert test.p == 1
    assert test.sacrebleu_bootstrap_p > 0.05


def test_the_p_of_marks_is_calibrated_and_sacrebleus_bootstrap_is_not() -> None:
    random, own, theirs = np.random.default_rng(3), [], []
    for _ in range(400):
        systems = {
            name: {"comet": np.stack([random.gamma(1.0, size=80), np.ones(80)], axis=1)} for name in ("one", "other")
        }
        test = PairedTests(systems, resamples=200, trials=400).compare([("one", "other")])["one", "other"]["comet"]
        own.append(test.p < 0.05)
        theirs.append(test.sacrebleu_bootstrap_p < 0.05)
    # 400 draws at 5%: a standard error of 1.1%
    assert 0.02 < np.mean(own) < 0.085
    assert np.mean(theirs) > 0.085


def test_holm_of_a_known_case() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})
    assert holm({}) == {}


def test_holm_corrects_in_the_order_given() -> None:
    found = holm({2: 0.01, 0: 0.04, 1: 0.03})
    assert list(found) == [2, 0, 1] and list(found.values()) == pytest.approx([0.03, 0.06, 0.06])
    assert holm({0: 0.5, 1: 0.9}) == {0: 1.0, 1: 1.0}


@given(st.dictionaries(st.text(max_size=3), st.floats(0.0001, 1), max_size=8))
def test_holm_only_raises_and_keeps_the_order(p_values: dict[str, float]) -> None:
    found = holm(p_values)
    assert list(found) == list(p_values)
    assert all(p_values[name] <= found[name] <= 1 for name in p_values)
    ordered = sorted(p_values, key=lambda name: p_values[name])
    assert all(found[one] <= found[two] for one, two in pairwise(ordered))
