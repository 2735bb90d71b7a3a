"""Scores of a sweep's cells, and of the run that it began from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.toy_sweep import write_sweep

from neuronspec.arms.arm import Cost
from neuronspec.evaluation.results import DirectionScore, read_scores_file, write_scores
from neuronspec.evaluation.scorer import Scorer, score_direction
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.sweep.cell_results import _entry, _find, _over_base, _starts
from neuronspec.sweep.differences import Found
from neuronspec.sweep.nodes import Node, nodes_of
from neuronspec.sweep.settings import Sweep


def scorer(**settings: object) -> Scorer:
    return Scorer(ScoreSettings.model_validate({"off_target": False} | settings), ["de", "en"])


def one_score(number: float) -> DirectionScore:
    content = {"bleu": 1.0, "chrf++": number, "loss": None, "n": 1, "signatures": {}}
    return DirectionScore.model_validate(content)


def test_an_entry_gains_over_the_baseline_that_it_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """\
set: {continuation.directions: [en-de]}
arms:
  dense:
  greedy: {arm: dense, set: {evaluation.beam: 1}}
  other: {arm: dense, set: {training.temperature: 1}}
"""
    nodes = nodes_of(Sweep.load(write_sweep(tmp_path, text)), tmp_path / "out")
    floors = [node.folder for node in nodes if node.tasks == ("evaluate/base",)]
    assert len(floors) == 3

    def score(node: Node, arm: str, scorer: Scorer, folder: Path) -> tuple[dict[str, DirectionScore], dict[str, None]]:
        number = 10.0 * floors.index(node.folder) if node.folder in floors else 50.0
        return {"en-de": one_score(number)}, {}

    monkeypatch.setattr("neuronspec.sweep.cell_results._scored", score)
    found = _find(nodes, scorer(), tmp_path / "out", several=False)
    starts = _starts(found, nodes, scorer(), tmp_path / "out")
    gains = {name: _over_base(found[name], starts[name])["chrf++"]["en-de"] for name in ("dense", "greedy", "other")}
    assert gains == {"dense": [50.0], "greedy": [40.0], "other": [30.0]}


@pytest.mark.parametrize(("bases", "shown"), [([0, 1], [0, 1]), ([0], [0]), (None, [])])
def test_a_baseline_s_seed_may_be_0_and_groups_may_be_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bases: list[int] | None, shown: list[int]
) -> None:
    text = f"base_seeds: {bases}\n" if bases else ""
    sweep = Sweep.load(write_sweep(tmp_path, text + "seeds: [3, 4]\narms: {dense: }\n"))
    nodes = [node for node in nodes_of(sweep, tmp_path / "out") if node.cell]
    made = {node.cell.training: node for node in nodes if node.cell}
    one = Found(made, {training: {"en-de": one_score(50.0)} for training in made})
    cost = Cost(1, 1, 0.0, 0.0, 1)
    monkeypatch.setattr("neuronspec.sweep.cell_results._cost", lambda node, folders: cost)
    monkeypatch.setattr("neuronspec.sweep.cell_results._best", lambda folder: None)
    entry = _entry(one, {"adapted": ["en-de"], "others": []}, "dense", {})
    assert entry.base_seeds == shown and entry.trainings == len(nodes) and set(entry.means) == {"adapted"}
    assert entry.trained == [(base, seed) for base in bases or [0] for seed in (3, 4)]


def test_other_scores_of_a_given_run_are_written_into_the_sweep(tmp_path: Path) -> None:
    recipe = Sweep.load(write_sweep(tmp_path, "arms: {dense: }\n")).recipes()[0][1]
    run, out = tmp_path / "run", tmp_path / "out"
    place, copy = run / "evaluation" / "base", out / "shared" / "given" / "evaluation" / "base"
    place.mkdir(parents=True)
    texts = [["one two three", "four"], ["eins zwei drei", "fünf"], ["eins zwei drei", "vier"]]

    def translated() -> None:
        for part, lines in zip(("src", "hyp", "ref"), texts, strict=True):
            (place / f"en-de.{part}").write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_scores(
            place, {"en-de": score_direction(place, "en-de", texts, scorer(), {"loss": None, "n": 2})[0]}, "here"
        )

    def content() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in place.iterdir()}

    translated()
    node, before = Node(run, recipe, ("evaluate/base",), {}, given=True), content()
    for settings in ({}, {"tokenizers": {"de": "char"}}, {"tokenizers": {"de": "char"}}):
        found = _find([node], scorer(**settings), out, several=False)["base"]
        written = read_scores_file(copy)
        assert written is not None and written.scores == found.scores[0, 0]
        assert content() == before
    texts[1][1] = "vier"
    translated()
    _find([node], scorer(), out, several=False)
    assert (copy / "en-de.hyp").read_bytes() == (place / "en-de.hyp").read_bytes()
