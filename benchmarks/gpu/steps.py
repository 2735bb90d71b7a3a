"""What is checked and measured on a GPU that is at hand for minutes only: steps that follow one another.

    python benchmarks/gpu/steps.py STEP... --out DIR [--data RUN/data] [--wheels DIR]

| step | what it does |
| --- | --- |
| `tests` | the tests marked gpu: equivalences in bf16 and float32, resuming, full memory, compilation, beam search |
| `loops` | target tokens a second of our training loop, eager and compiled, and of Seq2SeqTrainer; needs `--data` |
| `steps` | one update's time, peak memory and share of the matrix-product ceiling, for dense and specialized models |
| `profile` | where the time of an update goes: kernels, launches, waits of the host for the device |

Each step ends within `--minutes` (9), writes DIR/STEP.json and DIR/STEP.log, and prints the JSON. A step whose JSON is
there is not repeated. Nothing is fetched: `--wheels` installs the wheels of a folder into DIR/site, for machines
without an index. `--data` is the data folder of a run (`neuronspec prepare`), or a .tar.xz of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STEPS = ("tests", "loops", "steps", "profile")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="+", choices=STEPS, metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--out", type=Path, required=True, help="folder of results and logs")
    parser.add_argument("--data", type=Path, help="data folder of a run, or a .tar.xz of it")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install into DIR/site")
    parser.add_argument("--minutes", type=float, default=9, help="at most, for each step")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether the steps run, on a CPU too")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    environment = prepare_environment(options)
    failed = False
    for step in options.steps:
        result = options.out / f"{step}.json"
        if not result.is_file():
            run_step(step, options, environment)
        content = result.read_text(encoding="utf-8") if result.is_file() else "{}"
        print(f"{step}: {content}", flush=True)
        failed |= json.loads(content).get("exit code", 1) != 0
    return int(failed)


def prepare_environment(options: argparse.Namespace) -> dict[str, str]:
    """Where the steps find the package and the wheels."""
    paths = [str(ROOT / "src"), str(ROOT), str(ROOT / "benchmarks")]
    if options.wheels:
        site = options.out / "site"
        if not site.is_dir():
            wheels = sorted(map(str, options.wheels.glob("*.whl")))
            install = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(site)]
            subprocess.run([*install, *wheels], check=True)
        paths.append(str(site))
    if options.data and options.data.is_file():
        unpacked = options.out / "unpacked"
        if not unpacked.is_dir():
            with tarfile.open(options.data) as archive:
                archive.extractall(unpacked, filter="data")
        options.data = unpacked / "data"
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"}


def run_step(step: str, options: argparse.Namespace, environment: dict[str, str]) -> None:
    """Run a step in a process of its own, and record how it ended."""
    result, log = options.out / f"{step}.json", options.out / f"{step}.log"
    if step == "tests":
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-m",
            "gpu",
            "-p",
            "no:cacheprovider",
            str(ROOT / "tests" / "test_gpu.py"),
        ]
    else:
        command = [sys.executable, str(HERE / "measure.py"), step, str(result), str(options.minutes)]
        command += ["--data", str(options.data)] if options.data else []
        command += ["--quick"] if options.quick else []
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = process.wait(60 * options.minutes)
        except subprocess.TimeoutExpired:
            process.kill()
            code = 124
    content: dict[str, Any] = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
    content |= {"exit code": code, "seconds": round(time.monotonic() - started)}
    if step == "tests" or code:
        content["end of the log"] = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
    result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
