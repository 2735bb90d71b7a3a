from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from neuronspec.core.errors import RecipeError
from neuronspec.recipe import Recipe

GOOD = """\
name: trial
corpus:
  train: {reader: catalogs}
  languages: [de, nb, pt_BR]
training: {updates: 10, learning_rate: 5e-4}
continuation: {updates: 5}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(folder: Path, text: str, overrides: list[str] | None = None) -> str:
    with pytest.raises(RecipeError) as caught:
        Recipe.load(write(folder, text), overrides)
    return str(caught.value)


def test_load_fills_defaults_and_directions(tmp_path: Path) -> None:
    recipe = Recipe.load(write(tmp_path, GOOD))
    assert [str(d) for d in recipe.corpus.all_directions] == [
        "de-en",
        "en-de",
        "en-nb",
        "en-pt_BR",
        "nb-en",
        "pt_BR-en",
    ]
    assert recipe.training.learning_rate == 5e-4
    assert recipe.arms == ["specialized", "dense", "random"]


def test_controls_cannot_be_left_out(tmp_path: Path) -> None:
    assert Recipe.load(write(tmp_path, GOOD + "arms: [specialized]\n")).arms == [
        "specialized",
        "dense",
        "random",
    ]


def test_resolved_recipe_loads_to_the_same(tmp_path: Path) -> None:
    recipe = Recipe.load(write(tmp_path, GOOD), ["training.updates=77", "model.preset=tiny"])
    assert recipe.training.updates == 77
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
    assert Recipe.of_run(tmp_path / "run") == recipe


def test_paths_start_at_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "text.tsv").write_text("en\tde\n", encoding="utf-8")
    text = GOOD.replace("{reader: catalogs}", "{reader: tsv, path: text.tsv}")
    assert Recipe.load(write(tmp_path, text)).corpus.train.path == tmp_path / "text.tsv"  # type: ignore[attr-defined]


def test_all_mistakes_at_once_with_lines_and_hints(tmp_path: Path) -> None:
    text = (
        GOOD.replace("updates: 10,", "updats: 10,")
        .replace("nb,", "xx, yy,")
        .replace("name: trial", "name: trial\nmodl: {}")
    )
    message = mistakes(tmp_path, text, ["evaluation.bem=3"])
    assert message.startswith("6 mistakes")
    assert ":2: unknown key 'modl'; did you mean 'model'?" in message
    assert "unknown key 'training.updats'; did you mean 'updates'?" in message
    assert "unknown language 'xx'" in message and "unknown language 'yy'" in message
    assert "--set evaluation.bem=3: unknown key 'evaluation.bem'; did you mean 'beam'?" in message


def test_mistakes_about_arms_and_their_settings_are_a_list_with_lines(tmp_path: Path) -> None:
    arms = """\
arms:
  - dense
  - lass
  - {name: half, arm: averaged, of: dens}
  - name: quarter
    arm: averaged
    of: lass
baselines:
  bilingual: {directions: [en-fr]}
