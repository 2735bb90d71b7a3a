"""Two experiments against each other: which directions are compared, and which test over seeds is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neuronspec.core.run_folder import RunFolder
from neuronspec.evaluation.compare import EvaluatedRun, compare_experiments
from neuronspec.evaluation.compare_tables import compare_tables
from neuronspec.evaluation.results import Results, write_scores
from neuronspec.evaluation.scorer import Scorer, score_direction
from neuronspec.scoring.settings import ScoreSettings


def evaluated(folder: Path, verb: str, directions: list[str], zero_shot: list[str]) -> EvaluatedRun:
    """A run whose arm `base` has translated five sentences of each direction."""
    evaluation = RunFolder(folder).evaluation("base")
    evaluation.mkdir(parents=True)
    scorer = Scorer(ScoreSettings(off_target=False), ["de", "en", "fr"], ["de"])
    scores = {}
    for name in directions:
        texts = [[f"{text} {number}" for number in range(5)] for text in ("source of", f"das {verb}", "das ist ein")]
        for part, lines in zip(("src", "hyp", "ref"), texts, strict=True):
            (evaluation / f"{name}.{part}").write_text("".join(f"{line}\n" for line in lines))
        scores[name] = score_direction(evaluation, name, texts, scorer, {"loss": 1.0, "n": 5, "truncated": 0})[0]
    write_scores(evaluation, scores, "made up")
    arms = {"base": {name: score.result() for name, score in scores.items()}}
    results = Results.model_validate(
        {"arms": arms, "signatures": {}, "environment": {}, "pivot": "en", "tiers": {}, "families": {},
         "directions": directions, "zero_shot": zero_shot}
    )  # fmt: skip
    return EvaluatedRun(folder, verb, 1, results)


def with_scores(**by_seed: float) -> list[EvaluatedRun]:
    """Runs of one experiment by seed (`s1=20.0`), with one score each."""
    runs = []
    for name, value in by_seed.items():
        arms = {"base": {"en-de": {"bleu": value, "chrf++": value, "loss": 1.0, "n": 5}}}
        results = Results.model_validate(
            {"arms": arms, "signatures": {}, "environment": {}, "pivot": "en", "tiers": {}, "families": {}}
        )
        runs.append(EvaluatedRun(Path(name), "made up", int(name[1:]), results))
    return runs


@pytest.mark.parametrize(
    "also, zero_shot",
    [(([], []), ([], [])), ((["de-fr"], ["de-fr"]), (["de-fr"], ["de-fr"])), (([], ["en-fr"]), ([], []))],
    ids=["the same", "both have a zero-shot direction", "one has a direction besides"],
)
def test_two_runs_are_compared_in_the_directions_that_both_trained(
    tmp_path: Path, also: tuple[list[str], list[str]], zero_shot: tuple[list[str], list[str]]
) -> None:
    first, second = (
        evaluated(tmp_path / verb, verb, ["en-de", *more], untrained)
        for verb, more, untrained in zip(("ist", "ist ein"), also, zero_shot, strict=True)
    )
    found = compare_experiments([first], [second], resamples=20, trials=20)
    assert found.directions == ["en-de"] and found.sentences is not None
    assert list(found.sentences["base"]["chrf++"].directions) == ["en-de"]


def test_runs_are_paired_by_seed_in_whatever_order_they_are_named() -> None:
    first = with_scores(s1=20.0, s2=25.0)
    expected = compare_experiments(first, with_scores(s1=21.0, s2=26.1))
    found = compare_experiments(first, with_scores(s2=26.1, s1=21.0))
    assert found.seeds is not None and found == expected
    assert found.seeds["base"]["bleu"].test == "paired t-test over seeds"
    assert found.second == ["s1", "s2"] and found.seeds["base"]["bleu"].second.values == [21.0, 26.1]


@pytest.mark.parametrize("value, p", [(20.0, 1.0), (21.0, 0.0)])
def test_values_that_no_seed_changes_have_a_p_value(value: float, p: float) -> None:
    """As a pretrained baseline's, which isn't trained."""
    found = compare_experiments(with_scores(s1=20.0, s2=20.0), with_scores(s3=value, s4=value))
    assert found.seeds is not None
    assert (found.seeds["base"]["bleu"].test, found.seeds["base"]["bleu"].p) == ("Welch's t-test over seeds", p)


def test_scores_that_were_computed_in_different_ways_are_not_compared(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def signed(run: EvaluatedRun, **signatures: str) -> EvaluatedRun:
        content = {metric: {"en-de": signature} for metric, signature in signatures.items()}
        return replace(run, results=run.results.model_copy(update={"signatures": content}))

    first, second = (
        signed(evaluated(tmp_path / verb, verb, ["en-de"], []), bleu=f"tok:{tokenizer}", **{"chrf++": "nw:2"})
        for verb, tokenizer in (("ist", "13a"), ("ist ein", "char"))
    )
    found = compare_experiments([first], [second], resamples=20, trials=20).sentences
    assert found is not None and "bleu" not in found["base"] and found["base"]["chrf++"].average is not None
    assert "bleu isn't compared" in caplog.text and "tok:13a, and tok:char" in caplog.text
    assert list(compare_tables(compare_experiments([first], [second], 20, 20))["bleu_by_direction"].rows[0]) == [
        "en-de", "–"
    ]  # fmt: skip
    runs = [[signed(run, bleu=tok) for run in with_scores(s1=20.0, s2=25.0)] for tok in ("13a", "char")]
    seeds = compare_experiments(*runs).seeds
    assert seeds is not None and list(seeds["base"]) == ["chrf++", "loss"]
    none = [signed(run, bleu=run.experiment, **{"chrf++": run.experiment}) for run in (first, second)]
    nothing = compare_experiments(none[:1], none[1:], 20, 20).sentences
    assert nothing is not None and not {"bleu", "chrf++"} & nothing["base"].keys()
