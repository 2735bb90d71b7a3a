"""The steps for a borrowed GPU, tried on a CPU at tiny sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neuronspec.recipe import Recipe
from tests.helpers.synthetic import write_recipe, write_table

STEPS = Path(__file__).parents[1] / "benchmarks" / "gpu" / "steps.py"


def steps(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(STEPS), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)


def result_of(folder: Path, step: str) -> dict[str, Any]:
    return json.loads((folder / f"{step}.json").read_text())


def test_help_names_the_steps() -> None:
    done = steps("--help")
    assert done.returncode == 0
    for step in ("tests", "speed", "decode", "bible-base", "bible-arms", "profile", "parts"):
        assert f"`{step}`" in done.stdout


@pytest.mark.slow
def test_steps_write_their_results_and_are_not_repeated(tmp_path: Path) -> None:
    done = steps("speed", "profile", "decode", "parts", "--quick", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    speed = result_of(tmp_path, "speed-quick")
    arms = {"dense", "dense, loss unfused", "plain", "auto", "rows", "masked", "weights", "gradient"}
    assert set(speed["tiny, 256 tokens"]["target tokens/s"]) == arms and speed["complete"]
    assert result_of(tmp_path, "profile-quick")["dense, 256 tokens"]["milliseconds"]
    rates = result_of(tmp_path, "decode-quick")["tiny, 2 sentences, float32"]["target tokens/s"]
    parts = result_of(tmp_path, "parts-quick")
    assert {"whole", "optimizer", "loss"} <= set(parts["tiny, 256 tokens, parts, ms"])
    assert set(parts["tiny, 256 tokens, attention, ms"]) == {"as it comes", "plain products", "real tokens alone"}
    assert set(rates) == {"ours", "ours, specialized", "generate", "generate, specialized"}
    written = (tmp_path / "speed-quick.json").stat().st_mtime_ns
    again = steps("speed", "--quick", "--out", tmp_path)
    assert again.returncode == 0 and (tmp_path / "speed-quick.json").stat().st_mtime_ns == written


@pytest.mark.parametrize("order", [("--quick", ""), ("", "--quick")])
def test_results_at_tiny_sizes_are_not_those_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    monkeypatch.syspath_prepend(str(STEPS.parents[1]))
    from gpu import steps as gpu_steps

    write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    for option in order:
        made = json.dumps({"complete": True, "sizes": option})
        monkeypatch.setattr(
            gpu_steps, "command_of", lambda _, __, path, made=made: [sys.executable, "-c", write, str(path), made]
        )
        monkeypatch.setattr(sys, "argv", ["steps", "speed", "--out", str(tmp_path), *option.split()])
        assert gpu_steps.main() == 0
    assert result_of(tmp_path, "speed")["sizes"] == "" and result_of(tmp_path, "speed-quick")["sizes"] == "--quick"


@pytest.mark.slow
def test_a_step_continues_what_another_call_left(tmp_path: Path) -> None:
    begun = {"complete": False, "exit code": 124, "tiny, 256 tokens": "measured before"}
    (tmp_path / "speed-quick.json").write_text(json.dumps(begun))
    assert steps("speed", "--quick", "--out", tmp_path).returncode == 0
    found = result_of(tmp_path, "speed-quick")
    assert found["tiny, 256 tokens"] == "measured before" and found["complete"] and found["exit code"] == 0


@pytest.mark.slow
def test_the_bible_steps_train_and_score_a_recipe(tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path / "toy"), tmp_path / "out"
    done = steps("bible-base", "bible-arms", "--recipe", recipe, "--run", tmp_path / "run", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    base = result_of(out, "bible-base")
    assert base["complete"] and base["trainings"]["base"]["update"] == 40
    arms = result_of(out, "bible-arms")
    assert {"dense", "specialized", "random"} <= set(arms["trainings"])
    assert {"base", "dense", "specialized", "random"} <= set(arms["means over directions"])
    assert all("chrf++" in means for means in arms["means over directions"].values())


def test_the_sizes_of_the_bible_steps_are_keys_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(STEPS.parents[1]))
    from gpu import bible

    for split in ("train", "valid", "test"):
        write_table(tmp_path / f"{split}.tsv")
    recipe = Recipe.load(bible.RECIPE, bible.settings(None, tmp_path)[1::2])
    assert recipe.training.updates == 5000 and recipe.evaluation.max_sentences == 50
    assert set(recipe.arm_names) >= {"dense", "specialized", "gradient", "random"}


def test_bible_steps_without_text_say_what_is_missing(tmp_path: Path) -> None:
    done = steps("bible-base", "--out", tmp_path)
    assert done.returncode == 2
    assert "bible-base needs --text" in done.stderr
