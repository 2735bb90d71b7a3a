"""BLEU and chrF++: known values, tokenizers, and what can't be scored."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from pathlib import Path

import pytest

from neuronspec.errors import EvaluationError
from neuronspec.evaluation.scores import bleu, bleu_tokenizer, check_tokenizers, chrf, score

SHARED = Path(os.environ.get("NEURONSPEC_SHARED", Path(__file__).parents[3] / "shared"))
PUBLISHED = SHARED / "golden" / "published_scores"

HYPOTHESES = ["The small house stands by the old tree.", "Nobody saw the red boat yesterday."]
REFERENCES = ["The small house stands beside the old tree.", "Nobody saw the red boat yesterday."]


def test_bleu_of_a_short_case_by_hand() -> None:
    # Tokens: 9 and 7 a side. Matches: words 15 of 16; pairs 12 of 14; triples 9 of 12; fours 6 of 10.
    expected = 100 * math.exp((math.log(15 / 16) + math.log(12 / 14) + math.log(9 / 12) + math.log(6 / 10)) / 4)
    found = bleu(HYPOTHESES, REFERENCES, "en")
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.n == 2
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_chrf_of_a_short_case() -> None:
    assert chrf(REFERENCES, REFERENCES).value == pytest.approx(100)
    found = chrf(["ab"], ["ac"])
    # Per order, precision and recall are 1/2 (one of two letters), 0 (pairs), 0 (words): their F over 3 orders.
    assert found.value == pytest.approx(100 * (1 / 2) / 3, abs=1e-6)
    assert found.signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:")


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("de", "13a"), ("zh", "zh"), ("zh_Hant", "zh"), ("yue", "zh"), ("ja", "ja-mecab"), ("ko", "ko-mecab"),
     ("hi", "13a"), ("klingon", "13a")],
)  # fmt: skip
def test_tokenizer_by_language(language: str, tokenizer: str) -> None:
    assert bleu_tokenizer(language) == tokenizer


def test_chinese_is_counted_in_characters() -> None:
    found = bleu(["今天天气很好。"], ["今天天气不错。"], "zh")
    assert "tok:zh" in found.signature
    assert 0 < found.value < 100


def test_a_tokenizer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_tokenizers(["de", "zh"])
    with pytest.raises(EvaluationError, match=r"BLEU of ja needs .*ja-mecab.*pip install 'sacrebleu\[ja\]'"):
        check_tokenizers(["de", "ja"])
    with pytest.raises(EvaluationError, match=r"sacrebleu\[ko\]"):
        bleu(["x"], ["y"], "ko")


def test_lines_that_do_not_match_are_refused_with_both_counts() -> None:
    with pytest.raises(EvaluationError, match="1 hypotheses and 2 references"):
        score(["one"], ["one", "two"], "en")
    with pytest.raises(EvaluationError, match="there is no reference"):
        score([], [], "en")
    with pytest.raises(EvaluationError, match="all 2 references are empty"):
        score(["a", "b"], ["", " "], "en")


def test_empty_translations_score_nothing() -> None:
    assert {name: found.value for name, found in score(["", ""], REFERENCES, "en").items()} == {"bleu": 0, "chrf++": 0}


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published outputs at {PUBLISHED} (set NEURONSPEC_SHARED)")
def test_published_scores_are_reproduced() -> None:
    folders = sorted(path for path in PUBLISHED.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        published = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        hypotheses, references = (
            (folder / name).read_text(encoding="utf-8").rstrip("\n").split("\n") for name in ("hyp.txt", "ref.txt")
        )
        found = score(hypotheses, references, published["direction"].split("-")[1])
        assert round(found["bleu"].value, 1) == published["bleu"], folder.name
        assert round(found["chrf++"].value, 1) == published["chrf++"], folder.name
        signature = found["bleu"].signature.rpartition("|version:")[0]
        assert signature == published["bleu_signature"].rpartition("|version:")[0]
