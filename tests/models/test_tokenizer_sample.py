"""Temperature sampling of the tokenizer's training text."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from neuronspec.models.tokenizer_sample import sample, sample_sizes


def test_sizes_follow_the_temperature() -> None:
    available = {"en": 10_000, "de": 10_000, "af": 100}
    assert sample_sizes(available, 1, 10**9) == available
    sizes = sample_sizes(available, 5, 10**9)
    assert sizes["en"] == sizes["de"] and sizes["en"] / sizes["af"] == pytest.approx(100 ** (1 / 5), rel=1e-3)
    assert sum(sizes.values()) == pytest.approx(20_100, abs=3)


def test_sizes_are_limited_and_skip_empty_languages() -> None:
    sizes = sample_sizes({"en": 900, "de": 100, "xx": 0}, 1, 100)
    assert sizes == {"en": 90, "de": 10}


def test_the_sample_is_spread_evenly_and_repeats_what_is_rare() -> None:
    rows = [pa.record_batch({"en": [f"e{i}", None], "de": [None, f"d{i}"]}) for i in range(100)]
    taken = Counter(sample(rows, {"en": 100, "de": 100}, {"en": 25, "de": 250}))
    assert sum(count for text, count in taken.items() if text[0] == "e") == 25
    assert {taken[f"d{i}"] for i in range(100)} == {2, 3}
    assert [text for text in taken if text[0] == "e"] == [f"e{i}" for i in range(3, 100, 4)]
    assert taken == Counter(sample(rows, {"en": 100, "de": 100}, {"en": 25, "de": 250}))
