"""`evaluate` and `compare` from the command line: files, a real run with zero-shot directions, made runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import forked
from tests.helpers.synthetic import write_recipe
from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.core.errors import NeuronspecError
from neuronspec.core.files import write_text
from neuronspec.evaluation.results import DirectionScore, Results, write_results, write_scores
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.recipe import Recipe
from neuronspec.scoring.pairwise import arms_significance
from neuronspec.scoring.settings import ScoreSettings

pytestmark = pytest.mark.cli
REFERENCES = ["Das kleine Haus steht am See.", "Niemand hat das rote Boot gesehen.", "Heute regnet es wieder stark."]
GOOD = ["Das kleine Haus steht am See.", "Niemand sah das rote Boot.", "Heute regnet es wieder."]
BAD = ["Haus klein ist See.", "Keiner sah ein Schiff.", "Regen heute."]


def neuronspec(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = forked.neuronspec(*arguments, columns=160)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def refused(code: int, *arguments: object) -> str:
    """The message of a command that the user got wrong; in this process, which is quicker."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, NeuronspecError), result.output
    assert result.exception.exit_code == code
    return str(result.exception)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    texts = {"good": GOOD * 20, "bad": BAD * 20, "ref": REFERENCES * 20, "short": GOOD, "hole": ["", *REFERENCES[1:]]}
    for name, lines in texts.items():
        write_text(folder / name, "".join(f"{line}\n" for line in lines))
    (folder / "latin1").write_bytes("Straße\n".encode("latin-1"))
    (folder / "wide").write_bytes("Haus\n".encode("utf-16"))
    (folder / "windows").write_bytes("\r\n".join([*GOOD * 20, ""]).encode("utf-8-sig"))
    return folder


def test_files_against_a_baseline_as_json(files: Path) -> None:
    found = json.loads(
        neuronspec("evaluate", "--hyp", files / "good", "--ref", files / "ref", "--lang", "de",
                   "--baseline", files / "bad", "--train", files / "short", "--languages", "de,en", "--json").stdout
    )  # fmt: skip
    assert set(found["bleu"]) >= {"score", "signature", "n"} and set(found["chrf++"]) >= {"score", "signature", "n"}
    assert found["bleu"]["n"] == 60 and "tok:13a" in found["bleu"]["signature"]
    assert found["bleu"]["score"] > found["baseline"]["bleu"]["score"]
    test = found["significance"]["chrf++"]
    assert test["difference"] == pytest.approx(found["chrf++"]["score"] - found["baseline"]["chrf++"]["score"])
    assert test["p"] < 0.05 and test["sacrebleu_bootstrap_p"] < 0.05
    assert "approximate randomization" in found["significance"]["method"]["p"]
    assert found["overlap"] == {"source": 0, "target": 20, "either": 20, "n": 60}
    assert found["skipped"] == {}
    assert found["off_target"]["scale"].startswith("percent")


def test_files_as_a_table(files: Path, tmp_path: Path) -> None:
    arguments = ("--ref", files / "ref", "--lang", "de", "--tables", tmp_path / "tables")
    done = neuronspec("evaluate", "--hyp", files / "windows", *arguments)
    assert "60 sentences" in done.stdout and "chrF++" in done.stdout and "tok:13a" in done.stdout
    assert "skipped" not in done.stdout
    windows = (tmp_path / "tables" / "scores.csv").read_text(encoding="utf-8")
    neuronspec("evaluate", "--hyp", files / "good", *arguments)
    assert (tmp_path / "tables" / "scores.csv").read_text(encoding="utf-8") == windows, "line ends and mark don't count"
    warned = neuronspec("evaluate", "--hyp", files / "good", *arguments, "--train", files / "ref")
    assert "warning: 60 of 60 test sentences are in the training text" in warned.stderr
    tokenized = neuronspec("evaluate", "--hyp", files / "good", *arguments[:2], "--lang", "xx", "--tokenizer", "char")
    assert "tok:char" in tokenized.stdout


