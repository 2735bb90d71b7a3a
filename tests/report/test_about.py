"""What a report says was run."""

from __future__ import annotations

from typing import Any

from neuronspec.analysis.own_model import Subject
from neuronspec.recipe import Recipe
from neuronspec.report.about import about_model, about_run

CORPUS = {"pivot": "en", "languages": ["de", "fr"], "train": {"reader": "tsv", "path": "texts/small.tsv"}}
TASKS = {
    "train": {"finished": "2026-05-01T10:00:00+00:00", "seconds": 100.0},
    "report": {"finished": "2026-05-02T10:00:00+00:00", "seconds": 140.0},
}
START = {"kind": "start", "parameters": 1_311_872, "directions": {"en-de": {"pairs": 1000}, "en-fr": {"pairs": 500}}}


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({"name": "small", "corpus": CORPUS, "continuation": {"updates": 5}, **changes})


def test_a_run_tells_date_model_text_and_time() -> None:
    made = recipe(model={"preset": "tiny"}, training={"updates": 9})
    told = about_run(made, TASKS, {"base": [START]}, {"processor": "Imaginary CPU", "accelerator": None})
    assert told.startswith("On 2 May 2026, a Transformer of preset ")
    assert "(1.31 million parameters) was trained on 1,500 pairs of sentences in 2 directions (tsv small.tsv)" in told
    assert told.endswith(" and continued as specialized, dense and random, in 4 min on Imaginary CPU.")


def test_text_that_is_read_twice_is_told_once() -> None:
    catalogs = {"reader": "catalogs", "packages": ["django", "plone.app.locales", "wagtail"]}
    train = [catalogs | {"min_words": 4}, catalogs | {"held_out": False}, CORPUS["train"]]
    made = recipe(corpus=CORPUS | {"train": train}, training={"updates": 9})
    told = about_run(made, TASKS, {"base": [START]}, {})
    assert "(catalogs django, plone.app.locales and wagtail; tsv small.tsv)" in told


def test_a_checkpoint_that_is_the_baseline_was_not_trained() -> None:
    given = recipe(model={"pretrained": "facebook/nllb"})
    told = about_run(given, TASKS, {"base": [], "dense": [START]}, {})
    assert told.startswith("On 2 May 2026, the checkpoint facebook/nllb was taken as the baseline, as it is, and con")
    assert (
        "on 1,500 pairs of sentences in 2 directions (tsv small.tsv) as specialized, dense and random, in 4 min."
        in told
    )


def test_an_analysed_model_tells_its_text() -> None:
    facts: dict[str, Any] = {"families": {}, "coverage": 0.95, "statistic": "count", "environment": {}}
    subject = Subject(
        model="m", data="t.tsv", pivot="en", directions=["en-de"], sentences=9, date="2026-05-02", **facts
    )
    assert about_model(subject) == (
        "On 2 May 2026, the neurons of m (float32) were recorded on t.tsv: up to 9 sentences in each of 1 directions."
    )
