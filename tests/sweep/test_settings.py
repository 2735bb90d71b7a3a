"""Sweep files: what they ask for, and mistakes in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.helpers.toy_sweep import write_sweep

from neuronspec.core.errors import RecipeError
from neuronspec.recipe import Recipe
from neuronspec.sweep.settings import Sweep


def test_cells_are_entries_by_settings_by_seeds(tmp_path: Path) -> None:
    text = """\
seeds: [1, 2]
arms:
  dense:
  k70: {arm: specialized, set: {selection.coverage: 0.7}, seeds: [3]}
settings:
  slow: {continuation.learning_rate: 1e-4}
  fast: {continuation.learning_rate: 1e-3}
"""
    made = Sweep.load(write_sweep(tmp_path, text)).recipes()
    assert [cell.name for cell, _ in made] == [
        "dense+slow/seed-1", "dense+slow/seed-2", "dense+fast/seed-1", "dense+fast/seed-2",
        "k70+slow/seed-3", "k70+fast/seed-3",
    ]  # fmt: skip
    rates = [recipe.continuation.learning_rate for _, recipe in made]
    assert rates == [1e-4, 1e-4, 1e-3, 1e-3, 1e-4, 1e-3]
    assert [recipe.selection.coverage for _, recipe in made] == [0.95] * 4 + [0.7] * 2
    assert [recipe.continuation.seed for _, recipe in made] == [1, 2, 1, 2, 3, 3]
    assert {recipe.seed for _, recipe in made} == {3}, "corpus and baseline are those of the recipe"


def test_every_entry_continues_from_every_baseline(tmp_path: Path) -> None:
    text = "base_seeds: [5, 6]\nseeds: [1, 2]\narms: {dense: , random: {seeds: [1]}}\n"
    made = Sweep.load(write_sweep(tmp_path, text)).recipes()
    assert [cell.name for cell, _ in made] == [
        "dense/base-5/seed-1", "dense/base-5/seed-2", "dense/base-6/seed-1", "dense/base-6/seed-2",
        "random/base-5/seed-1", "random/base-6/seed-1",
    ]  # fmt: skip
    assert [cell.training for cell, _ in made] == [(5, 1), (5, 2), (6, 1), (6, 2), (5, 1), (6, 1)]
    assert [recipe.training.seed for _, recipe in made] == [5, 5, 6, 6, 5, 6]
    assert {recipe.seed for _, recipe in made} == {3}, "the corpus is the recipe's"


def test_a_value_in_any_script_reaches_the_recipe(tmp_path: Path) -> None:
    name = "\U0001f600 \u00e9.tsv"
    path = write_sweep(tmp_path, "arms: {dense: }\n")
    ((_, recipe),) = Sweep.load(path, [f"corpus.train={{reader: moses, path: '{name}.{{lang}}'}}"]).recipes()
    assert name in str(recipe.corpus.sources["train"][0].path)


def test_what_all_entries_share_can_be_set_from_outside(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, "set: {continuation.updates: 5}\narms: {dense: , random: {}}\n")
    (_, first), (_, second) = Sweep.load(path, ["continuation.updates=7", "model.d_model=16"]).recipes()
    assert (first.continuation.updates, second.continuation.updates) == (7, 7)
    assert first.model.d_model == 16


def test_the_baseline_of_an_entry_has_its_settings() -> None:
    known = ["dense+slow", "random"]
    assert Sweep.baseline_of("specialized+slow", "dense", known) == "dense+slow"
    assert Sweep.baseline_of("specialized+slow", "random", known) == "random"
    assert Sweep.baseline_of("specialized+fast", "dense", known) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("arms: {dense: , spezialized: {}}", "entry spezialized.*did you mean 'specialized'"),
        ("arms: {dense: {set: {continuation.upadtes: 3}}}", "entry dense.*upadtes.*updates"),
        ("arms: {dense: , random: }\nset: {seed: x}", "^entries dense, random: (?!.*seed=.*seed=)"),
        ("arms: {dense: {set: {selection.coverage: 1.5}}}", "entry dense.*coverage"),
        ("arms: {dense: }\nseeds: [1, 1]", r"sweep.yaml:4: seeds: \[1, 1\] names a seed twice"),
        ("arms: {dense: }\nbase_seeds: [1, 1]", r"sweep.yaml:4: base_seeds: \[1, 1\] names a seed twice"),
        ("arms:\n  dense: {seeds: [2, 2]}", r"sweep.yaml:4: arms.dense.seeds: \[2, 2\] names a seed twice"),
        ("arms: {dense: }\nbase_seeds: []", "base_seeds"),
        ("arms: {dense: {set: {training.seed: 4}}}\nbase_seeds: [1]", "base_seeds set it"),
        ("arms: {random: }", "baselines: 'dense' is no entry"),
        ("arms: {dense: {set: {continuation.seed: 4}}}", "seeds set it"),
        ("arms: {dense: {set: {arms: [lora]}}}", "an entry names its arm"),
        ("arms: {dense: }\nsettings: {a: {continuation.seed: 4}}", "settings.a.*seeds set it"),
        ("arms: {dense: {set: {evaluation.max_sentences: 3}}}", "same test sentences"),
        ("arms: {dense: , other: {arm: dense, set: {corpus.test_share: 0.2}}}", "same test sentences"),
        ("arms: {dense: {set: {evaluation: {max_sentences: 3}}}}", "evaluation.max_sentences.*same test sentences"),
        ("arms: {dense: {set: {evaluation: {beam: 1}}}}", "evaluation can't be changed as a whole.*max_sentences"),
        ("arms: {dense: {set: {continuation: {updates: 3, seed: 4}}}}", "continuation.seed.*seeds set it"),
        (
            "arms: {dense: }\nset: {training: {updates: 3, seed: 4}}\nbase_seeds: [1]",
            "training.seed.*base_seeds set it",
        ),
        ("arms: {dense: , base: {arm: dense}}", "sweep.yaml:3: arms: base: an entry can't be named so"),
        ("arms: {dense: , lora: {set: {continuation.mix_directions: true}}}", "entry lora.*mix_directions"),
        ("arms: {dense: {kind: 3}}", "kind"),
        ("arms: {}", "arms"),
        ("arms: {dense/x: }", "dense/x"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = write_sweep(tmp_path, text + "\n")
    with pytest.raises(RecipeError) as caught:
        Sweep.load(path)
    assert re.search(told, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (
            "set:\n  continuation.warmup: 0\narms: {dense: }",
            4,
            "set.continuation.warmup is 0; it should be more than 0",
        ),
        ("arms:\n  dense:\n  spezialized:", 5, "arms.spezialized is 'spezialized'; did you mean 'specialized'?"),
        (
            "arms:\n  dense:\n    set:\n      selection:\n        coverage: 1.7",
            7,
            "arms.dense.set.selection.coverage is 1.7",
        ),
        (
            "arms:\n  dense:\n    set:\n      training.upadtes: 3",
            6,
            "unknown key 'arms.dense.set.training.upadtes'; did you mean 'updates'?",
        ),
        (
            "arms: {dense: }\nsettings:\n  k0.7: {selection.coverage: 7}",
            5,
            "settings.k0.7.selection.coverage is 7; it should be at most 1",
        ),
        (
            "arms:\n  dense:\n  lora:\n    set: {continuation.mix_directions: true}",
            6,
            "continuation.mix_directions is true, but",
        ),
    ],
)
def test_mistakes_in_changes_are_told_where_they_stand(tmp_path: Path, text: str, line: int, told: str) -> None:
    path = write_sweep(tmp_path, text + "\n")
    with pytest.raises(RecipeError) as caught:
        Sweep.load(path)
    title, *lines = str(caught.value).splitlines()
    assert title.endswith(f"in the recipe {tmp_path / 'toy.yaml'} with the changes of {path}:")
    assert any(each.startswith(f"  {path}:{line}: {told}") for each in lines), lines


def test_mistakes_of_the_recipe_and_the_command_line_keep_their_places(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, "arms: {dense: , random: }\n")
    recipe = tmp_path / "toy.yaml"
    recipe.write_text(recipe.read_text() + "modl: {}\n")
    with pytest.raises(RecipeError) as caught:
        Sweep.load(path, ["seed=x"])
    title, *lines = str(caught.value).splitlines()
    assert title.startswith("entries dense, random: 2 mistakes in the recipe ")
    assert lines[0] == "  --set seed=x: seed is 'x'; it should be a whole number"
    assert lines[1].startswith(f"  {recipe}:{len(recipe.read_text().splitlines())}: unknown key 'modl'")


def test_the_text_that_the_test_is_drawn_from_is_one(tmp_path: Path) -> None:
    half = "half: {arm: dense, set: {corpus.train: {reader: tsv, path: table.tsv, share: 0.5}}}"
    path = write_sweep(tmp_path, f"arms: {{dense: , {half}}}\n")
    with pytest.raises(
        RecipeError, match=r"entry half: corpus.train is other .* entry dense.*corpus.valid and corpus.te"
    ):
        Sweep.load(path)
    given = [f"corpus.{split}={{reader: tsv, path: table.tsv}}" for split in ("valid", "test")]
    with pytest.raises(RecipeError, match="entry half"):
        Sweep.load(path, given[:1])
    assert len(Sweep.load(path, given).recipes()) == 2
    source = "{reader: tsv, path: table.tsv}"
    more = f"more: {{arm: dense, set: {{corpus.train: [{source}, {source[:-1]}, held_out: false}}]}}}}"
    assert len(Sweep.load(write_sweep(tmp_path, f"arms: {{dense: , {more}}}\n")).recipes()) == 2


def test_a_sweep_and_a_recipe_are_told_apart(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, "arms: {dense: }\n")
    with pytest.raises(RecipeError, match="sweep.yaml is a sweep, not a recipe: run it with 'neuronspec sweep"):
        Recipe.load(path, ["seed=2"])
    with pytest.raises(RecipeError, match="toy.yaml is a recipe, not a sweep: run it with 'neuronspec run"):
        Sweep.load(tmp_path / "toy.yaml")


def test_a_missing_recipe_and_a_bad_override_are_told(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, "arms: {dense: }\n")
    with pytest.raises(RecipeError, match="section.key=value"):
        Sweep.load(path, ["updates"])
    with pytest.raises(RecipeError, match="seeds set it"):
        Sweep.load(path, ["continuation.seed=9"])
    with pytest.raises(RecipeError, match="YAML"):
        Sweep.load(path, ["training.updates=[1"])
    assert Sweep.load(path, ["corpus.test_share=0.2"]).set == {"corpus.test_share": 0.2}
    (tmp_path / "toy.yaml").unlink()
    with pytest.raises(RecipeError, match="no such file"):
        Sweep.load(path)
