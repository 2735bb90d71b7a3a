"""Damaged files, and commands on what is left: one message or the right result, never a traceback or a wrong result.

Everything is drawn from fixed seeds. The commands run in this process, since starting one takes longer than they do: a
sweep's workers, too, and a server ends when it could begin. A sample of the cases always runs; all do under `-m slow`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from tests.helpers.mutations import WAYS, Outcome, copied, damage, neuronspec
from tests.helpers.synthetic import write_recipe

from neuronspec.core.errors import NeuronspecError

CHANGES = [
    "training.updates=4", "continuation.updates=2", "corpus.languages=[de]", "evaluation.max_sentences=4",
    "evaluation.scores.resamples=10", "evaluation.scores.trials=10", "corpus.workers=1", "training.validate_every=2",
    "training.save_every=2", "continuation.validate_every=2", "continuation.save_every=2",
]  # fmt: skip
"""From the toy recipe to a run that takes seconds."""

SWEEP = """\
name: toy
recipe: toy.yaml
set:
"""


class Worker:
    """Stands in for the process that a sweep starts: its tasks are done when it is made."""

    def __init__(self, command: list[str], *, stdout: Any, **_: Any) -> None:
        from neuronspec.recipe import Recipe
        from neuronspec.runs.pipeline import Pipeline

        folder, tasks = Path(command[3]), command[4:]
        self.returncode = 0
        try:
            Pipeline(Recipe.of_run(folder), folder).execute(names=tasks)
        except NeuronspecError as error:
            stdout.write(f"error: {error}\n".encode())
            self.returncode = error.exit_code

    def poll(self) -> int:
        return self.returncode


def served(translator: Any, *_: Any) -> None:
    """Instead of an application: what the server would answer, by direction."""
    for direction in translator.reachable():
        try:
            answer = translator("one two three", direction)
        except NeuronspecError as error:
            answer = f"error: {error}"
        print(f"{direction}: {answer}")


@dataclass
class Bench:
    """Folders as they were made and what commands say of them, and a place for damaged copies.

    They are made where the copies will be: a sweep remembers where the run is that it began from.
    """

    clean: Path
    place: Path
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def fresh(self) -> None:
        copied(self.clean, self.place)

    def expected(self, command: str, file: str) -> Outcome:
        """What a command does where nothing is damaged."""
        key = f"{command} {file if command.startswith('inspect') else ''}"
        if key not in self.outcomes:
            self.fresh()
            self.outcomes[key] = self.do(command, file)
            assert self.outcomes[key].code == 0, f"{command}: {self.outcomes[key].err}"
        return self.outcomes[key]

    def do(self, command: str, file: str) -> Outcome:
        arguments, out = COMMANDS[command](self.place, self.place / file)
        with (
            mock.patch("neuronspec.sweep.executors.executor.subprocess.Popen", Worker),
            mock.patch("neuronspec.deploy.server.app.create_app", served),
            mock.patch("uvicorn.Server.run"),
        ):
            return neuronspec(*arguments, folder=self.place, out=out)


def translated(at: Path) -> tuple[object, ...]:
    (at / "in.txt").write_text("one two three\nfour\n", encoding="utf-8")
    return (at / "in.txt", "--from", "en", "--to", "de")


Command = Callable[[Path, Path], tuple[tuple[object, ...], Path | None]]
COMMANDS: dict[str, Command] = {
    "dry-run": lambda at, file: (("run", at / "run/recipe.yaml", "--out", at / "run", "--dry-run"), None),
    "evaluate": lambda at, file: (("evaluate", at / "run", "--json"), None),
    "evaluate more": lambda at, file: (
        ("evaluate", at / "run", "--json", "--set", "evaluation.max_sentences=3"), None),
    "compare": lambda at, file: (("compare", at / "run", at / "other", "--json"), None),
    "translate": lambda at, file: (("translate", at / "run", *translated(at)), None),
    "translate base": lambda at, file: (("translate", at / "run/base", *translated(at)), None),
    "translate exported": lambda at, file: (("translate", at / "exported", *translated(at)), None),
    "translate bundle": lambda at, file: (("translate", at / "bundle", *translated(at)), None),
    "serve": lambda at, file: (("serve", at / "run", "--port", 0), None),
    "serve exported": lambda at, file: (("serve", at / "exported", "--port", 0), None),
    "serve bundle": lambda at, file: (("serve", at / "bundle", "--port", 0), None),
    "serve with keys": lambda at, file: (("serve", at / "exported", "--port", 0, "--keys", at / "keys.json"), None),
    "compact": lambda at, file: (("compact", at / "run", "en-de", "--out", at / "new"), at / "new"),
    "export": lambda at, file: (("export", at / "run", "en-de", "--verify", 0, "--out", at / "new"), at / "new"),
    "export the rest": lambda at, file: (
        ("export", at / "run", "--all", "--verify", 0, "--out", at / "exported"), at / "exported"),
    "select more": lambda at, file: (
        ("select", at / "run", "--set", "selection.coverage=0.9"), at / "run/masks.safetensors"),
    "record more": lambda at, file: (
        ("record", at / "run", "--set", "recording.sentences=5"), at / "run/activations.safetensors"),
    "train more": lambda at, file: (
        ("train", at / "run", "--set", "training.updates=6"), at / "run/base/model.safetensors"),
    "specialize more": lambda at, file: (
        ("specialize", at / "run", "--set", "continuation.updates=3"), at / "run/arms/specialized/model.safetensors"),
    "sweep": lambda at, file: (("sweep", at / "toy/sweep.yaml", "--out", at / "sweep"), at / "sweep/results.json"),
    "plan of a sweep": lambda at, file: (("sweep", at / "toy/sweep.yaml", "--out", at / "sweep", "--dry-run"), None),
    "inspect": lambda at, file: (("inspect", file), None),
    "inspect folder": lambda at, file: (("inspect", file.parent), None),
}  # fmt: skip
"""By name: the arguments, and what is written. (`more` asks for what is not up to date, so that the file is read.)"""

SHOWS_THE_FILE = ("dry-run", "inspect", "inspect folder", "plan of a sweep")
"""Commands whose result is what is in the file, or what has to be done because of it: it may differ."""

READ_BY = {
    "run/stages.json": ["dry-run", "evaluate", "translate"],
    "run/recipe.yaml": ["dry-run", "translate", "inspect"],
    "run/results.json": ["evaluate", "inspect", "compare"],
    "run/analysis.json": ["inspect"],
    "run/activations.safetensors": ["select more", "inspect"],
    "run/masks.safetensors": ["inspect", "specialize more"],
    "run/base/config.json": ["record more", "translate base", "specialize more"],
    "run/base/generation_config.json": ["translate base"],
    "run/base/model.safetensors": ["record more", "translate base", "inspect folder", "specialize more"],
    "run/base/tokenizer.json": ["translate base"],
    "run/base/tokenizer_config.json": ["translate base"],
    "run/base/log.jsonl": ["inspect"],
    "run/base/checkpoints/step-4/trainer.json": ["train more", "inspect folder"],
    "run/base/checkpoints/step-4/optimizer.safetensors": ["train more"],
    "run/base/checkpoints/step-4/model.safetensors": ["train more"],
    "run/arms/specialized/config.json": ["compact", "serve"],
    "run/arms/specialized/model.safetensors": ["export", "serve"],
    "run/arms/specialized/neuron_masks.safetensors": ["translate", "serve"],
    "run/arms/specialized/cost.json": ["dry-run", "evaluate"],
    "run/arms/specialized/checkpoints/step-2/trainer.json": ["specialize more"],
    "run/data/corpus.json": ["inspect"],
    "run/data/tokens/manifest.json": ["record more"],
    "run/data/tokens/valid.de-en.arrow": ["record more"],
    "run/data/tokens/test.de-en.arrow": ["evaluate more"],
    "run/data/tokenizer/tokenizer.json": ["translate", "serve"],
    "run/evaluation/base/en-de.hyp": ["evaluate"],
    "run/evaluation/base/en-de.statistics.safetensors": ["evaluate", "compare"],
    "run/evaluation/base/scores.json": ["evaluate"],
    "run/evaluation/copy/overlap.json": ["evaluate"],
    "other/results.json": ["compare"],
    "other/recipe.yaml": ["compare"],
    "exported/en-de/neuronspec.json": ["translate exported", "serve exported", "export the rest", "inspect folder"],
    "exported/en-de/model.bin": ["translate exported", "serve exported", "export the rest"],
    "exported/en-de/config.json": ["serve exported"],
    "exported/en-de/shared_vocabulary.json": ["translate exported", "serve exported"],
    "exported/en-de/tokenizer.json": ["translate exported", "serve exported", "export the rest"],
    "exported/en-de/tokenizer_config.json": ["serve exported"],
    "bundle/neuronspec.json": ["translate bundle", "serve bundle", "inspect folder"],
    "bundle/model.bin": ["translate bundle", "serve bundle"],
    "bundle/neuron_masks.safetensors": ["translate bundle", "serve bundle", "inspect"],
    "bundle/output_biases.safetensors": ["translate bundle", "serve bundle"],
    "bundle/shared_vocabulary.json": ["serve bundle"],
    "keys.json": ["serve with keys"],
    "toy/sweep.yaml": ["plan of a sweep"],
    "sweep/sweep.json": ["plan of a sweep", "sweep", "inspect folder"],
    "sweep/results.json": ["inspect", "sweep"],
    "sweep/cells/dense/seed-1/stages.json": ["plan of a sweep", "sweep", "inspect folder"],
    "sweep/cells/dense/seed-1/recipe.yaml": ["plan of a sweep", "sweep"],
    "sweep/cells/dense/seed-1/arms/dense/cost.json": ["plan of a sweep", "sweep"],
    "sweep/cells/dense/seed-1/arms/dense/log.jsonl": ["sweep", "inspect"],
    "sweep/cells/dense/seed-1/evaluation/dense/scores.json": ["sweep"],
}
"""The kinds of files that we write, and commands that read them."""


def make(place: Path) -> None:
    """A run, a second one, exports, a sweep."""

    def do(*arguments: object) -> None:
        with mock.patch("neuronspec.sweep.executors.executor.subprocess.Popen", Worker):
            made = neuronspec(*arguments, folder=place, longest=300)
        assert made.code == 0, made.err

    recipe, run = write_recipe(place / "toy"), place / "run"
    changes = [word for change in CHANGES for word in ("--set", change)]
    do("run", recipe, "--out", run, *changes)
    copied(run, place / "other")
    do("evaluate", place / "other", "--set", "evaluation.beam=1")
    do("export", run, "--all", "--verify", 0, "--out", place / "exported")
    do("export", run, "--bundle", "--verify", 0, "--out", place / "bundle")
    entries = "".join(f"  {change.replace('=', ': ', 1)}\n" for change in CHANGES)
    (place / "toy/sweep.yaml").write_text(f"{SWEEP}{entries}arms: {{dense: }}\n", encoding="utf-8")
    do("sweep", place / "toy/sweep.yaml", "--out", place / "sweep", "--base", run)
    key = {"name": "one", "sha256": hashlib.sha256(b"secret").hexdigest(), "requests": 10, "characters": 100}
    (place / "keys.json").write_text(json.dumps([key]), encoding="utf-8")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("fuzz")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    make(folder / "place")
    copied(folder / "place", folder / "clean")
    yield Bench(folder / "clean", folder / "place")
    torch.set_num_threads(threads)


def sampled(ways: Sequence[str], each: int) -> Iterator[Any]:
    """Pairs of a file and a way. Of each file, `each` of the ways, in turn, are always tried; the others are slow."""
    for place, file in enumerate(READ_BY):
        always = {ways[(place * each + number) % len(ways)] for number in range(each)}
        for way in ways:
            yield pytest.param(file, way, marks=[] if way in always else pytest.mark.slow)


def same(command: str, found: Outcome, expected: Outcome) -> bool:
    """Whether a command that succeeded gave the right result."""
    if command in SHOWS_THE_FILE:
        return True
    if command.startswith("serve"):  # what is damaged may be left out, or refused when it is asked for
        right = expected.out.splitlines()
        return all(line in right or ": error: " in line for line in found.out.splitlines())
    if command == "sweep":  # how long it took differs
        return scores(found) == scores(expected)
    return (found.out, found.files) == (expected.out, expected.files)


def scores(outcome: Outcome) -> Any:
    return json.loads(outcome.files["."])["arms"]


@pytest.mark.parametrize(("file", "way"), sampled(list(WAYS), 1))
def test_damaged_files(bench: Bench, file: str, way: str) -> None:
    for command in READ_BY[file]:
        expected = bench.expected(command, file)
        bench.fresh()
        if not damage(bench.place / file, way, random.Random(f"{file} {way} {command}")):
            return
        found = bench.do(command, file)
        assert found.readable(), f"{command}: {found.code} {found.err}"
        if found.code == 0:
            assert same(command, found, expected), f"{command} gave something else: {found.out}{found.err}"


@pytest.mark.parametrize(("file", "way"), sampled(["cut", "flip", "bytes", "value", "key"], 1))
def test_damaged_files_that_are_not_verified(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, file: str, way: str
) -> None:
    """The readers themselves hold, also where the checksums don't keep damage from them."""
    command = READ_BY[file][0]
    bench.fresh()
    if damage(bench.place / file, way, random.Random(f"{file} {way}")):
        monkeypatch.setenv("NEURONSPEC_NO_VERIFY", "1")
        found = bench.do(command, file)
        assert found.readable(), f"{command}: {found.code} {found.err}"
