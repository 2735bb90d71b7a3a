"""Commands that are killed, stopped or run out of disk: nothing is half-written, and the same command ends alike."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.helpers.interrupted import NEVER, Commands, Ended, commands
from tests.helpers.small_disk import small_disk
from tests.helpers.toy_sweep import SMALL, write_sweep

pytestmark = pytest.mark.cli
SET = [part for line in SMALL.splitlines()[1:] for part in ("--set", line.strip().replace(": ", "=", 1))]
OF_THE_PROCESS = {"run.log", "stages.json", "log.jsonl", "cost.json", "sweep.log", ".lock", "results.json"}
"""Files that say when and how fast something was done; of `results.json` the scores are compared."""

WHEN = re.compile(rb"On \d+ \w+ \d{4}, |, in (\d+ h )?\d+ (min|s)\b")
"""What the report tells of the same."""

KILLS = 3


def content(folder: Path) -> dict[str, bytes]:
    """What was made, by path; no temporary file is left."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts]
    assert [path for path in files if path.name.startswith(".") and path.name != ".lock"] == []
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    scores = {name: text for name, text in found.items() if name.endswith("results.json")}
    scores = {name: json.dumps(json.loads(text)["arms"]).encode() for name, text in scores.items()}
    found = {name: WHEN.sub(b"", text) if name == "report/index.html" else text for name, text in found.items()}
    return {name: text for name, text in found.items() if Path(name).name not in OF_THE_PROCESS} | scores


