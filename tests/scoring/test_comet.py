"""COMET: the path through a stand-in with unbabel-comet's interface, and what isn't a checkpoint."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_text
from neuronspec.evaluation.results import DirectionScore, read_scores, write_scores
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.scoring.comet import comet, find_checkpoint, why_not
from neuronspec.scoring.settings import ScoreSettings

# As in unbabel-comet 2.2.7: load_from_checkpoint(path, ..., local_files_only), predict(samples, batch_size, gpus, ...).
STAND_IN = """
import os
from types import SimpleNamespace

class Model:
    def predict(self, samples, batch_size=16, gpus=1, progress_bar=True):
        assert not progress_bar and os.environ["HF_HUB_OFFLINE"] == "1"
        if any(sample["mt"] == "explode" for sample in samples):
            raise RuntimeError("out of memory")
        with open(os.environ["COMET_CALLS"], "a") as file:
            file.write(f"{len(samples)}\\n")
        scores = [len(sample["mt"]) / 10 + len(sample["src"]) / 100 + len(sample["ref"]) / 1000 for sample in samples]
        return SimpleNamespace(scores=scores, system_score=sum(scores) / len(scores))

def load_from_checkpoint(path, reload_hparams=False, strict=False, local_files_only=False):
    assert local_files_only and path.endswith("model.ckpt")
    return Model()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for unbabel-comet on the path of the Python that is started; returns the file that counts calls."""
    package = tmp_path / "packages"
    write_text(package / "comet" / "__init__.py", STAND_IN)
    write_text(package / "unbabel_comet-2.2.7.dist-info" / "METADATA", "Name: unbabel-comet\nVersion: 2.2.7\n")
    monkeypatch.setenv("PYTHONPATH", f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("COMET_CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "wmt22-toy"
    write_text(folder / "hparams.yaml", "class_identifier: regression_metric\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model.ckpt").write_bytes(b"PK\x03\x04rest")
    return folder


def test_scores_by_sentence(installed: Path, checkpoint: Path) -> None:
    found = comet(["ab", "abcd"], ["x", "xyz"], ["r", "r"], checkpoint)
    assert found.segments == pytest.approx([0.1 + 0.02 + 0.001, 0.3 + 0.04 + 0.001])
    assert found.signature == "COMET wmt22-toy|unbabel-comet:2.2.7"
    assert comet(["a"], ["b"], ["c"], checkpoint / "checkpoints" / "model.ckpt", Path(sys.executable)).segments
    assert why_not(None) is None


def test_failures_are_told(installed: Path, checkpoint: Path) -> None:
    with pytest.raises(EvaluationError, match=r"COMET failed on .*model.ckpt \(exit code 1\): RuntimeError: out of"):
        comet(["a"], ["explode"], ["c"], checkpoint)


def test_what_is_not_a_checkpoint(checkpoint: Path, tmp_path: Path) -> None:
    file = checkpoint / "checkpoints" / "model.ckpt"
    assert find_checkpoint(checkpoint) == find_checkpoint(file) == file
    with pytest.raises(EvaluationError, match=r"none is not a COMET checkpoint: there is no file .*none"):
        find_checkpoint(tmp_path / "none")
    file.write_bytes(b"version https://git-lfs")
    with pytest.raises(EvaluationError, match=r"model.ckpt was not saved by torch"):
        find_checkpoint(checkpoint)
    (checkpoint / "hparams.yaml").write_text("other: 1\n")
    with pytest.raises(EvaluationError, match="class_identifier"):
        find_checkpoint(checkpoint)
    (checkpoint / "hparams.yaml").unlink()
    with pytest.raises(EvaluationError, match=r"hparams.yaml is missing; give MODEL/checkpoints/model.ckpt"):
        find_checkpoint(checkpoint)


def test_absent_comet_is_skipped_with_the_reason(checkpoint: Path, tmp_path: Path) -> None:
    assert Scorer(ScoreSettings(off_target=False), []).skipped == {}, "nobody asked for it"
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    settings = ScoreSettings(off_target=False, comet=checkpoint, comet_python=python)
    assert "unbabel-comet is not installed for" in Scorer(settings, []).skipped["comet"]
    missing = settings.model_copy(update={"comet_python": tmp_path / "nowhere"})
    assert "can't be run" in Scorer(missing, []).skipped["comet"]


def translated(folder: Path, name: str, hypotheses: list[str]) -> None:
    for part, lines in (("src", ["source"] * len(hypotheses)), ("hyp", hypotheses), ("ref", ["one two"] * 2)):
        write_text(folder / f"{name}.{part}", "".join(f"{line}\n" for line in lines))


def test_all_arms_are_scored_at_once_and_once(installed: Path, checkpoint: Path, tmp_path: Path) -> None:
    root = tmp_path / "evaluation"
    entry = DirectionScore(bleu=0, chrf=0, loss=1.5, n=2, signatures={})
    for arm in ("base", "dense"):
        for name in ("en-de", "en-fr"):
            translated(root / arm, name, [arm, f"{arm} {name}"])
        write_scores(root / arm, {"en-de": entry, "en-fr": entry}, "made")
    settings = ScoreSettings(off_target=False, comet=checkpoint)
    found = score_arms(root, ["base", "dense"], Scorer(settings, []))
    assert installed.read_text() == "8\n", "one call with all sentences"
    scores, statistics = found["dense"]
    assert scores["en-fr"].get("comet") == pytest.approx((0.5 + 1.1) / 2 + 0.06 + 0.007)
    assert scores["en-fr"].loss == 1.5 and scores["en-fr"].signatures["comet"].startswith("COMET wmt22-toy")
    assert statistics["en-fr"]["comet"].shape == (2, 2)
    assert read_scores(root / "dense") == scores
    again = score_arms(root, ["base", "dense"], Scorer(settings, []))
    assert installed.read_text() == "8\n", "nothing to do"
    assert again["dense"][0] == scores and (again["dense"][1]["en-fr"]["comet"] == statistics["en-fr"]["comet"]).all()
    without = score_arms(root, ["dense"], Scorer(ScoreSettings(off_target=False), []))["dense"]
    assert without[0]["en-fr"].get("comet") is None and "comet" not in without[1]["en-fr"]
    assert "comet" not in without[0]["en-fr"].signatures
