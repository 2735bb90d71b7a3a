"""Gain at equal forgetting: frontiers by hand, and their intervals."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.report.paper.frontier import frontier_figure
from neuronspec.sweep.frontier import Frontier, Point, frontiers
from neuronspec.sweep.sweep_results import SweepResults
from neuronspec.sweep.sweep_tables import frontier_table


def point(label: str, gain: float, forgetting: float, spread: float = 0.0, seed: int = 0) -> Point:
    """Three trainings, two adapted directions and four others, around these means."""
    draw = np.random.default_rng(seed)

    def around(mean: float, directions: int) -> np.ndarray:
        noise = draw.normal(0, spread, (3, directions)) if spread else np.zeros((3, directions))
        return mean + noise - noise.mean()

    return Point(label, around(gain, 2), around(-forgetting, 4))


def test_a_frontier_by_hand() -> None:
    frontier = Frontier(
        "dense", (point("slow", 1.0, 0.1), point("fast", 3.0, 1.1), point("worse", 0.9, 0.4), point("burnt", 2.0, 4.0))
    )
    assert [each.label for each in frontier.best] == ["base", "slow", "fast"]
    gains = {budget: frontier.at(budget).gain for budget in (-1.0, 0.0, 0.05, 0.1, 0.6, 1.1, 9.0)}
    assert gains == pytest.approx({-1.0: 0.0, 0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.6: 2.0, 1.1: 3.0, 9.0: 3.0})
    assert frontier.at(0.6).labels == ("slow", "fast") and frontier.at(9.0).labels == ("fast",)


def test_a_method_that_helps_the_others_too_gains_without_forgetting() -> None:
    frontier = Frontier("replay", (point("half", 2.0, -0.5), point("none", 4.0, 0.5)))
    assert [each.label for each in frontier.best] == ["half", "none"]
    assert frontier.at(0.0).gain == pytest.approx(3.0)


@given(
    st.lists(st.tuples(st.floats(-2, 5), st.floats(-2, 5)), min_size=1, max_size=8), st.floats(-3, 6), st.floats(0, 3)
)
def test_a_larger_budget_never_gains_less(points: list[tuple[float, float]], budget: float, more: float) -> None:
    frontier = Frontier("any", tuple(point(str(place), *each) for place, each in enumerate(points)))
    best = frontier.best
    assert frontier.at(budget).gain <= frontier.at(budget + more).gain + 1e-9
    assert all(one.forgetting <= other.forgetting and one.gain < other.gain for one, other in pairwise(best))
    for each in frontier.points:
        assert frontier.at(each.forgetting).gain >= each.gain - 1e-9


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Two methods with the same true frontier, from noisy trainings and directions."""
    covered, excluded, trials = 0, 0, 300
    draw = np.random.default_rng(5)

    def noisy(mean: float, size: tuple[int, int], seeds: np.ndarray, directions: np.ndarray) -> np.ndarray:
        return mean + seeds[:, None] + directions[None] + draw.normal(0, 0.1, size)

    for _ in range(trials):
        adapted, others = draw.normal(0, 0.3, 6), draw.normal(0, 0.1, 8)
        made = [
            Frontier(
                name,
                tuple(
                    Point(
                        label,
                        noisy(gain, (3, 6), draw.normal(0, 0.1, 3), adapted),
                        noisy(-forgetting, (3, 8), draw.normal(0, 0.05, 3), others),
                    )
                    for label, gain, forgetting in (("slow", 1.0, 0.2), ("fast", 2.0, 0.7))
                ),
            )
            for name in ("one", "other")
        ]
        at = [frontier.at(0.5) for frontier in made]
        assert at[0].interval is not None
        covered += at[0].interval.low <= 1.6 <= at[0].interval.high
        _, interval = at[0].minus(at[1])
        assert interval is not None
        excluded += interval.excludes_zero
    assert covered / trials > 0.92 and excluded / trials < 0.08


def test_one_training_has_no_interval() -> None:
    one = Frontier("one", (Point("x", np.ones((1, 2)), -np.ones((1, 3))),))
    assert one.at(0.5).interval is None


def test_trainings_are_paired_by_their_seeds_and_some_may_be_missing() -> None:
    noise = np.array([0.0, 0.3, -0.2, 0.5])

    def made(label: str, gain: float, seeds: tuple[int, ...]) -> Point:
        gains = (gain + noise[list(seeds)])[:, None] + np.array([[0.1, -0.1]])
        return Point(label, gains, np.array([[-0.3, -0.1]] * len(seeds)), seeds)

    for missing in ((0, 1, 2), (1, 2, 3)):  # of either point
        points = made("slow", 0.5, missing), Point("fast", np.full((4, 2), 2.0), np.full((4, 2), -1.0), (0, 1, 2, 3))
        for order in (points, points[::-1]):
            at = Frontier("one", order).at(0.6)
            assert at.gain == pytest.approx((points[0].gain + 2) / 2) and tuple(at.by_training) == missing
            assert at.interval is not None
    one, other = (Frontier("any", (made("x", 1.0, seeds),)).at(0.5) for seeds in ((0, 1, 2), (3, 2, 1)))
    value, interval = one.minus(other)
    assert interval is not None and interval.high - interval.low == pytest.approx(0)  # seeds 1 and 2 are the same
    assert one.minus(Frontier("any", (made("x", 1.0, (3,)),)).at(0.5))[1] is None
    assert value == pytest.approx(noise[:3].mean() - noise[1:].mean())