@dataclass
class Case:
    """A command that makes a folder.

    Args:
        arguments: of it, for where the folder is to be.
        reads: whether reading counts as a moment, too: where little is written.
        refuses: what the command doesn't replace when it is there; it is whole then, whatever was killed.
    """

    arguments: Callable[[Path], list[object]]
    reads: bool = False
    refuses: str | None = None

    def run(self, neuronspec: Commands, out: Path, at: int = NEVER, how: str = "SIGKILL") -> Ended:
        below = Path("/") if self.reads else out
        return neuronspec(*self.arguments(out), below=below, at=at, how=how, reads=self.reads)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_sweep(folder, SMALL + "arms: {dense: }\n")
    (folder / "in.txt").write_text("one two\nthree house\n" * 20, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def neuronspec() -> Iterator[Commands]:
    with commands() as server:
        yield server


@pytest.fixture(scope="module")
def first(toy: Path, neuronspec: Commands) -> Ended:
    """How the command ended that made `run`."""
    ended = neuronspec("run", toy / "toy.yaml", "--out", toy / "run", *SET, below=toy / "run")
    assert ended.code == 0, ended.output
    return ended


@pytest.fixture(scope="module")
def run(toy: Path, first: Ended) -> Path:
    return toy / "run"


@pytest.fixture(scope="module")
def cases(toy: Path, run: Path) -> dict[str, Case]:
    return {
        "run": Case(lambda out: ["run", toy / "toy.yaml", "--out", out, *SET]),
        "sweep": Case(lambda out: ["sweep", toy / "sweep.yaml", "--out", out, "--processes", 2]),
        "export": Case(
            lambda out: ["export", run, "en-de", "--out", out / "en-de", "--verify", 4], reads=True, refuses="en-de"
        ),
        "export --all": Case(lambda out: ["export", run, "--all", "--out", out, "--verify", 4], reads=True),
        "translate": Case(
            lambda out: ["translate", run, toy / "in.txt", "--from", "en", "--to", "de", "--out", out / "de.txt"],
            reads=True,
        ),
    }


@pytest.fixture(scope="module")
def whole(
    cases: dict[str, Case], neuronspec: Commands, toy: Path, run: Path, first: Ended
) -> Callable[[str], tuple[dict[str, bytes], int]]:
    """What an uninterrupted command makes, and in how many changes."""
    known = {"run": (content(run), first.changes)}

    def make(name: str) -> tuple[dict[str, bytes], int]:
        if name not in known:
            ended = cases[name].run(neuronspec, toy / f"whole-{name}")
            assert ended.code == 0, ended.output
            known[name] = content(toy / f"whole-{name}"), ended.changes
        return known[name]

    return make


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))]
KILLED = ["run", "sweep", "export", pytest.param("export --all", marks=pytest.mark.slow), "translate"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", KILLED)
def test_killed_at_random_moments_it_ends_as_if_it_never_was(
    name: str, seed: int, cases: dict[str, Case], whole: Callable[[str], tuple[dict[str, bytes], int]],
    neuronspec: Commands, tmp_path: Path,
) -> None:  # fmt: skip
    expected, changes = whole(name)
    draw, out, killed = random.Random(f"{name} {seed}"), tmp_path / "out", 0
    while killed < KILLS:
        ended = cases[name].run(neuronspec, out, draw.randint(1, changes // (1 if cases[name].reads else 2)))
        assert ended.code in (0, -9), ended.output
        killed += ended.code == -9
        refused = cases[name].refuses
        finished = refused is not None and (out / refused).exists()
        if finished:
            assert content(out) == expected
        if ended.code == 0 or finished:  # less was left to do
            shutil.rmtree(out)
    ended = cases[name].run(neuronspec, out)
    assert ended.code == 0, ended.output
    assert content(out) == expected


@pytest.mark.parametrize(
    ("name", "part", "number"),
    [
        ("run", 0.02, "SIGTERM"),
        ("run", 0.2, "SIGINT"),
        ("run", 0.7, "SIGTERM"),
        ("export", 0.3, "SIGTERM"),
        ("export", 0.9, "SIGTERM"),
        ("translate", 0.3, "SIGTERM"),
        ("translate", 0.9, "SIGINT"),
    ],
)
def test_a_signal_ends_it_with_one_line_and_130(
    name: str, number: str, part: float, cases: dict[str, Case],
    whole: Callable[[str], tuple[dict[str, bytes], int]], neuronspec: Commands, tmp_path: Path,
) -> None:  # fmt: skip
    _, changes = whole(name)
    out = tmp_path / "out"
    ended = cases[name].run(neuronspec, out, max(1, int(part * changes)), number)
    assert ended.code == 130, ended.output
    assert ended.output.count(f"stopped by {number}") == 1 and "Traceback" not in ended.output
    if out.exists():
        content(out)  # nothing temporary is left
    if name == "run" and (out / "run.log").exists():
        assert f"stopped by {number}" in (out / "run.log").read_text().splitlines()[-1]


@pytest.mark.parametrize("part", [0.4, pytest.param(0.1, marks=pytest.mark.slow)])
def test_a_signal_ends_a_sweep_and_its_workers(
    part: float, cases: dict[str, Case], whole: Callable[[str], tuple[dict[str, bytes], int]], neuronspec: Commands,
    tmp_path: Path,
) -> None:  # fmt: skip
    expected, changes = whole("sweep")
    ended = cases["sweep"].run(neuronspec, tmp_path / "out", int(part * changes), "SIGTERM")
    assert ended.code == 130 and "stopped by SIGTERM" in ended.output and "Traceback" not in ended.output
    content(tmp_path / "out")
    assert cases["sweep"].run(neuronspec, tmp_path / "out").code == 0
    assert content(tmp_path / "out") == expected


FULL = {
    "evaluate": ["evaluate", "RUN", "--set", "evaluation.max_new_tokens=12"],
    "report": ["report", "RUN", "--set", "report.samples=1"],
    "export": ["export", "RUN", "en-de", "--out", "RUN/exported", "--verify", "4"],
    "translate": ["translate", "RUN", "TEXT", "--from", "en", "--to", "de", "--out", "RUN/de.txt"],
}


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_gives_one_message_and_a_rerun_succeeds(
    name: str, run: Path, toy: Path, neuronspec: Commands, tmp_path: Path
) -> None:
    folder, fresh = (Path(shutil.copytree(run, tmp_path / each / "run")) for each in ("full", "fresh"))

    def attempt(where: Path, **options: object) -> Ended:
        arguments = [part.replace("RUN", str(where)).replace("TEXT", str(toy / "in.txt")) for part in FULL[name]]
        return neuronspec(*arguments, below=where, **options)  # type: ignore[arg-type]

    ended = attempt(fresh)
    assert ended.code == 0, ended.output
    expected = without_recipe(fresh)
    limits = [{"at": max(1, int(part * ended.changes)), "how": "full"} for part in (0, 0.3, 0.6, 0.9)]
    for limit in [*limits, {"largest": 300}, {"largest": 6000}]:
        failed = attempt(folder, **limit)
        if failed.code == 0:  # there was room for all
            break
        assert failed.code == 1 and "Traceback" not in failed.output, failed.output
        assert failed.output.count("error:") == 1, failed.output
        assert "No space left" in failed.output or "File too large" in failed.output, failed.output
        content(folder)
    else:
        again = attempt(folder)
        assert again.code == 0, again.output
    assert without_recipe(folder) == expected


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "16m") as folder:
        yield folder


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes of a file system."""
    filler, state = disk / "filler", os.statvfs(disk)
    filler.write_bytes(bytes(state.f_bavail * state.f_frsize - left))
    return filler


PAGE = 4096


@pytest.mark.parametrize(
    "pages", [1, *(pytest.param(pages, marks=pytest.mark.slow) for pages in (0, 2, 3, 5, 8, 12, 20, 40))]
)
@pytest.mark.parametrize("name", FULL)
def test_a_file_system_without_room(
    name: str, pages: int, run: Path, toy: Path, neuronspec: Commands, tmp_path: Path, disk: Path
) -> None:
    """As above, but it is the kernel that refuses to write, in the middle of files, too."""
    fresh = Path(shutil.copytree(run, tmp_path / "fresh" / "run"))
    folder = Path(shutil.copytree(run, disk / "run"))

    def attempt(where: Path) -> Ended:
        return neuronspec(
            *(part.replace("RUN", str(where)).replace("TEXT", str(toy / "in.txt")) for part in FULL[name])
        )

    filler = fill(disk, pages * PAGE)
    failed = attempt(folder)
    if failed.code != 0:
        assert failed.code == 1 and "Traceback" not in failed.output, failed.output
        assert failed.output.count("error:") == 1 and "No space left" in failed.output, failed.output
        content(folder)
        filler.unlink()
        again = attempt(folder)
        assert again.code == 0, again.output
    else:
        assert pages > 0  # it fits
    assert attempt(fresh).code == 0
    assert without_recipe(folder) == without_recipe(fresh)


def without_recipe(folder: Path) -> dict[str, bytes]:
    """What a failed attempt may have moved aside doesn't count."""
    return {name: text for name, text in content(folder).items() if not name.startswith(("superseded/", "recipe"))}
