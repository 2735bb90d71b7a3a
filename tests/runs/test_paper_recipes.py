"""Each recipe of the paper's experiments runs in miniature, unchanged but for sizes, on tiny copies of its data."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import miniature
from tests.helpers.checkpoints import nllb
from tests.helpers.fake_hub import in_the_cache

from neuronspec.core.run_folder import RunFolder
from neuronspec.recipe import Recipe
from neuronspec.runs.pipeline import Pipeline

EC30 = {
    "de": "deu_Latn", "nl": "nld_Latn", "fr": "fra_Latn", "es": "spa_Latn", "ru": "rus_Cyrl", "cs": "ces_Latn",
    "hi": "hin_Deva", "bn": "ben_Beng", "ar": "arb_Arab", "he": "heb_Hebr", "sv": "swe_Latn", "da": "dan_Latn",
    "it": "ita_Latn", "pt": "por_Latn", "pl": "pol_Latn", "bg": "bul_Cyrl", "kn": "kan_Knda", "mr": "mar_Deva",
    "ha": "hau_Latn", "mt": "mlt_Latn", "af": "afr_Latn", "lb": "ltz_Latn", "ro": "ron_Latn", "oc": "oci_Latn",
    "uk": "ukr_Cyrl", "sr": "srp_Cyrl", "sd": "snd_Arab", "gu": "guj_Gujr", "ti": "tir_Ethi", "am": "amh_Ethi",
}  # fmt: skip
"""The languages as FLORES-200 writes them."""

NTREX = {code: tag[:3] for code, tag in EC30.items() if code != "oc"} | {
    "ar": "arb", "sr": "srp_Cyrl", "sd": "snd_Arab", "es": "spa", "pt": "por",
}  # fmt: skip

IWSLT = ["ar", "de", "es", "fa", "he", "it", "nl", "pl"]

LOW = {"cy": "cym_Latn", "eu": "eus_Latn", "ga": "gle_Latn", "gl": "glg_Latn", "is": "isl_Latn", "mt": "mlt_Latn"}

SIZES = [
    "continuation.updates=2", "continuation.batch_tokens=256", "continuation.accumulation=1",
    "continuation.validate_every=2", "continuation.validation_sentences=2", "continuation.save_every=2",
    "continuation.warmup=1", "recording.sentences=4", "evaluation.max_sentences=2", "evaluation.max_new_tokens=4",
    "evaluation.beam=2", "analysis.sentences=1",
    "evaluation.scores.resamples=20", "evaluation.scores.trials=20", "corpus.workers=1",
]  # fmt: skip
NEW_MODEL = [
    *(f"training.{size.partition('.')[2]}" for size in SIZES if size.startswith("continuation.")),
    "model.d_model=16", "model.encoder_layers=1", "model.decoder_layers=1", "model.encoder_ffn_dim=24",
    "model.decoder_ffn_dim=24", "model.encoder_attention_heads=2", "model.decoder_attention_heads=2",
    "tokenizer.vocabulary=200",
]  # fmt: skip


def ran(folder: Path, recipe: str, write: Callable[[Path], None], sizes: list[str]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe, and the scores of its run."""
    path = miniature.copied(folder, recipe, write)
    made = Recipe.load(path, sizes)
    Pipeline(made, folder / "run").execute()
    run = RunFolder(folder / "run")
    assert (run.report / "index.html").is_file()
    return made, json.loads(run.results.read_text(encoding="utf-8"))


def assert_whole(made: Recipe, results: dict[str, Any]) -> None:
    expected = {str(direction) for direction in made.evaluated_directions}
    for arm in ("base", "specialized", "dense", "random"):
        assert set(results["arms"][arm]) == expected
        assert all(scores["chrf++"] >= 0 for scores in results["arms"][arm].values())


def test_iwslt(tmp_path: Path) -> None:
    pytest.importorskip("sacremoses", reason="the recipe normalises punctuation as Moses does")
    made, results = ran(tmp_path, "iwslt", lambda data: miniature.iwslt(data, IWSLT), [*SIZES, *NEW_MODEL])
    assert len(made.evaluated_directions) == 16
    assert_whole(made, results)


@pytest.mark.slow
def test_the_papers_arms(tmp_path: Path) -> None:
    """The sweep of IWSLT: all arms, with embeddings of the encoder's own."""
    pytest.importorskip("sacremoses", reason="the recipe normalises punctuation as Moses does")
    miniature.copied(tmp_path, "iwslt", lambda data: miniature.iwslt(data, IWSLT))
    sweep = tmp_path / "recipes" / "sweeps" / "iwslt.yaml"
    sweep.parent.mkdir()
    shutil.copy(miniature.RECIPES / "sweeps" / "iwslt.yaml", sweep)
    sizes = [*SIZES, *NEW_MODEL, "baselines.adapters.bottleneck=4", "baselines.lass.updates=1"]
    command = [sys.executable, "-m", "neuronspec", "sweep", str(sweep), "--out", str(tmp_path / "sweep")]
    done = subprocess.run(
        [*command, *(part for size in sizes for part in ("--set", size))],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    arms = json.loads((tmp_path / "sweep" / "results.json").read_text(encoding="utf-8"))["arms"]
    entries = {"adapters_direction", "adapters_family", "lass", "k50", "k99", "encoder", "decoder"}
    assert entries <= arms.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ec30", "ec30-small"])
def test_ec30(tmp_path: Path, name: str) -> None:
    pytest.importorskip("sacremoses", reason="the recipe normalises punctuation as Moses does")

    def write(data: Path) -> None:
        miniature.ec40(data, list(EC30), {"oc": 1040})
        miniature.ntrex(data, NTREX | {"pt_BR": "por-BR", "es_MX": "spa-MX", "sr_Latn": "srp_Latn"})
        miniature.flores(data, {"en": "eng_Latn"} | EC30)

    made, results = ran(tmp_path, name, write, [*SIZES, *NEW_MODEL])
    assert len(made.evaluated_directions) == 60
    assert_whole(made, results)
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert "published" in page


@pytest.mark.slow
def test_opus100(tmp_path: Path) -> None:
    made = Recipe.load(
        miniature.copied(tmp_path / "first", "opus100", lambda data: (data / "opus-100").mkdir(parents=True))
    )
    zero_shot, languages = made.evaluation.zero_shot, made.corpus.languages
    made, results = ran(
        tmp_path / "second",
        "opus100",
        lambda data: miniature.opus100(data, languages, zero_shot),
        [*SIZES, *NEW_MODEL],
    )
    assert len(made.evaluated_directions) == 48 + 30
    assert_whole(made, results)


@pytest.mark.slow
def test_nllb_finetune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = [line for code in ("en", *LOW) for line in miniature.sentences(code, 20, seed=9)]
    checkpoint = nllb(tmp_path / "checkpoint", text)
    in_the_cache(tmp_path / "hub", monkeypatch, "facebook/nllb-200-distilled-600M", checkpoint)

    def write(data: Path) -> None:
        miniature.opus100(data, list(LOW))
        miniature.flores(data, {"en": "eng_Latn"} | LOW)

    made, results = ran(tmp_path / "work", "nllb-finetune", write, SIZES)
    assert len(made.evaluated_directions) == 12
    assert_whole(made, results)
