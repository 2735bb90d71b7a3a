"""Intervals: exact in known cases, and wider by what units share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neuronspec.scoring.intervals import correlation, over_both, over_sentences, over_units

RANDOM = np.random.default_rng(4)


def test_units_that_share_nothing_have_students_interval() -> None:
    values = [0.2, 0.9, 0.4, 0.6]
    found = over_units(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval()
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.excludes_zero == (expected.low > 0)


def test_one_unit_says_nothing_of_others() -> None:
    assert over_units([1.0]) is None
    assert over_both(np.ones((1, 5))) is None and over_both(np.ones((5, 1))) is None


def test_equal_values_have_no_width() -> None:
    found = over_units([0.0, 0.0, 0.0], np.zeros((3, 50)), 20)
    assert found is not None and (found.low, found.high) == (0, 0) and not found.excludes_zero


def test_what_units_share_widens_the_interval() -> None:
    values = [0.9, 1.0, 1.1, 1.0]
    shared = RANDOM.normal(0, 0.5, size=500) + RANDOM.normal(0, 0.05, size=(4, 500))
    apart, together = over_units(values), over_units(values, shared, 200)
    assert apart is not None and together is not None
    assert together.high - together.low > 4 * (apart.high - apart.low)
    # twice the standard deviation of what is shared, on either side
    assert together.high - together.low == pytest.approx(4 * 0.5, rel=0.2)
    own = over_units(values, RANDOM.normal(0, 0.05, size=(4, 500)), 200)
    assert own is not None and own.high - own.low == pytest.approx(apart.high - apart.low, rel=0.3)


def test_other_sentences_are_told_by_the_resamples() -> None:
    found = over_sentences(1.0, RANDOM.normal(1.0, 0.1, size=4000), 2000)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(1 - 0.196, abs=0.01), pytest.approx(1 + 0.196, abs=0.01))
    few = over_sentences(1.0, RANDOM.normal(1.0, 0.1, size=4000), 10)
    assert few is not None and few.high > found.high, "few sentences"


def test_two_kinds_of_units_are_both_covered() -> None:
    rows, columns = RANDOM.normal(0, 1, size=12), RANDOM.normal(0, 0.01, size=4)
    found = over_both(rows[:, None] + columns)
    one = over_units(list(rows + columns.mean()))
    assert found is not None and one is not None
    assert found.high - found.low == pytest.approx(one.high - one.low, rel=0.05), "the rows are what matters"
    both = over_both(rows[:, None] + RANDOM.normal(0, 1, size=4))
    assert both is not None and both.high - both.low > 1.2 * (one.high - one.low)


def test_correlation_is_the_mean_of_the_pairs() -> None:
    common, own = RANDOM.normal(size=20_000), RANDOM.normal(size=(3, 20_000))
    found = correlation(0.3**0.5 * common + 0.7**0.5 * own)
    assert found == pytest.approx(0.3, abs=0.03)
    assert correlation(own[:1]) is None
    assert correlation(np.zeros((3, 10))) is None, "no two of them vary"
