"""Damaged files, and commands on what is left: one message or the right result, never a traceback or a wrong result.

Everything is drawn from fixed seeds. The commands run in this process, since starting one takes longer than they do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from tests.helpers.mutations import WAYS, Outcome, copied, damage, neuronspec
from tests.helpers.synthetic import write_recipe

CHANGES = [
    "training.updates=4", "continuation.updates=2", "corpus.languages=[de]", "evaluation.max_sentences=4",
    "evaluation.scores.resamples=10", "corpus.workers=1", "training.validate_every=2", "training.save_every=2",
    "continuation.validate_every=2", "continuation.save_every=2",
]  # fmt: skip
"""From the toy recipe to a run that takes seconds."""


@dataclass
class Bench:
    """A clean run and what commands say of it, and a place for a damaged copy."""

    clean: Path
    folder: Path
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def fresh(self) -> None:
        copied(self.clean, self.run)

    def expected(self, command: str, file: str) -> Outcome:
        """What a command does with the run as it was made."""
        key = f"{command} {file if command.startswith('inspect') else ''}"
        if key not in self.outcomes:
            self.fresh()
            self.outcomes[key] = self.do(command, file)
            assert self.outcomes[key].code == 0, self.outcomes[key].err
        return self.outcomes[key]

    def do(self, command: str, file: str) -> Outcome:
        arguments, out = COMMANDS[command](self.run, self.run / file)
        return neuronspec(*arguments, folder=self.folder, out=out)


def translated(run: Path) -> tuple[object, ...]:
    (run.parent / "in.txt").write_text("one two three\nfour\n", encoding="utf-8")
    return (run.parent / "in.txt", "--from", "en", "--to", "de")


Command = Callable[[Path, Path], tuple[tuple[object, ...], Path | None]]
COMMANDS: dict[str, Command] = {
    "dry-run": lambda run, file: (("run", run / "recipe.yaml", "--out", run, "--dry-run"), None),
    "evaluate": lambda run, file: (("evaluate", run, "--json"), None),
    "evaluate more": lambda run, file: (("evaluate", run, "--json", "--set", "evaluation.max_sentences=3"), None),
    "translate": lambda run, file: (("translate", run, *translated(run)), None),
    "translate base": lambda run, file: (("translate", run / "base", *translated(run)), None),
    "compact": lambda run, file: (("compact", run, "en-de", "--out", run / "new"), run / "new"),
    "export": lambda run, file: (("export", run, "en-de", "--verify", 0, "--out", run / "new"), run / "new"),
    "select more": lambda run, file: (("select", run, "--set", "selection.coverage=0.9"), run / "masks.safetensors"),
    "record more": lambda run, file: (
        ("record", run, "--set", "recording.sentences=5"), run / "activations.safetensors"),
    "train more": lambda run, file: (
        ("train", run, "--set", "training.updates=6"), run / "base" / "model.safetensors"),
    "inspect": lambda run, file: (("inspect", file), None),
    "inspect folder": lambda run, file: (("inspect", file.parent), None),
}  # fmt: skip
"""By name: the arguments, and what is written. (`more` asks for what is not up to date, so that the file is read.)"""

SHOWS_THE_FILE = ("dry-run", "inspect", "inspect folder")
"""Commands whose result is what is in the file, or what has to be done because of it: it may differ."""

READ_BY = {
    "stages.json": ["dry-run", "evaluate", "translate"],
    "recipe.yaml": ["dry-run", "translate", "inspect"],
    "results.json": ["evaluate", "inspect"],
    "analysis.json": ["inspect"],
    "activations.safetensors": ["select more", "inspect"],
    "masks.safetensors": ["inspect"],
    "base/config.json": ["record more", "translate base"],
    "base/generation_config.json": ["translate base"],
    "base/model.safetensors": ["record more", "translate base", "inspect folder"],
    "base/tokenizer.json": ["translate base"],
    "base/tokenizer_config.json": ["translate base"],
    "base/log.jsonl": ["inspect"],
    "base/checkpoints/step-4/trainer.json": ["train more", "inspect folder"],
    "base/checkpoints/step-4/optimizer.safetensors": ["train more"],
    "base/checkpoints/step-4/model.safetensors": ["train more"],
    "arms/specialized/config.json": ["compact"],
    "arms/specialized/model.safetensors": ["export"],
    "arms/specialized/neuron_masks.safetensors": ["translate"],
    "data/corpus.json": ["inspect"],
    "data/tokens/manifest.json": ["record more"],
    "data/tokens/valid.de-en.arrow": ["record more"],
    "data/tokens/test.de-en.arrow": ["evaluate more"],
    "data/tokenizer/tokenizer.json": ["translate"],
    "evaluation/base/en-de.hyp": ["evaluate"],
    "evaluation/base/en-de.statistics.safetensors": ["evaluate"],
    "evaluation/base/scores.json": ["evaluate"],
    "evaluation/copy/overlap.json": ["evaluate"],
}
"""The kinds of files in a run, and commands that read them."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("fuzz")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    changes = [word for change in CHANGES for word in ("--set", change)]
    recipe = write_recipe(folder / "toy")
    made = neuronspec("run", recipe, "--out", folder / "clean", *changes, folder=folder, longest=300)
    assert made.code == 0, made.err
    yield Bench(folder / "clean", folder / "damaged")
    torch.set_num_threads(threads)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", READ_BY)
def test_damaged_files_of_a_run(bench: Bench, file: str, way: str) -> None:
    for command in READ_BY[file]:
        expected = bench.expected(command, file)
        bench.fresh()
        if not damage(bench.run / file, way, random.Random(f"{file} {way} {command}")):
            return
        found = bench.do(command, file)
        assert found.readable(), f"{command}: {found.code} {found.err}"
        if found.code == 0 and command not in SHOWS_THE_FILE:
            assert (found.out, found.files) == (expected.out, expected.files), f"{command} gave something else"


@pytest.mark.parametrize("way", ["cut", "flip", "bytes", "value", "key"])
@pytest.mark.parametrize("file", READ_BY)
def test_damaged_files_of_a_run_that_are_not_verified(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, file: str, way: str
) -> None:
    """The readers themselves hold, also where the checksums don't keep damage from them."""
    command = READ_BY[file][0]
    bench.fresh()
    if damage(bench.run / file, way, random.Random(f"{file} {way}")):
        monkeypatch.setenv("NEURONSPEC_NO_VERIFY", "1")
        found = bench.do(command, file)
        assert found.readable(), f"{command}: {found.code} {found.err}"