evaluation: {beam: 100000}
"""
    path = tmp_path / "recipe.yaml"
    found = mistakes(tmp_path, GOOD + arms, []).splitlines()
    first = len(GOOD.splitlines())
    assert found[0] == f"5 mistakes in the recipe {path}:"
    assert [line.strip().removeprefix(f"{path}:").split(": ", 1)[0] for line in found[1:]] == [
        str(first + line) for line in (4, 7, 8, 9, 10)
    ]
    for line, told in zip(
        found[1:],
        (
            "arms: half: of: there is no arm 'dens' to average; did you mean 'dense'?",
            "arms: quarter: of: lass can't be averaged",
            "baselines.lass.updates: the arm lass needs it",
            "baselines.bilingual.directions: en-fr isn't trained",
            "evaluation.beam: 100000 hypotheses are more than the ",
        ),
        strict=True,
    ):
        assert f": {told}" in line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("arms: [{name: a b}]", "arms.0.name is 'a b'; it should be letters from a to z, digits, '.', '_' and '-',"),
        (
            "corpus.train={reader: csv, path: ., delimiter: ab}",
            "'ab'; it should be one character, no quote or line end",
        ),
        ("corpus.train={reader: catalogs, domain: a b}", "'a b'; it should be 1 to 30 letters from a to z, digits,"),
    ],
)
def test_what_text_should_be_is_told_in_words(tmp_path: Path, text: str, told: str) -> None:
    key, value = re.split("[:=] ?", text, maxsplit=1)
    assert told in mistakes(tmp_path, GOOD, [f"{key}={value}"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("updates: 10,", "updates: 10, epochs: 2,"),
            "exactly one of updates, epochs, minutes; given: updates, epochs",
        ),
        (("updates: 10,", "updates: -1,"), "training.updates is -1"),
        (("learning_rate: 5e-4", "learning_rate: fast"), "training.learning_rate is 'fast'"),
        (("reader: catalogs", "reader: catalog"), "corpus.train.reader is 'catalog'; did you mean 'catalogs'?"),
        (("{reader: catalogs}", "{path: x}"), "'corpus.train.reader' is missing; it is one of catalogs, tsv, "),
        (("{reader: catalogs}", "{reader: tsv, path: x.tsv, pth: x}"), "key 'corpus.train.pth'; did you mean 'path'?"),
        (("{reader: catalogs}", "[catalogs]"), "corpus.train.0 is 'catalogs'; it should be a section such as {reader"),
        (("train: {reader: catalogs}", "pivot: en"), "the key 'corpus.train' is missing"),
        (("train: {reader: catalogs}", "train: null"), "corpus.train is null"),
        (("{reader: catalogs}", "{reader: tsv, path: .}"), "no file in it ends with .tsv"),
        (("{reader: catalogs}", "{reader: tsv, path: " + 5000 * "x" + "}"), "File name too long"),
        (("[de, nb, pt_BR]", "[de, de]"), "named twice"),
        (("[de, nb, pt_BR]", "[de]\n  directions: [en-fr]"), "'fr' is not among the languages"),
        (("[de, nb, pt_BR]", "[de]\n  directions: [en_de]"), "expected SOURCE-TARGET"),
        (("[de, nb, pt_BR]", "[de, nb]\n  tiers: {high: [de]}"), "'nb' is in no tier"),
        (("name: trial", "name: ../trial"), "name is '../trial'"),
        (("name: trial", "seed: 1"), "the key 'name' is missing"),
        (("name: trial", "name: trial\nname: other"), "given twice"),
        (("name: trial", "name: [trial"), "not valid YAML"),
        (
            ("continuation: {updates: 5}", "continuation: {updates: 5}\narms: [specialised]"),
            "arms.0 is 'specialised'",
        ),
        (("{reader: catalogs}", "{reader: tsv, path: nothing.tsv}"), "no such file or folder"),
        (("{reader: catalogs}", "{reader: moses, path: text/train.de}"), "lacks {lang}"),
        (
            ("continuation: {updates: 5}", "continuation: {updates: 5, weights: {en-de: 1}}"),
            "continuation.weights: no weight for de-en, en-nb, en-pt_BR, nb-en, pt_BR-en; give a weight",
        ),
        (
            ("continuation: {updates: 5}", "continuation: {updates: 5, weights: {ende: 1}}"),
            "direction 'ende': expected",
        ),
        (("continuation: {updates: 5}", "continuation: {updates: 5}\ntracking: [tensorbord]"), "'tensorboard'"),
        (("name: trial", "name: trial\nmodel: {preset: tiny, d_model: 126}"), "d_model 126 can't be divided among"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    message = mistakes(tmp_path, GOOD.replace(*change))
    assert expected in message
    assert "recipe.yaml" in message


def test_a_wrong_value_is_one_mistake(tmp_path: Path) -> None:
    message = mistakes(tmp_path, GOOD, ["modl.preset=tiny", "training.updates=-3"])
    assert message.startswith("2 mistakes")


def test_no_is_a_language_and_not_false(tmp_path: Path) -> None:
    text = GOOD.replace("[de, nb, pt_BR]", "[no, de]\n  families: {no: Germanic}")
    assert Recipe.load(write(tmp_path, text)).corpus.languages == ["no", "de"]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        Recipe.load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: a\nseed: 1 # caf\xe9\n")
    with pytest.raises(RecipeError, match=r"latin.yaml:2: .*UTF-8"):
        Recipe.load(tmp_path / "latin.yaml")
    with pytest.raises(RecipeError, match="empty"):
        Recipe.load(write(tmp_path, ""))
    with pytest.raises(RecipeError, match="mapping of keys"):
        Recipe.load(write(tmp_path, "- a\n"))


def test_malformed_override(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="expected section.key=value"):
        Recipe.load(write(tmp_path, GOOD), ["training.updates"])
    with pytest.raises(RecipeError, match="'name' is a value"):
        Recipe.load(write(tmp_path, GOOD), ["name.first=x"])


def test_run_folder_without_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a run folder"):
        Recipe.of_run(tmp_path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        *((f"training.{key}={value}", "it should be a finite number") for key in ("learning_rate", "weight_decay")
          for value in (".inf", "-.inf", ".nan")),
        ("training.temperature=.inf", "it should be a finite number"),
        ("training.clip_norm=.nan", "it should be a finite number"),
        ("training.minutes=.inf", "it should be a finite number"),
        ("model.init_std=.inf", "it should be a finite number"),
        ("model.dropout=.nan", "it should be a finite number"),
        ("corpus.cleaning.max_length_ratio=.inf", "it should be a finite number"),
        ("evaluation.length_penalty=.nan", "it should be a finite number"),
        ("evaluation.max_length_ratio=.inf", "it should be a finite number"),
        ("training.adam_betas=[2, 3]", "training.adam_betas.0 is 2; it should be less than 1"),
        ("training.adam_betas=[-1, .nan]", "training.adam_betas.0 is -1; it should be at least 0"),
        ("training.weights={en-de: .inf}", "it should be a finite number"),
        ("seed=18446744073709551616", "seed is 18446744073709551616; it should be less than 9223372036854775808"),
        ("continuation.seed=99999999999999999999", "continuation.seed is 99999999999999999999; it should be less than"),
        ("model.d_model=1000000000", "model.d_model is 1000000000; it should be at most 65536"),
        ("model.encoder_layers=100000", "it should be at most 1000"),
        ("evaluation.beam=10000000001", "it should be at most 1000"),
        ("tokenizer.vocabulary=100000000000000", "it should be at most 10000000"),
        ("training.updates=1e99", "it should be"),
        ("tokenizer.vocabulary=5", "tokenizer.vocabulary is 5; it should be at least 99"),
        ("tokenizer.character_coverage=0.95", "it should be at least 0.98"),
        ("selection.coverage={}", "it should be a number, or a mapping such as {key: value}, with at least one key"),
        ("selection.coverage={encoder: 2}", "selection.coverage.encoder is 2; it should be at most 1"),
        (
            "arms=[dense, {name: half, arm: averaged, average_with_bas: 0.5}]",
            "unknown key 'arms.1.average_with_bas'; did you mean 'average_with_base'? Valid: arm, average_with_base,",
        ),
        ("arms=[dense, {name: base}]", "arms.1: an arm can't be named 'base': that is a row of its own"),
        ("selection.coverage={encodr: 0.5}", "unknown key 'selection.coverage.encodr'; it should be 'encoder', "),
        ("corpus.directions={}", "it should be 'both', 'out' or 'into', or a list"),
        ("selection.coverage=.nan", "selection.coverage"),
    ],
)  # fmt: skip
def test_absurd_numbers_are_refused_at_once(tmp_path: Path, override: str, expected: str) -> None:
    message = mistakes(tmp_path, GOOD, [override])
    assert expected in message and f"--set {override}" in message


def test_one_mistake_in_a_value_of_several_types_gives_one_line(tmp_path: Path) -> None:
    assert mistakes(tmp_path, GOOD, ["selection.coverage={encoder: 2}"]).startswith("1 mistake ")


def test_a_beam_above_the_vocabulary(tmp_path: Path) -> None:
    changes = ["evaluation.beam=200", "tokenizer.vocabulary=199"]
    assert "evaluation.beam: 200 hypotheses are more than the 199 pieces" in mistakes(tmp_path, GOOD, changes)
    Recipe.load(write(tmp_path, GOOD), ["evaluation.beam=200", "tokenizer.vocabulary=200"])


def test_a_missing_plugin_does_not_hide_other_mistakes(tmp_path: Path) -> None:
    changes = ["plugins=[absent_one, absent_two]", "training.warmup=-1", "evaluation.beam=0"]
    message = mistakes(tmp_path, GOOD, changes)
    assert message.startswith("4 mistakes ")
    for expected in ("'absent_one'", "'absent_two'", "training.warmup is -1", "evaluation.beam is 0"):
        assert expected in message
    assert "no module 'absent_one'" in mistakes(tmp_path, GOOD, changes[:1])


def test_languages_and_directions_in_any_spelling(tmp_path: Path) -> None:
    text = """\
