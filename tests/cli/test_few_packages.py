"""Optional packages that are absent, as on a machine that others set up, are named when they are needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.synthetic import write_recipe

pytestmark = pytest.mark.cli
ABSENT = [
    "bitsandbytes", "ctranslate2", "datasets", "django", "fastapi", "hypothesis", "lang2vec", "mlflow", "opusfilter",
    "plone", "plotly", "polib", "prometheus_client", "py3langid", "rensa", "sacremoses", "sentencex",
    "submitit", "uvicorn", "wandb",
]  # fmt: skip
"""All that pyproject.toml asks for but what GPU machines usually have: torch, transformers, pyarrow and the like.

Pandas isn't among them, as pyarrow takes the mark of its absence for the module itself.
"""

CHANGES = [
    "training.updates=4", "training.validate_every=2", "training.save_every=2", "continuation.updates=2",
    "continuation.validate_every=2", "continuation.save_every=2", "corpus.languages=[de]", "corpus.workers=1",
    "evaluation.max_sentences=4", "evaluation.scores.resamples=10", "evaluation.scores.trials=10",
]  # fmt: skip

RUN = """
import sys
from neuronspec.cli.app import app, main
from neuronspec.runs.tasks import STAGES

run = sys.argv[1:]
for stage in STAGES[:-1]:
    app([*run, "--stage", stage], standalone_mode=False)
main()
"""
"""All stages before the report, and then the whole run."""


def ended(folder: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Python without the packages: they can be neither found nor imported, nor in processes that it starts."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n")
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": path},
    )  # fmt: skip


def test_help(tmp_path: Path) -> None:
    assert "Usage:" in ended(tmp_path / "absent", "-m", "neuronspec", "--help").stdout


def test_a_run_goes_as_far_as_it_needs_none_of_them(tmp_path: Path) -> None:
    changes = [part for change in CHANGES for part in ("--set", change)]
    recipe, run = write_recipe(tmp_path / "toy"), tmp_path / "run"
    done = ended(tmp_path / "absent", "-c", RUN, "run", recipe, "--out", run, *changes)
    message = "writing the report needs the package 'plotly': install it with pip install 'neuronspec[report]'"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, f"error: {message}")
    arms = json.loads((run / "results.json").read_text(encoding="utf-8"))["arms"]
    assert set(arms) == {"copy", "base", "specialized", "dense", "random"}
    assert (run / "analysis.json").is_file() and not (run / "report").exists()
