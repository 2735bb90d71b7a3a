"""results.json: the contract, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from neuronspec.core.errors import EvaluationError
from neuronspec.evaluation.results import DirectionScore, read_results, write_results

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
    written = write_results(path, arms, FACTS)
    assert read_results(path) == written == json.loads(path.read_text())
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
        (lambda content: cell_of(content).update({"bleu": "good"}), r"arms > base > en-de > bleu"),
        (lambda content: cell_of(content).pop("chrf++"), r"arms > base > en-de > chrf\+\+: Field required"),
        (lambda content: cell_of(content).update({"loss": float("nan")}), r"en-de > loss"),
        (lambda content: content.pop("signatures"), r"signatures: Field required"),
        (lambda content: content.update({"arms": []}), r"arms: Input should be"),
    ],
)  # fmt: skip
def test_damaged_results_are_refused_with_the_place(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "results.json"
    content = write_results(path, {"base": {"en-de": made(40)}}, FACTS)
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match=rf"results.json is damaged \(.*{message}"):
        read_results(path)


def test_missing_and_half_written_results(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(EvaluationError, match=r"can't be read \(No such file.*neuronspec evaluate"):
        read_results(path)
    write_results(path, {"base": {"en-de": made(40)}}, FACTS)
    path.write_text(path.read_text()[:-20])
    with pytest.raises(EvaluationError, match=r"damaged \(Invalid JSON"):
        read_results(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(EvaluationError, match="damaged"):
        read_results(path)
