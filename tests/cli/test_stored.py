"""One flipped bit in whatever a run stored is noticed by every command that reads it, and `run` puts it right."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.helpers.interrupted import Commands, commands
from tests.helpers.synthetic import write_recipe
from tests.helpers.toy_sweep import SMALL

pytestmark = pytest.mark.cli
SET = [part for line in SMALL.splitlines()[1:] for part in ("--set", line.strip().replace(": ", "=", 1))]

READERS = {
    "data/tokens/train.de-en.arrow": ["train RUN"],
    "data/tokens/valid.de-en.arrow": ["train RUN"],
    "data/tokens/test.de-en.arrow": ["evaluate RUN", "export RUN en-de --out OUT"],
    "data/tokenizer/tokenizer.json": ["train RUN", "evaluate RUN", "translate RUN TEXT --from en --to de"],
    "data/tokenizer/tokenizer_config.json": ["translate RUN TEXT --from en --to de", "inspect RUN/data/tokenizer"],
    "base/model.safetensors": ["record RUN", "specialize RUN", "evaluate RUN", "inspect RUN/base"],
    "base/generation_config.json": ["record RUN"],
    "activations.safetensors": ["select RUN", "inspect RUN/activations.safetensors"],
    "masks.safetensors": ["specialize RUN", "analyse RUN", "inspect RUN/masks.safetensors"],
    "arms/specialized/model.safetensors": [
        "translate RUN TEXT --from en --to de", "translate RUN/arms/specialized TEXT --from en --to de",
        "export RUN en-de --out OUT", "compact RUN en-de --out OUT", "evaluate RUN", "inspect RUN/arms/specialized",
    ],
    "arms/specialized/neuron_masks.safetensors": ["translate RUN TEXT --from en --to de", "export RUN en-de --out OUT"],
    "arms/dense/model.safetensors": ["evaluate RUN", "analyse RUN"],
    "evaluation/dense/en-de.hyp": ["evaluate RUN"],
    "results.json": ["report RUN", "inspect RUN/results.json", "compare RUN RUN2"],
    "analysis.json": ["report RUN", "inspect RUN/analysis.json"],
}  # fmt: skip
REMAKES = {"train", "record", "select", "specialize", "evaluate", "analyse", "report"}
"""Commands that make a damaged output of their own again."""


@pytest.fixture(scope="module")
def neuronspec() -> Iterator[Commands]:
    with commands() as server:
        yield server


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, neuronspec: Commands) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    ended = neuronspec("run", write_recipe(folder), "--out", folder / "run", *SET)
    assert ended.code == 0, ended.output
    shutil.copytree(folder / "run", folder / "RUN2")
    (folder / "text.txt").write_text("one two\n")
    return folder / "run"


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1 if path.suffix == ".safetensors" else len(content) // 2] ^= 1  # weights, not their names
    path.write_bytes(content)


def given(command: str, run: Path, out: Path) -> list[str]:
    places = {"RUN2": run.parent / "RUN2", "RUN": run, "TEXT": run.parent / "text.txt", "OUT": out}
    return [
        next((word.replace(name, str(path), 1) for name, path in places.items() if word.startswith(name)), word)
        for word in command.split()
    ]


@pytest.mark.parametrize("file", READERS)
def test_every_command_that_reads_it_notices(file: str, run: Path, neuronspec: Commands, tmp_path: Path) -> None:
    whole = (run / file).read_bytes()
    flip(run / file)
    try:
        for number, command in enumerate(READERS[file]):
            ended = neuronspec(*given(command, run, tmp_path / str(number)))
            assert "Traceback" not in ended.output
            if ended.code == 0:  # it made the file again
                assert command.split()[0] in REMAKES and "damaged" in ended.output, ended.output
                assert (run / file).read_bytes() == whole
                flip(run / file)
            else:
                assert ended.code == 1 and Path(file).name in ended.output and "changed" in ended.output, ended.output
    finally:
        (run / file).write_bytes(whole)


@pytest.mark.parametrize("name", ["masks.safetensors", "activations.safetensors"])
def test_inspect_names_the_remedy_for_a_damaged_header(name: str, run: Path, neuronspec: Commands) -> None:
    whole = (run / name).read_bytes()
    (run / name).write_bytes(b"\xff" * 20 + whole[20:])
    try:
        ended = neuronspec("inspect", run / name)
    finally:
        (run / name).write_bytes(whole)
    assert ended.code == 1 and f"neuronspec run {run / 'recipe.yaml'}" in ended.output, ended.output


def test_without_verification_it_is_read(run: Path, neuronspec: Commands, tmp_path: Path) -> None:
    masks = run / "masks.safetensors"
    whole = masks.read_bytes()
    flip(masks)
    ended = neuronspec("inspect", masks, "--no-verify")
    masks.write_bytes(whole)
    assert ended.code == 0, ended.output


def test_run_makes_all_damaged_outputs_again(run: Path, neuronspec: Commands, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(run, tmp_path / "run"))
    for file in READERS:
        flip(damaged / file)
    ended = neuronspec("run", run.parent / "toy.yaml", "--out", damaged, *SET)
    assert ended.code == 0, ended.output
    for file in READERS:
        assert (damaged / file).read_bytes() == (run / file).read_bytes(), file
    again = neuronspec("run", run.parent / "toy.yaml", "--out", damaged, *SET)
    assert again.output.count("up to date") == 15
