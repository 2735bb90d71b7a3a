"""Tiers, and the check that every direction has text."""

from __future__ import annotations

from collections import Counter

import pytest

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.counts import check_directions, resolve_tiers, rule_report, split_report, summary
from neuronspec.corpus.encode import PairCounts
from neuronspec.corpus.settings import CorpusSettings

SIZES = {"de": 50, "fr": 90, "nl": 50, "pl": 10, "af": 1}


def test_tiers_are_thirds_by_size_unless_given() -> None:
    assert resolve_tiers({}, list(SIZES), SIZES) == {"high": ["fr", "de"], "medium": ["nl", "pl"], "low": ["af"]}
    assert resolve_tiers({}, ["de", "fr"], SIZES) == {"high": ["fr"], "medium": ["de"]}
    given = {"low": ["fr"], "high": ["de", "nl"]}
    assert list(resolve_tiers(given, list(SIZES), SIZES).items()) == [("high", ["de", "nl"]), ("low", ["fr"])]


CORPUS = CorpusSettings.model_validate({"languages": ["de"], "train": {"reader": "tsv", "path": "text.tsv"}})


def counts(kept: int) -> PairCounts:
    return PairCounts(Counter({"rows": 10, "empty": 10 - kept}), kept, Counter({"de": 7, "en": 8}))


def test_both_directions_report_the_pair_they_share() -> None:
    report = split_report({"train": {("de", "en"): counts(4)}}, CORPUS)
    assert report["train"]["en-de"] == {
        "rows": 10, "dropped": {"empty": 6}, "kept": 4, "source_tokens": 8, "target_tokens": 7,
    }  # fmt: skip
    assert report["train"]["de-en"]["source_tokens"] == 7
    assert rule_report({"train": {("de", "en"): counts(4)}})["train"]["empty"] == 6


def test_directions_without_text_are_named_with_the_reason() -> None:
    full, none = {("de", "en"): counts(4)}, {("de", "en"): counts(0)}
    check_directions(split_report({"train": full, "valid": full, "test": full}, CORPUS))
    with pytest.raises(CorpusError, match="en-de: no valid pair; 10 rows, dropped: 10 empty") as caught:
        check_directions(split_report({"train": full, "valid": none, "test": none}, CORPUS))
    assert "no test pair" in str(caught.value) and "no train pair" not in str(caught.value)


def test_the_summary_is_text_in_a_notebook_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, rich would show it as a table of its own, and return nothing."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    shown: list[object] = []
    monkeypatch.setattr("rich.jupyter.display", lambda *parts: shown.append(parts))
    full = {("de", "en"): counts(4)}
    splits = split_report({"train": full, "valid": full, "test": full}, CORPUS)
    text = summary({"reader": "tsv", "pivot": "en", "splits": splits, "read": {"skipped": {}}})
    assert "en-de" in text and shown == []