def test_wrong_files_and_options_are_told(files: Path, tmp_path: Path) -> None:
    def failed(code: int, *arguments: object) -> str:
        return refused(code, "evaluate", *arguments)

    good = ("--hyp", files / "good", "--ref", files / "ref")
    assert "60 hypotheses in " in (said := failed(1, "--hyp", files / "good", "--ref", files / "short", "--lang", "de"))
    assert "3 references in " in said and "each line needs its counterpart" in said
    assert "line 1 of the references in " in failed(
        1, "--hyp", files / "short", "--ref", files / "hole", "--lang", "de"
    )
    assert "no BLEU tokenizer for 'xx'" in failed(2, *good, "--lang", "xx")
    assert "is not a COMET checkpoint" in failed(1, *good, "--lang", "de", "--comet", tmp_path)
    assert "3 baseline translations in" in failed(1, *good, "--lang", "de", "--baseline", files / "short")
    assert "3 sources in" in failed(1, *good, "--lang", "de", "--src", files / "short")
    assert "latin1:1 can't be read: it isn't UTF-8" in failed(1, "--hyp", files / "latin1", *good[2:], "--lang", "de")
    assert "wide can't be read: it is in UTF-16" in failed(1, "--hyp", files / "wide", *good[2:], "--lang", "de")
    assert "can't be read: No such file" in failed(2, "--hyp", files / "none", *good[2:], "--lang", "de")
    assert "--lang missing" in failed(2, *good)
    assert "--hyp, --ref, --lang missing: give a run folder" in failed(2)
    assert "give a run folder, or files" in failed(2, tmp_path, *good, "--lang", "de")
    assert "--set changes the recipe of a run" in failed(2, *good, "--lang", "de", "--set", "evaluation.beam=1")
    assert "unknown BLEU tokenizer 'spm'" in failed(2, *good, "--lang", "de", "--tokenizer", "spm")
    assert neuronspec("evaluate", *good, "--lang", "xx", code=2).stderr.startswith("error: no BLEU tokenizer")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the toy recipe with two zero-shot directions, an adaptation, evaluated."""
    toy = write_recipe(tmp_path_factory.mktemp("toy"))
    changes = [
        "training.updates=6", "training.validate_every=6", "continuation.updates=2",
        "continuation.directions=[en-de, de-en, en-fr, fr-en]",
        "arms=[specialized, {name: half, arm: averaged, of: specialized}]",
        "evaluation.zero_shot=[de-fr, it-de]", "evaluation.scores.resamples=100",
    ]  # fmt: skip
    options = [part for change in changes for part in ("--set", change)]
    done = neuronspec("run", toy, "--out", toy.parent / "run", *options)
    assert "skipped" not in done.stdout, "nobody asked for COMET"
    assert "Adaptation to de-en, en-de, en-fr, fr-en: chrF++ over base" in done.stdout
    return toy.parent / "run"


def test_zero_shot_directions_are_scored_with_composed_masks(run: Path) -> None:
    import neuronspec as ns
    from neuronspec.batching.in_order import eval_batches
    from neuronspec.corpus.store import TokenStore
    from neuronspec.training.loss import validation_loss

    results = Results.load(run / "results.json")
    assert results.zero_shot == ["de-fr", "it-de"]
    assert results.directions[-2:] == ["de-fr", "it-de"] and len(results.directions) == 8
    assert all({"de-fr", "it-de"} <= set(scores) for scores in results.arms.values())
    store, masks = TokenStore.open(run / "data"), ns.NeuronMasks.load(run / "masks.safetensors")
    model = ns.load(run / "arms" / "specialized")
    ns.unspecialize(model)
    composed = masks.compose("de-fr", encoder="de-en", decoder="en-fr")
    ns.specialize(model, composed)
    batches = list(eval_batches(store.pairs("test", "de-fr"), "de-fr", store.tokenizer, limit=10))
    with ns.use_direction(model, "de-fr"):
        loss = validation_loss(model, batches)[ns.Direction.parse("de-fr")].per_token
    assert results.arms["specialized"]["de-fr"].loss == pytest.approx(loss, rel=1e-4)
    with ns.use_direction(model, "de-en"):
        other = validation_loss(model, batches)[ns.Direction.parse("de-fr")].per_token
    assert other != pytest.approx(loss, rel=1e-4), "the masks matter"
    assert results.significance is not None
    tested = results.significance.pairs["specialized"]["base"]["chrf++"]
    assert tested.average is not None and tested.zero_shot is not None
    assert (tested.average.n, tested.zero_shot.n) == (6, 2)
    assert tested.average.these_directions is not None and tested.average.other_directions is not None
    assert tested.average.correlation is not None, "the rows of the toy corpus are multi-parallel"


def test_evaluated_runs_print_and_write_tables(run: Path, tmp_path: Path) -> None:
    shown = neuronspec("evaluate", run, "--tables", tmp_path / "tables").stdout
    for title in ("Arms, mean of 6 directions", "BLEU by resource tier", "zero-shot directions (masks composed)",
                  "Differences in chrF++", "Other scores"):  # fmt: skip
        assert title in shown
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {"arms.csv", "chrf_by_tier.tex", "chrf_zero_shot.md", "chrf_over_base_by_tier.csv"} <= names
    printed = json.loads(neuronspec("evaluate", run, "--json").stdout)
    assert printed == json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert printed["scales"]["bleu"] == "0 to 100, higher is better"


def test_other_scores_do_not_translate_again(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    before = {path: path.stat().st_mtime_ns for path in copy.glob("evaluation/*/*.hyp")}
    printed = neuronspec("evaluate", copy, "--set", "evaluation.scores.ter=false").stdout
    assert "evaluate/base: up to date" in printed and "evaluate: starts (changed: evaluation.scores.ter" in printed
    assert {path: path.stat().st_mtime_ns for path in copy.glob("evaluation/*/*.hyp")} == before and len(before) == 48
    assert "ter" not in Results.load(copy / "results.json").arms["base"]["en-de"].others
    assert "ter" in Results.load(run / "results.json").arms["base"]["en-de"].others


def made_run(folder: Path, toy: Path, seed: int, texts: dict[str, list[str]], **sections: Any) -> Path:
    """A run folder as evaluation leaves it, of translations that are given by arm."""
    recipe = Recipe.load(toy, [f"seed={seed}", "corpus.languages=[de]", "corpus.directions=out"]).model_copy(
        update=sections
    )
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    for arm, lines in texts.items():
        for part, text in (("src", REFERENCES), ("hyp", lines), ("ref", REFERENCES)):
            write_text(folder / "evaluation" / arm / f"en-de.{part}", "".join(f"{line}\n" for line in text * 10))
        entry = DirectionScore(bleu=0, chrf=0, loss=2 + seed / 10, n=30, signatures={})
        write_scores(folder / "evaluation" / arm, {"en-de": entry}, "made")
    settings = ScoreSettings(off_target=False, ter=False, resamples=100, trials=100)
    found = score_arms(folder / "evaluation", list(texts), Scorer(settings, []))
    significance = arms_significance(
        {arm: rows for arm, (_, rows) in found.items()}, ["en-de"], {"average": ["en-de"]}, settings
    )
    facts = {"pivot": "en", "tiers": {}, "families": {}, "directions": ["en-de"], "significance": significance}
    write_results(folder / "results.json", {arm: scores for arm, (scores, _) in found.items()}, facts)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("made")
    toy = write_recipe(folder / "toy")
    mixed = [GOOD[0], GOOD[1], BAD[2]]
    wider = Recipe.load(toy).model.model_copy(update={"d_model": 64})
    return {
        "one": made_run(folder / "one", toy, 1, {"base": BAD, "dense": GOOD}),
        "two": made_run(folder / "two", toy, 2, {"base": [BAD[0], GOOD[1], BAD[2]], "dense": GOOD}),
        "three": made_run(folder / "three", toy, 3, {"base": BAD, "dense": mixed}),
        "other": made_run(folder / "other", toy, 1, {"base": mixed, "dense": GOOD}, model=wider),
        "other2": made_run(folder / "other2", toy, 2, {"base": mixed, "dense": GOOD}, model=wider),
    }


def test_seeds_of_one_experiment(made: dict[str, Path], tmp_path: Path) -> None:
    runs = [made[name] for name in ("one", "two", "three")]
    found = json.loads(neuronspec("compare", *runs, "--json").stdout)["seeds"]
    assert found["seeds"] == [1, 2, 3]
    arm, pair = found["arms"]["dense"]["bleu"], found["pairs"]["dense"]["base"]["bleu"]
    values = [Results.load(run / "results.json").arms for run in runs]
    assert arm["values"] == [arms["dense"]["en-de"].bleu for arms in values]
    gains = [arms["dense"]["en-de"].bleu - arms["base"]["en-de"].bleu for arms in values]
    assert pair["values"] == pytest.approx(gains) and pair["mean"] == pytest.approx(sum(gains) / 3)
    from scipy import stats

    expected = stats.ttest_1samp(gains, 0)
    assert pair["p"] == pytest.approx(expected.pvalue)
    assert pair["other_seeds"]["low"] == pytest.approx(expected.confidence_interval().low)
    shown = neuronspec("compare", *runs, "--tables", tmp_path).stdout
    assert "Arms over 3 seeds (1, 2, 3)" in shown and "dense − base" in shown and "±" in shown
    assert {"arms.csv", "pairs.tex"} <= {path.name for path in tmp_path.iterdir()}


def test_two_experiments_sentence_by_sentence(made: dict[str, Path]) -> None:
    found = json.loads(neuronspec("compare", made["one"], made["other"], "--json").stdout)["experiments"]
    base = found["arms"]["base"]["chrf++"]["directions"]["en-de"]
    scores = [Results.load(made[name] / "results.json").arms["base"]["en-de"].chrf for name in ("one", "other")]
    assert base["difference"] == pytest.approx(scores[1] - scores[0], abs=1e-3) and base["p"] < 0.05
    assert found["arms"]["dense"]["chrf++"]["directions"]["en-de"]["p"] == 1
    shown = neuronspec("compare", made["one"], made["other"]).stdout
    assert "base: chrF++" in shown and "Difference in BLEU by direction" in shown


def test_two_experiments_over_seeds(made: dict[str, Path]) -> None:
    names = ("one", "two", "other", "other2")
    found = json.loads(neuronspec("compare", *(made[name] for name in names), "--json").stdout)["experiments"]["seeds"]
    assert found["base"]["bleu"]["test"] == "paired t-test over seeds"
    uneven = [made[name] for name in ("one", "two", "three", "other", "other2")]
    welch = neuronspec("compare", *uneven).stdout
    assert "Welch's t-test over seeds" in welch and "base: chrF++" in welch


def test_runs_that_cannot_be_compared(made: dict[str, Path], tmp_path: Path) -> None:
    said = neuronspec("compare", made["one"], code=2).stderr
    assert said.startswith("error: ") and "two runs or more" in said
    assert "a run is named twice" in refused(2, "compare", made["one"], made["one"])
    twin = Path(shutil.copytree(made["one"], tmp_path / "twin"))
    assert "share a seed (1, 1)" in refused(2, "compare", made["one"], twin)
    assert "is not a run folder" in refused(2, "compare", made["one"], tmp_path)
    text = (made["other"] / "evaluation" / "base" / "en-de.ref").read_text(encoding="utf-8")
    changed = Path(shutil.copytree(made["other"], tmp_path / "changed"))
    write_text(changed / "evaluation" / "base" / "en-de.ref", text.replace("See", "Meer"))
    assert "different test sets of en-de" in refused(1, "compare", made["one"], changed)
    (twin / "results.json").unlink()
    assert "run 'neuronspec evaluate RUN' first" in refused(1, "compare", twin, made["two"])


@pytest.mark.parametrize("spelling", ["DE", "deu_Latn", "ger", "de-AT"])
def test_the_language_of_files_in_any_spelling(files: Path, spelling: str) -> None:
    arguments = ["evaluate", "--hyp", str(files / "good"), "--ref", str(files / "ref"), "--json", "--lang"]
    plain, spelled = (json.loads(CliRunner().invoke(app, [*arguments, code]).stdout) for code in ("de", spelling))
    assert spelled == plain


@pytest.mark.parametrize(("spelling", "tokenizer"), [("zho_Hans", "zh"), ("zh_CN", "zh"), ("THA", "char")])
def test_the_metrics_of_files_by_language(files: Path, spelling: str, tokenizer: str) -> None:
    arguments = ["evaluate", "--hyp", str(files / "good"), "--ref", str(files / "ref"), "--lang", spelling]
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert f"tok:{tokenizer}|" in found["bleu"]["signature"]
    shown = CliRunner().invoke(app, arguments).stdout
    if tokenizer == "char":
        assert "ter" not in found and shown.count("it counts words") == 1
        assert found["skipped"] == {
            "ter": f"not into {spelling}: it counts words, which have no spaces between them there"
        }
    else:
        assert "asian:yes" in found["ter"]["signature"] and found["skipped"] == {}
