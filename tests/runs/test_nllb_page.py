"""What docs/tutorials/nllb.md tells to do, from the cached model to the served one, with a tiny NLLB in the cache."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.synthetic import write_table
from tests.runs.test_pretrained import sentences

pytestmark = pytest.mark.cli
PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "nllb.md"
NAME = "facebook/nllb-200-distilled-600M"


def blocks(kind: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == kind]


def commands() -> list[list[str]]:
    """The arguments of each `neuronspec` of the tutorial, in their order."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("neuronspec ")]


@pytest.mark.slow
def test_the_tutorial_runs_to_its_end(tmp_path: Path) -> None:
    """Its training is shortened, and nothing else."""
    work, cache = tmp_path / "work", tmp_path / "hub"
    work.mkdir()
    write_table(work / "train.tsv", rows=300)
    assert "printf 'en\\tde\\tfr\\n' > train.tsv\n" in blocks("sh")[1]
    recipe = blocks("yaml")[0]
    (work / "my-nllb.yaml").write_text(recipe.replace("updates: 1000", "updates: 3"), encoding="utf-8")
    environment = os.environ | {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}

    def call(arguments: list[str], code: int = 0) -> str:
        command = [sys.executable, "-m", "neuronspec", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, cwd=work, env=environment
        )
        assert done.returncode == code and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stdout + done.stderr

    validate, run, translate, export, serve = commands()
    assert f"hf download {NAME}" in call(validate, code=2)
    home = cache / f"models--{NAME.replace('/', '--')}"
    snapshot = home / "snapshots" / ("0" * 40)
    FAMILIES["nllb"](snapshot, sentences(work / "train.tsv"))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0" * 40)
    assert "example: de-en reads: deu_Latn" in call(validate)
    assert "specialized" in call(run) and (work / "runs" / "my-nllb" / "report" / "index.html").is_file()
    assert "up to date" in call([*run, "--dry-run"])
    (asked,) = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("echo ")]
    _, text, _, name = shlex.split(asked)
    (work / name).write_text(text + "\n", encoding="utf-8")
    translated = call(translate).splitlines()
    call(export)
    shutil.rmtree(cache)  # neither the run nor the export needs the checkpoint any more
    assert serve[-2:] == ["--port", "8000"]
    server = subprocess.Popen(
        [sys.executable, "-m", "neuronspec", *serve[:-1], "0"],
        cwd=work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        body = json.dumps({"q": text, "source": "en", "target": "de"}).encode()
        request = urllib.request.Request(f"{address}/translate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            served = json.load(answer)["translatedText"]
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert translated[-1] == served
