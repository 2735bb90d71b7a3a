"""The command line, run for real on a toy corpus."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.forked import neuronspec
from tests.helpers.synthetic import write_recipe

pytestmark = pytest.mark.cli
ARMS = {"copy", "base", "specialized", "dense", "random"}
DIRECTIONS = {"en-de", "en-fr", "en-it", "de-en", "fr-en", "it-en"}
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def started(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The script, in a Python of its own, and not in a fork."""
    command = [str(Path(sys.executable).with_name("neuronspec")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300, check=False)


def failed(result: subprocess.CompletedProcess[str], code: int, *fragments: str) -> None:
    """One readable message, no traceback."""
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    for fragment in fragments:
        assert fragment in result.stderr


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recipe(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def finished(toy: Path) -> Path:
    """A run of the toy recipe, from text to report."""
    result = neuronspec("run", toy, "--out", toy.parent / "run")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "specialized" in result.stdout and "index.html" in result.stdout
    return toy.parent / "run"


def copy_of(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))


def scores(run: Path) -> dict[str, object]:
    return json.loads((run / "results.json").read_text())["arms"]


def test_run_makes_what_the_contract_names(finished: Path) -> None:
    names = ["recipe.yaml", "data/corpus.json", "base/log.jsonl", "base/model.safetensors", "activations.safetensors",
             "masks.safetensors", "results.json", "analysis.json", "report/index.html"]  # fmt: skip
    assert [name for name in names if not (finished / name).is_file()] == []
    results = json.loads((finished / "results.json").read_text())
    assert set(results) >= {"arms", "signatures", "environment"}
    assert set(results["arms"]) == ARMS
    for arm, by_direction in results["arms"].items():
        assert set(by_direction) == DIRECTIONS
        for direction, score in by_direction.items():
            assert set(score) >= {"bleu", "chrf++", "loss", "n"}
            assert 0 <= score["bleu"] <= 100 and 0 <= score["chrf++"] <= 100
            assert score["n"] == 10
            assert (score["loss"] is None) == (arm == "copy")
            for part in ("src", "hyp", "ref"):
                text = (finished / "evaluation" / arm / f"{direction}.{part}").read_text()
                assert len(text.splitlines()) == 10
    assert not list(finished.rglob("*.tmp"))
    assert not list(finished.rglob("*.pkl")) + list(finished.rglob("*.pt")) + list(finished.rglob("*.bin"))


def test_arms_differ_and_continue_alike(finished: Path) -> None:
    logs = {}
    for arm in ("specialized", "dense", "random"):
        lines = [json.loads(line) for line in (finished / "arms" / arm / "log.jsonl").read_text().splitlines()]
        logs[arm] = lines
    counts = {arm: max(line["update"] for line in lines) for arm, lines in logs.items()}
    assert counts == {"specialized": 12, "dense": 12, "random": 12}
    results = scores(finished)
    losses = {
        arm: [score["loss"] for score in results[arm].values()] for arm in ("base", "specialized", "dense", "random")
    }
    assert len({tuple(values) for values in losses.values()}) == 4


def test_second_run_has_nothing_to_do(toy: Path, finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")}
    result = started("run", toy, "--out", finished)
    assert result.returncode == 0
    assert result.stdout.count("up to date") == 15
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*.safetensors")} == before


def test_a_changed_recipe_says_what_it_reruns(toy: Path, finished: Path, tmp_path: Path) -> None:
    run = copy_of(finished, tmp_path)
    result = neuronspec("run", toy, "--out", run, "--set", "report.samples=1", "--dry-run")
    assert result.returncode == 0
    assert "report: changed: report.samples 3 -> 1" in result.stdout
    assert "train: up to date" in result.stdout


def test_base_loads_without_neuronspec(finished: Path) -> None:
    code = f"""
import sys
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
model = AutoModelForSeq2SeqLM.from_pretrained({str(finished / "base")!r})
tokenizer = AutoTokenizer.from_pretrained({str(finished / "base")!r})
tokenizer.src_lang = "__en__"
inputs = tokenizer(["one two three house", "ten and five"], return_tensors="pt", padding=True)
target = tokenizer.convert_tokens_to_ids("__de__")
output = model.generate(**inputs, forced_bos_token_id=target, max_new_tokens=8)
assert output[:, 1].tolist() == [target, target]
assert len(tokenizer.batch_decode(output, skip_special_tokens=True)) == 2
assert "neuronspec" not in sys.modules
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert result.returncode == 0, result.stderr


def test_specialized_arm_loads_through_the_api(finished: Path) -> None:
    import torch

    import neuronspec as ns

    model = ns.load(finished / "arms" / "specialized")
    masks = ns.NeuronMasks.load(finished / "masks.safetensors")
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 2]]), "decoder_input_ids": torch.tensor([[2, 8, 9]])}
    with torch.no_grad():
        dense = model(**inputs).logits
        with ns.use_direction(model, "en-de"):
            specialized = model(**inputs).logits
        small = ns.compact(model, "en-de")(**inputs).logits
    assert 0 < masks.sparsity() < 1
    assert not torch.allclose(dense, specialized, atol=1e-4)
    torch.testing.assert_close(small, specialized, atol=1e-5, rtol=1e-5)


def run_until(toy: Path, out: Path, marker: Path, number: int) -> None:
    """Start a run, send the signal as soon as `marker` exists, and wait for the end."""
    command = [sys.executable, "-m", "neuronspec", "run", str(toy), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENVIRONMENT)
    while process.poll() is None and not list(out.glob(str(marker))):
        pass
    process.send_signal(number)
    output = process.communicate(timeout=120)[0].decode()
    assert process.returncode in (-number, 130), output
    assert number == signal.SIGKILL or "Traceback" not in output


@pytest.mark.slow
def test_interrupted_and_killed_runs_end_with_the_same_scores(toy: Path, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run_until(toy, out, Path("base/checkpoints/step-*"), signal.SIGKILL)
    run_until(toy, out, Path("arms/dense/checkpoints/step-*"), signal.SIGINT)
    result = neuronspec("run", toy, "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    assert scores(out) == scores(finished)


def test_validate_lists_all_mistakes(toy: Path) -> None:
    assert neuronspec("validate", toy).returncode == 0
    result = neuronspec("validate", toy, "--set", "modl.preset=tiny", "--set", "training.updates=-3")
    failed(result, 2, "2 mistakes", "did you mean 'model'?", "training.updates is -3")
    failed(neuronspec("validate", toy, "--set", "corpus.languages=[de, qqq]"), 2, "qqq")
    failed(neuronspec("validate", toy.parent / "none.yaml"), 2, "No such file")
    failed(neuronspec("run"), 2, "Missing argument")


def test_corpus_mistakes_leave_the_run_intact(toy: Path, finished: Path, tmp_path: Path) -> None:
    run = copy_of(finished, tmp_path)
    bad = tmp_path / "bad.tsv"

    def attempt(content: bytes) -> subprocess.CompletedProcess[str]:
        bad.write_bytes(content)
        return neuronspec("run", toy, "--out", run, "--set", f"corpus.train={bad}")

    failed(attempt(b"en\tde\tfr\tit\na\tb\tc\td\na\tb\tc\n"), 1, "bad.tsv:3", "3", "4")
    failed(attempt(b"en\tde\tfr\tit\na\tb\tc\td\n\xff\tb\tc\td\n"), 1, "bad.tsv:3", "UTF-8")
    failed(attempt(b"en\tde\tfr\na\tb\tc\n"), 1, "it")
    assert (run / "superseded" / "data" / "corpus.json").is_file() or (run / "data" / "corpus.json").is_file()
    assert scores(run) == scores(finished)


def test_moses_files_of_different_length(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "train.en-de.en").write_text("one\ntwo\nthree\n")
    (tmp_path / "train.en-de.de").write_text("eins\nzwei\n")
    text = toy.read_text().replace("[de, fr, it]", "[de]")
    recipe = tmp_path / "moses.yaml"
    recipe.write_text(text.replace("{reader: tsv, path: table.tsv}", "{reader: moses, path: 'train.{pair}.{lang}'}"))
    failed(neuronspec("prepare", recipe, "--out", tmp_path / "run"), 1, "train.en-de.en", "3", "2")
    assert not (tmp_path / "run" / "data").exists()


def test_run_of_another_recipe_is_refused(toy: Path, finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        toy.read_text().replace("name: toy", "name: other").replace("table.tsv", str(toy.parent / "table.tsv"))
    )
    failed(neuronspec("run", other, "--out", finished), 1, "made by another recipe")


def test_masks_of_another_model_are_refused(finished: Path) -> None:
    import neuronspec as ns
    from neuronspec.models.load import load_model

    masks = ns.NeuronMasks.load(finished / "masks.safetensors")
    cut = ns.NeuronMasks.from_dict({"en-de": {site: mask[:-1] for site, mask in masks["en-de"].items()}})
    model = load_model(finished / "base")
    with pytest.raises(ns.NeuronspecError, match="48"):
        ns.specialize(model, cut)


def test_direction_without_masks_is_refused(finished: Path) -> None:
    import neuronspec as ns

    model = ns.load(finished / "arms" / "specialized")
    with pytest.raises(ns.NeuronspecError, match="de-fr"), ns.use_direction(model, "de-fr"):
        pass


@pytest.mark.parametrize(
    "name",
    ["", "recipe.yaml", "stages.json", "data", "data/corpus.json", "data/tokenizer", "base", "base/log.jsonl",
     "base/model.safetensors", "activations.safetensors", "masks.safetensors", "results.json", "arms/specialized"],
)  # fmt: skip
def test_inspect_tells_what_each_file_holds(finished: Path, name: str) -> None:
    result = neuronspec("inspect", finished / name, "--json")
    assert result.returncode == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["kind"] and len(facts) > 2
    shown = neuronspec("inspect", finished / name)
    assert shown.returncode == 0 and facts["kind"] in shown.stdout


def test_inspect_tells_the_runs_of_a_sweep(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text('{"sweep": "toys", "base": null}')
    cell = tmp_path / "cells" / "dense" / "seed-1"
    cell.mkdir(parents=True)
    shutil.copy(finished / "stages.json", cell)
    facts = json.loads(neuronspec("inspect", tmp_path, "--json").stdout)
    finished_tasks = len(json.loads((finished / "stages.json").read_text())["tasks"])
    assert facts["kind"] == "sweep" and facts["name"] == "toys"
    assert facts["runs"] == {"cells/dense/seed-1": {"finished": finished_tasks}}


def test_inspect_tells_damaged_weights_of_a_model(finished: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(finished / "arms" / "specialized", tmp_path / "model"))
    for name in ("neuron_masks.safetensors", "model.safetensors"):
        os.truncate(model / name, (model / name).stat().st_size // 2)
        failed(neuronspec("inspect", model), 1, name, "not a complete safetensors file")


def test_inspect_refuses_strangers_and_damage(finished: Path, tmp_path: Path) -> None:
    failed(neuronspec("inspect", tmp_path / "none"), 2, "no such file")
    (tmp_path / "x.txt").write_text("x")
    failed(
        neuronspec("inspect", tmp_path / "x.txt"),
        2,
        "inspect doesn't describe this kind of file; it describes: activations",
    )
    for name in ("base/config.json", "run.log", "data/tokens"):
        failed(neuronspec("inspect", finished / name), 2, "inspect doesn't describe this kind of f")
    (tmp_path / "masks.safetensors").write_bytes((finished / "masks.safetensors").read_bytes()[:100])
    failed(neuronspec("inspect", tmp_path / "masks.safetensors"), 1, "masks.safetensors")


def test_help_and_import_are_light() -> None:
    code = """
import sys
import neuronspec
from neuronspec import cli
heavy = {"torch", "transformers", "plotly", "ctranslate2", "django", "peft", "sacrebleu", "pyarrow", "pandas"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    for command in (
        "run",
        "validate",
        "prepare",
        "train",
        "record",
        "select",
        "specialize",
        "evaluate",
        "report",
        "inspect",
    ):
        result = neuronspec(command, "--help")
        assert result.returncode == 0 and "Example: neuronspec " + command in result.stdout


def test_readme_python_runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_docs import ROOT, python_blocks

    code = python_blocks(ROOT / "README.md").replace('"en-nl"', '"en-fr"')
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    assert "runs/demo" in code and code.count("ns.") >= 4
    exec(compile(code, "README.md", "exec"), {})


def test_how_much_is_shown(toy: Path, finished: Path) -> None:
    """Lines of the log on standard output, none with --quiet; RUN/run.log has them all the same."""
    usual, quiet = (neuronspec(*options, "evaluate", finished) for options in ([], ["--quiet"]))
    assert usual.returncode == quiet.returncode == 0
    assert "evaluate: up to date\n" in usual.stdout
    assert "up to date" not in quiet.stdout + quiet.stderr and "chrF++" in quiet.stdout
    as_json = neuronspec("evaluate", finished, "--json")
    assert json.loads(as_json.stdout)["arms"] and "evaluate: up to date\n" in as_json.stderr
    log = (finished / "run.log").read_text()
    assert "train: starts (not run yet)\n" in log and "train: finished in " in log
    assert "of the neurons are left out\n" in log
    failed(neuronspec("-q", "-v", "validate", toy), 2, "--verbose and --quiet exclude each other")