name: trial
corpus:
  train: {reader: catalogs}
  pivot: EN
  languages: [deu_Latn, pt-BR, zh-TW]
  directions: [en-DE, de-en, EN-pt-BR, pt-BR-en, eng-zho_Hant]
  tiers: {high: [DE], medium: [pt], low: [zh_Hant]}
  families: {de: Own}
training: {updates: 10, weights: {en-de: 1, de-en: 1, en-pt: 2, pt-en: 1, en-zh_Hant: 1}}
continuation: {updates: 5}
baselines: {bilingual: {directions: [en-de], updates: 3}}
evaluation: {zero_shot: [de-pt-BR], scores: {tokenizers: {zh_TW: char}}}
"""
    recipe = Recipe.load(write(tmp_path, text))
    names = ["EN-deu_Latn", "EN-pt_BR", "EN-zh_Hant", "deu_Latn-EN", "pt_BR-EN"]
    assert [str(direction) for direction in recipe.corpus.all_directions] == names
    assert recipe.corpus.tiers == {"high": ["deu_Latn"], "medium": ["pt_BR"], "low": ["zh_Hant"]}
    assert recipe.corpus.family("deu_Latn") == "Own" and recipe.corpus.family("EN") == "Germanic"
    assert set(recipe.training.weights or {}) == set(names)
    assert recipe.baselines.bilingual.directions == ["EN-deu_Latn"]
    assert recipe.evaluation.zero_shot == ["deu_Latn-pt_BR"]
    assert recipe.evaluation.scores.tokenizers == {"zh_Hant": "char"}
    assert Recipe.load(write(tmp_path, recipe.to_yaml())) == recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[de, nb, pt_BR]", "[de, deu_Latn]", "languages named twice (the pivot counts): deu_Latn"),
        ("[de, nb, pt_BR]", "[de, eng]", "languages named twice (the pivot counts): eng"),
        ("pt_BR]", "pt_BR, pt_PT]\n  directions: [en-pt]", "'pt' may mean pt_BR or pt_PT"),
        (
            "pt_BR]",
            "pt_BR]\n  directions: [en-pl]",
            "'pl' is not among the languages; corpus.languages and the pivot are ",
        ),
        (
            "{updates: 10,",
            "{updates: 10, weights: {en-de: 1, EN-de: 2},",
            "weights: a direction is named twice: en-de, en-de",
        ),
    ],
)
def test_spellings_that_mean_two_languages_or_none(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert message in mistakes(tmp_path, GOOD.replace(old, new))


def test_all_zero_shot_directions() -> None:
    def zero_shot(corpus: dict[str, Any], asked: Any = "all") -> list[str]:
        values = {"name": "t", "training": {"updates": 1}, "continuation": {"updates": 1}}
        source = {"reader": "catalogs"}
        evaluation = {"evaluation": {"zero_shot": asked}}
        return Recipe.model_validate(values | {"corpus": {"train": source} | corpus} | evaluation).evaluation.zero_shot

    both = {"languages": ["de", "fr", "zho_Hans"]}
    expected = ["de-fr", "de-zho_Hans", "fr-de", "fr-zho_Hans", "zho_Hans-de", "zho_Hans-fr"]
    assert zero_shot(both) == expected == zero_shot(both, ["all"])
    assert zero_shot(both | {"directions": ["de-en", "en-fr", "de-fr", "en-de"]}) == []
    assert zero_shot(both | {"directions": ["de-en", "en-fr", "en-zh-Hans"]}) == ["de-fr", "de-zho_Hans"]
    assert zero_shot(both | {"directions": "out"}) == []