def test_seeds_on_one_baseline_are_no_replications() -> None:
    of_base = {1: 0.0, 2: 1.0}
    trained = [(base, seed) for base in (1, 2) for seed in (1, 2, 3)]
    entry = results().model_dump()["entries"]["half"] | {"trained": trained, "base_seeds": [1, 2], "seeds": [1, 2, 3]}
    gains = [2 + of_base[base] for base, _ in trained]
    entry["over_base"] = {"chrf++": {"en-de": gains, "de-en": gains} | {"en-fr": [0.1] * 6, "fr-en": [0.1] * 6}}
    for some in (entry, entry | {"trained": []}):  # older results don't say
        (found,) = frontiers(results(entries={"half": some}, base_seeds=[1, 2]))
        assert found.points[0].gains.tolist() == [[2, 2], [3, 3]]
        assert set(found.at(0.5).by_training) == {1, 2}


def test_the_reference_is_the_method_of_the_first_baseline() -> None:
    entries = results().model_dump()["entries"]
    named = {"plain+slow": entries["dense+slow"] | {"method": "training"}, "half": entries["half"]}
    table = frontier_table(results(entries=named, baselines=["plain"]))
    assert table is not None and table.columns[4] == "over training"


def results(**changes: Any) -> SweepResults:
    cost = {
        "trained_parameters": 1,
        "extra_parameters": 0,
        "prepare_seconds": 0.0,
        "update_seconds": 0.1,
        "peak_memory": 1,
    }

    def entry(method: str, gain: float, change: float) -> dict[str, Any]:
        over = {
            "en-de": [gain, gain + 0.1],
            "de-en": [gain, gain - 0.1],
            "en-fr": [change] * 2,
            "fr-en": [change - 0.1] * 2,
        }
        losses = {name: [value / 10 for value in values] for name, values in over.items()}
        return {
            "arm": "dense", "changes": {}, "seeds": [1, 2], "base_seeds": [], "means": {}, "validation": None,
            "sparsity": None, "cost": cost, "method": method, "over_base": {"chrf++": over, "loss": losses},
        }  # fmt: skip

    content = {
        "arms": {}, "signatures": {}, "environment": {}, "pivot": "en", "tiers": {}, "families": {}, "sweep": "toy",
        "directions": ["de-en", "en-de", "en-fr", "fr-en"], "adapted": ["de-en", "en-de"], "baselines": ["dense"],
        "base_seeds": [], "differences": {},
        "entries": {
            "dense+slow": entry("dense", 1.0, -0.15), "dense+fast": entry("dense", 2.0, -0.95),
            "half": entry("averaging", 0.5, 0.05), "third": entry("averaging", 1.5, -0.35),
        },
    }  # fmt: skip
    return SweepResults.model_validate(content | changes)


def test_results_of_a_sweep_have_its_name() -> None:
    found = results(recipe="name: demo\ncorpus: {}\n")
    assert repr(found).startswith("SweepResults(toy: ") and "corpus" not in found._repr_html_()


def test_the_table_of_a_sweep() -> None:
    found = frontiers(results())
    assert [(each.method, len(each.points)) for each in found] == [("dense", 2), ("averaging", 2)]
    table = frontier_table(results())
    assert table is not None
    assert table.columns[:5] == ["method", "points", "gain at 0", "95%", "over dense"]
    dense, averaging = table.rows
    assert dense[:3] == ["dense", "2", "+0.00"] and dense[4] == "" and averaging[2] == "+0.50"
    assert averaging[4].startswith("+0.50")
    losses = frontier_table(results(), "loss")
    assert losses is not None and losses.columns[5] == "gain at 0.05" and "nats per token" in losses.title
    assert losses.rows[0][2] == "+0.000" and losses.rows[1][2] == "+0.050"
    assert frontier_table(results(adapted=[])) is None


def test_the_picture_has_a_line_for_each_method() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    found = frontiers(results())
    figure = frontier_figure({each.method: (each.places(each.points), each.places(each.best)) for each in found})
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["dense", "averaging"]
    drawn = [line for line in axis.lines if line.get_linestyle() == "None"]
    assert [len(line.get_xdata()) for line in drawn] == [2, 2]
