"""results.json: the contract, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neuronspec.core.errors import EvaluationError
from neuronspec.evaluation.results import DirectionScore, Results, write_results

FACTS: dict[str, Any] = {"recipe": "r", "pivot": "en", "tiers": {"high": ["de"]}, "families": {"de": "Germanic"}}


def made(chrf: float, loss: float | None = 2.5, tokenizer: str = "13a") -> DirectionScore:
    signatures = {"bleu": f"nrefs:1|tok:{tokenizer}", "chrf++": "nrefs:1|nw:2"}
    return DirectionScore(bleu=chrf / 2, chrf=chrf, loss=loss, n=100, signatures=signatures)


def cell_of(content: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = content["arms"]["base"]["en-de"]
    return cell


def test_results_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    arms = {"copy": {"en-de": made(10, loss=None)}, "base": {"en-de": made(40), "en-zh": made(30, tokenizer="zh")}}
    results = write_results(path, arms, FACTS)
    written = results.to_json()
    assert Results.load(path) == results and written == json.loads(path.read_text())
    assert list(written["arms"]) == ["copy", "base"]
    assert written["arms"]["base"]["en-de"] == {"bleu": 20.0, "chrf++": 40.0, "loss": 2.5, "n": 100, "truncated": 0}
    assert written["arms"]["copy"]["en-de"]["loss"] is None
    assert written["signatures"]["bleu"] == {"en-de": "nrefs:1|tok:13a", "en-zh": "nrefs:1|tok:zh"}
    assert {"python", "torch", "transformers", "sacrebleu", "neuronspec", "processor", "threads"} <= set(
        written["environment"]
    )
    assert written["pivot"] == "en"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_never_get_in(value: float) -> None:
    with pytest.raises(ValidationError):
        made(value)
    with pytest.raises(ValidationError):
        made(10, loss=value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: cell_of(content).update({"bleu": "good"}), r"base.en-de.bleu is 'good' and should be a"),
        (lambda content: cell_of(content).pop("chrf++"), r"arms.base.en-de.chrf\+\+ is missing"),
        (lambda content: cell_of(content).update({"loss": float("nan")}), r"NaN is no number"),
        (lambda content: content.pop("signatures"), r"signatures is missing"),
        (lambda content: content.update({"arms": []}), r"arms is \[\] and should be a mapping"),
    ],
)  # fmt: skip
def test_damaged_results_are_refused_with_the_place(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "results.json"
    content = write_results(path, {"base": {"en-de": made(40)}}, FACTS).to_json()
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=rf"results.json is damaged \(.*{message}"):
        Results.load(path)


def test_missing_and_half_written_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(EvaluationError, match=r"results.json is missing.*neuronspec evaluate"):
        Results.load(path)
    write_results(path, {"base": {"en-de": made(40)}}, FACTS)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(EvaluationError, match=r"damaged \(not JSON"):
        Results.load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EvaluationError, match="damaged"):
        Results.load(path)


@pytest.mark.parametrize("path", [Path(__file__).parents[1] / "fixtures" / "run_0_1" / "run" / "results.json"])
def test_a_file_of_version_0_1_is_read_and_written_as_it_was(path: Path) -> None:
    """But for its significance; see `test_old_significance`."""
    old, new = json.loads(path.read_text(encoding="utf-8")), Results.load(path).to_json()
    assert list(new) == list(old)
    assert json.dumps(new | {"significance": None}) == json.dumps(old | {"significance": None})


def test_scores_of_plugins_pass_through(tmp_path: Path) -> None:
    entry = made(40).model_copy(update={"words": 0.5})
    results = write_results(tmp_path / "results.json", {"base": {"en-de": made(40)}}, FACTS | {"own": {"a": 1}})
    content = results.to_json()
    assert content["own"] == {"a": 1}
    content["arms"]["base"]["en-de"]["words"] = 0.5
    (tmp_path / "results.json").write_text(json.dumps(content))
    again = Results.load(tmp_path / "results.json")
    assert again.arms["base"]["en-de"].get("words") == entry.get("words") == 0.5
    assert again.to_json() == content
    content["arms"]["base"]["en-de"]["words"] = "many"
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=r"arms.base.en-de.words"):
        Results.load(tmp_path / "results.json")
