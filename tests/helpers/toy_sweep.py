"""A sweep that takes moments, over the toy recipe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.synthetic import write_recipe

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
SMALL = """\
set:
  training.updates: 12
  continuation.updates: 6
  corpus.languages: [de]
  evaluation.beam: 1
  evaluation.max_sentences: 4
"""


def write_sweep(folder: Path, text: str) -> Path:
    """A sweep file beside the toy recipe."""
    write_recipe(folder)
    path = folder / "sweep.yaml"
    path.write_text(f"name: toy\nrecipe: toy.yaml\n{text}", encoding="utf-8")
    return path


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).with_name("neuronspec")), "sweep", *map(str, arguments)]


def sweep(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False
    )
