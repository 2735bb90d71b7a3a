"""How long commands take that only look at a recipe: CPU seconds of the whole process, the median of several calls.

python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import write_result

RECIPE = Path(__file__).parents[1] / "recipes" / "demo.yaml"
LIMITS = {"--help": 0.5, "validate": 1.0, "run --dry-run": 2.0}
"""CPU seconds that each may take."""


def cpu_seconds(arguments: list[str]) -> float:
    """User and system time of one call."""
    command = [sys.executable, "-m", "neuronspec", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)  # wait4 has reaped it
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5, help="calls of each command")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        out = str(Path(folder) / "run")
        for name, arguments in {
            "--help": ["--help"],
            "validate": ["validate", str(RECIPE)],
            "run --dry-run": ["run", str(RECIPE), "--out", out, "--dry-run"],
        }.items():
            cpu_seconds(arguments)  # the first call compiles
            seconds = [cpu_seconds(arguments) for _ in range(options.calls)]
            found[name] = {
                "CPU seconds, median": round(statistics.median(seconds), 3),
                "CPU seconds": [round(one, 3) for one in seconds],
                "at most": LIMITS[name],
            }
    write_result("startup", {"recipe": f"recipes/{RECIPE.name}", "commands": found})


if __name__ == "__main__":
    main()
