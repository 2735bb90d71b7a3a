"""The result files of the steps, which a later call continues."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from machine import describe_machine

OF_THE_CALL = ("machine", "exit code", "seconds", "end of the log", "complete")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What `steps.py` gives to every step."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("step")
    parser.add_argument("result", type=Path)
    parser.add_argument("seconds", type=float)
    return parser


def earlier(path: Path) -> dict[str, Any]:
    """What earlier calls measured."""
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: value for name, value in content.items() if name not in OF_THE_CALL}


def write(path: Path, result: dict[str, Any], complete: bool = False) -> None:
    content = {"machine": describe_machine(), "complete": complete, **result}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
