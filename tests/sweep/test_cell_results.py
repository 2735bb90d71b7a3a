"""Scores of a sweep's cells, and of the run that it began from."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.toy_sweep import write_sweep

from neuronspec.evaluation.results import read_scores_file, write_scores
from neuronspec.evaluation.scorer import Scorer, score_direction
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.sweep.cell_results import _find
from neuronspec.sweep.nodes import Node
from neuronspec.sweep.settings import Sweep


def scorer(**settings: object) -> Scorer:
    return Scorer(ScoreSettings.model_validate({"off_target": False} | settings), ["de", "en"])


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
