"""The scripts of `examples/` run, on a tiny NLLB."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import neuronspec as ns
from tests.helpers.checkpoints import nllb

EXAMPLES = Path(__file__).parents[1] / "examples"
WORDS = ["eins", "zwei", "drei", "vier"], ["one", "two", "three", "four"], ["un", "deux", "trois", "quatre"]
LINES = [
    "\t".join(" ".join(words[(row * step) % 4] for step in range(1, 4)) for words in WORDS) for row in range(30)
]  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nllb(tmp_path_factory.mktemp("checkpoint") / "nllb", [cell for line in LINES for cell in line.split("\t")])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.tsv"
    path.write_text("\n".join(["de\ten\tfr", *LINES]) + "\n", encoding="utf-8")
    return path


def run_script(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_seq2seq_trainer(
    checkpoint: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "specialized"
    run_script(monkeypatch, "seq2seq_trainer.py", checkpoint, text, "--out", out, "--steps", 4, "--batch-size", 4)
    assert "of the neurons are left out" in capsys.readouterr().out
    assert ns.Translator(out, device="cpu").directions == ["de-en", "en-de", "en-fr", "fr-en"]
    assert (out / "training" / "checkpoint-4" / "neuron_masks.safetensors").is_file()


def test_lora(
    checkpoint: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("peft", reason="the baselines extra is not installed")
    out = tmp_path / "adapters"
    run_script(monkeypatch, "lora.py", checkpoint, text, "--out", out, "--batch-size", 4, "--rank", 2)
    assert "epoch 1: loss" in capsys.readouterr().out
    assert {path.name for path in out.iterdir()} >= {"adapter_model.safetensors", "neuron_masks.safetensors"}
    assert not (out / "model.safetensors").exists()
