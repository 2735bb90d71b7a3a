"""A program that uses the public API passes type checkers in strict mode: `py.typed` is true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "fixtures" / "typing" / "user_script.py"

pytestmark = pytest.mark.slow


def accepts(*command: object) -> None:
    environment = os.environ | {"MYPYPATH": str(ROOT / "src"), "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    arguments = list(map(str, command))
    result = subprocess.run(arguments, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="the dev extra is not installed")
    config = tmp_path / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n", encoding="utf-8")
    accepts(sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache", PROGRAM)


def test_pyright_strict(tmp_path: Path) -> None:
    pytest.importorskip("pyright", reason="the dev extra is not installed")
    config = tmp_path / "pyrightconfig.json"
    settings = {"include": [str(PROGRAM)], "typeCheckingMode": "strict", "extraPaths": [str(ROOT / "src")]}
    config.write_text(json.dumps(settings), encoding="utf-8")
    accepts(sys.executable, "-m", "pyright", "-p", config, "--pythonpath", sys.executable)
