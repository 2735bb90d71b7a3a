"""Scoring the translations of an arm: once, and again only where something changed; off-target, detokenised text."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuronspec.core.errors import EvaluationError, MissingExtraError, RecipeError
from neuronspec.core.files import write_text
from neuronspec.evaluation import scorer as scoring
from neuronspec.evaluation.results import DirectionScore, read_scores, write_scores
from neuronspec.evaluation.scorer import Scorer, check_scoring, score_arms
from neuronspec.scoring import langid
from neuronspec.scoring.settings import ScoreSettings

GERMAN = ["Das kleine Haus steht neben dem alten Baum.", "Niemand hat gestern das rote Boot gesehen."]
ENGLISH = ["The small house stands beside the old tree.", "Nobody saw the red boat yesterday."]


def arm(folder: Path, hypotheses: list[str]) -> Path:
    for part, lines in (("src", ENGLISH), ("hyp", hypotheses), ("ref", GERMAN)):
        write_text(folder / f"en-de.{part}", "".join(f"{line}\n" for line in lines))
    entry = DirectionScore(bleu=0, chrf=0, loss=2.5, n=2, truncated=1, signatures={})
    write_scores(folder, {"en-de": entry}, "made from")
    return folder


def count_scoring(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    real = scoring.score_with_statistics

    def watched(*arguments: object, **options: object) -> object:
        calls.append(1)
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "score_with_statistics", watched)
    return calls


def test_scored_once_and_again_where_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, calls = arm(tmp_path / "base", GERMAN), count_scoring(monkeypatch)
    plain = Scorer(ScoreSettings(off_target=False), [])
    first = score_arms(tmp_path, ["base"], plain)["base"][0]["en-de"]
    assert (first.bleu, first.loss, first.truncated, len(calls)) == (pytest.approx(100), 2.5, 1, 1)
    assert read_scores(folder, "made from")["en-de"] == first
    assert score_arms(tmp_path, ["base"], plain)["base"][0]["en-de"] == first and len(calls) == 1
    resampled = Scorer(ScoreSettings(off_target=False, resamples=7), [])
    assert score_arms(tmp_path, ["base"], resampled)["base"][0]["en-de"] == first and len(calls) == 1
    without = Scorer(ScoreSettings(off_target=False, ter=False), [])
    assert score_arms(tmp_path, ["base"], without)["base"][0]["en-de"].get("ter") is None and len(calls) == 2
    write_text(folder / "en-de.hyp", "eins\nzwei\n")
    assert score_arms(tmp_path, ["base"], without)["base"][0]["en-de"].bleu == 0 and len(calls) == 3
    (folder / "en-de.statistics.safetensors").unlink()
    score_arms(tmp_path, ["base"], without)
    assert len(calls) == 4
    assert score_arms(tmp_path, ["absent"], without) == {"absent": ({}, {})}


def test_off_target_among_the_languages_of_the_recipe() -> None:
    pytest.importorskip("py3langid")
    scorer = Scorer(ScoreSettings(), ["en", "de", "pt_BR"])
    found = scorer.score([GERMAN[0], ENGLISH[1]], GERMAN, "de").scores
    assert (found["off_target"].value, found["off_target_reference"].value) == (50, 0)
    assert found["off_target"].n == 2
    assert found["off_target"].signature.startswith("py3langid ")
    assert found["off_target"].signature.endswith("|languages:de,en,pt")
    empty = scorer.score(["", GERMAN[1]], GERMAN, "de").scores
    assert (empty["off_target"].value, empty["off_target"].n, empty["empty"].value) == (0, 1, 1)
    assert "off_target" not in scorer.score(["", ""], GERMAN, "de").scores


def test_off_target_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("py3langid")
    unknown = Scorer(ScoreSettings(), ["en", "de", "ti"])
    assert unknown.skipped["off_target"] == "py3langid can't distinguish: ti"
    assert "off_target" not in unknown.score(GERMAN, GERMAN, "ti").scores
    assert "off_target" in unknown.score(GERMAN, GERMAN, "de").scores
    alone = Scorer(ScoreSettings(), ["de"])
    assert "off_target" not in alone.score(GERMAN, GERMAN, "de").scores

    def absent() -> None:
        raise MissingExtraError("py3langid", "langid", "the off-target rate")

    monkeypatch.setattr(langid, "_load", absent)
    scorer = Scorer(ScoreSettings(), ["en", "de"])
    assert "pip install 'neuronspec[langid]'" in scorer.skipped["off_target"]
    assert "off_target" not in scorer.score(GERMAN, GERMAN, "de").scores
    assert "off_target" not in Scorer(ScoreSettings(off_target=False), ["en", "de"]).skipped


def test_detokenised_text_is_the_papers() -> None:
    pytest.importorskip("sacremoses")
    from neuronspec.scoring.detokenise import detokenised

    lines = ["The jet crashed at 9:30 am (0230 UTC), and/or later."]
    assert detokenised(lines, "en") == ["The jet crashed at 9: 30 am (0230 UTC), and / or later."]
    assert detokenised(detokenised(lines, "en"), "en") == detokenised(lines, "en")
    raw = Scorer(ScoreSettings(off_target=False, ter=False), []).score(lines, detokenised(lines, "en"), "en").scores
    same = Scorer(ScoreSettings(off_target=False, ter=False, detokenise=True), [])
    round_trip = same.score(lines, detokenised(lines, "en"), "en").scores
    assert raw["chrf++"].value < 99 and round_trip["chrf++"].value == pytest.approx(100)
    assert "|moses:sacremoses-" in round_trip["bleu"].signature and "moses" not in raw["bleu"].signature


def test_check_scoring_comes_before_long_work(tmp_path: Path) -> None:
    check_scoring(ScoreSettings(), ["de", "zh"])
    with pytest.raises(EvaluationError, match="not a COMET checkpoint"):
        check_scoring(ScoreSettings(comet=tmp_path), ["de"])
    with pytest.raises(RecipeError, match="no BLEU tokenizer for 'xx'"):
        check_scoring(ScoreSettings(), ["de", "xx"])


def test_runs_of_version_0_1_keep_their_scores_and_signatures(tmp_path: Path) -> None:
    old = Scorer(ScoreSettings(off_target=False), ["zh", "en", "th"], ["zh", "th"], uniform=True)
    new = Scorer(ScoreSettings(off_target=False), ["zh", "en", "th"], ["zh", "th"])
    lines = ["我们今天去公园。"], ["我们今天去学校。"]
    assert old.skipped == {} and set(new.skipped) == {"ter"}
    assert (old.score(*lines, "zh").scores["ter"].value, new.score(*lines, "zh").scores["ter"].value) == (100, 25)
    assert "asian:no" in old.score(*lines, "zh").scores["ter"].signature
    assert "ter" in old.score(*lines, "th").scores and "ter" not in new.score(*lines, "th").scores
    assert old.fingerprint([], *lines) != new.fingerprint([], *lines)
