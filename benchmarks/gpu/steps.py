"""What is checked and measured on a GPU that is at hand for minutes only: steps that follow one another.

    python benchmarks/gpu/steps.py STEP... --out DIR [--text DIR] [--data RUN/data] [--wheels DIR]

| step | what it does |
| --- | --- |
| `tests` | the tests marked gpu: equivalences in bf16 and float32, resuming, full memory, compilation, beam search |
| `speed` | one update's time, memory and share of the matrix-product ceiling, dense and specialized, eager and compiled; with `--data` whole training loops, of Seq2SeqTrainer too |
| `decode` | target tokens a second of beam search, ours and generate's, dense and specialized, and waits for the GPU |
| `bible-base` | trains the baseline of recipes/bible-gpu.yaml; needs `--text` |
| `bible-arms` | records, selects, trains dense, specialized, gradient and random from that baseline, and scores them |
| `profile` | where the time of an update goes: kernels, launches, waits of the host for the GPU |
| `parts` | what the parts of an update take, and a whole one with other attention, eager and compiled |

Each step ends within `--minutes` (9), writes DIR/STEP.json and DIR/STEP.log, and prints the JSON. A step that ran out
of time says `"complete": false`; the same command continues it. A complete one is not repeated. With `--quick`, steps
that have tiny sizes write STEP-quick.json and .log, which are no results of the whole step. In 30 minutes, with
10 for each command: `tests speed parts --minutes 3`, then `bible-base`, then `bible-arms`; the baseline stays in `--run`.
Nothing is fetched: `--wheels` installs the wheels of a folder into DIR/site, for machines without an index. `--text`
is a folder with train, valid and test (.tsv.xz or .tsv), one column per language. `--data` is the data folder of a run
(`neuronspec prepare`), or a .tar.xz of it.
"""  # noqa: E501

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
STEPS = ("tests", "speed", "decode", "bible-base", "bible-arms", "profile", "parts")
ONE_SIZE = ("tests", "bible-base", "bible-arms")
"""Steps that `--quick` doesn't change."""
SECONDS_TO_END = 30
"""A step that is told to end saves what it has within so long."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="+", choices=STEPS, metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--out", type=Path, required=True, help="folder of results and logs")
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "bible-gpu", help="run folder of the bible steps")
    parser.add_argument("--text", type=Path, help="folder of train, valid and test, for the bible steps")
    parser.add_argument("--recipe", type=Path, help="for the bible steps, instead of the bundled one with its sizes")
    parser.add_argument("--data", type=Path, help="data folder of a run, or a .tar.xz of it, for training loops")
    parser.add_argument("--wheels", type=Path, help="folder of wheels to install into DIR/site")
    parser.add_argument("--minutes", type=float, default=9, help="at most, for each step")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether the steps run, on a CPU too")
    options = parser.parse_args()
    for step in options.steps:
        if step.startswith("bible") and not (options.text or options.recipe):
            parser.error(f"{step} needs --text, the folder of train, valid and test")
    options.out.mkdir(parents=True, exist_ok=True)
    environment = prepare_environment(options)
    failed = False
    for step in options.steps:
        content = read(options.out / f"{name_of(step, options)}.json")
        if not is_done(content):
            content = run_step(step, options, environment)
        print(json.dumps({step: content}, indent=1), flush=True)
        failed |= content["exit code"] != 0
    return int(failed)


def name_of(step: str, options: argparse.Namespace) -> str:
    """What the files of a step are called: tiny sizes have their own."""
    return f"{step}-quick" if options.quick and step not in ONE_SIZE else step


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def is_done(content: dict[str, Any]) -> bool:
    return content.get("exit code") == 0 and bool(content.get("complete"))


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


def command_of(step: str, options: argparse.Namespace, result: Path) -> list[str]:
    if step == "tests":
        tests = str(ROOT / "tests" / "test_gpu.py")
        return [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", tests]
    seconds = str(60 * options.minutes - SECONDS_TO_END)
    scripts = {"decode": "decode.py", "bible-base": "bible.py", "bible-arms": "bible.py", "parts": "parts.py"}
    script = scripts.get(step, "measure.py")
    command = [sys.executable, str(HERE / script), step, str(result), seconds]
    given = {"--data": options.data} if script == "measure.py" else {}
    if script == "bible.py":
        given = {"--run": options.run, "--text": options.text, "--recipe": options.recipe}
    command += [part for name, value in given.items() if value for part in (name, str(value.resolve()))]
    return command + (["--quick"] if options.quick and step not in ONE_SIZE else [])


def run_step(step: str, options: argparse.Namespace, environment: dict[str, str]) -> dict[str, Any]:
    """Run a step in a process of its own, and record how it ended."""
    name = name_of(step, options)
    result, log = options.out.resolve() / f"{name}.json", options.out / f"{name}.log"
    started = time.monotonic()
    with log.open("a", encoding="utf-8") as output:
        process = subprocess.Popen(
            command_of(step, options, result), cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            code = process.wait(60 * options.minutes)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = 124
    content = read(result) | {"exit code": code, "seconds": round(time.monotonic() - started)}
    if step == "tests" or code:
        content["end of the log"] = log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
    if step == "tests":
        content["complete"] = code == 0
    result.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


if __name__ == "__main__":
    sys.exit(main())
