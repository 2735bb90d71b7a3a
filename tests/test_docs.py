"""The documentation says what the code does."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
import torch
import typer
import yaml

import neuronspec as ns
from neuronspec.arms.arm import arm_of
from neuronspec.cli.app import app
from neuronspec.recipe import Recipe
from neuronspec.sweep.settings import Sweep
from neuronspec.training.model_folder import export_model
from tests.helpers.checkpoints import nllb
from tests.helpers.pages import blocks, own_arguments, tool
from tests.helpers.toy_corpus import toy_model, toy_tokenizer

ROOT = Path(__file__).parent.parent


def test_reference_pages_are_current() -> None:
    generate = tool("generate_reference")
    message = "run make docs"
    assert (ROOT / "docs/reference/recipe.md").read_text(encoding="utf-8") == generate.recipe_reference(), message
    assert (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8") == generate.cli_reference(), message
    assert (ROOT / "docs/reference/sweep.md").read_text(encoding="utf-8") == generate.sweep_reference(), message


def test_no_page_has_tabs() -> None:
    """The site shows spaces for them, so a table that is copied from it would not be one."""
    assert [page.name for page in (ROOT / "docs").glob("**/*.md") if "\t" in page.read_text(encoding="utf-8")] == []


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not link.startswith("http")
    ]
    assert len(links) >= 8
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda path: path.name)
def test_recipes_are_valid(path: Path, tmp_path: Path) -> None:
    assert Recipe.load(with_files(path, tmp_path)).name == path.stem


def with_files(recipe: Path, folder: Path) -> Path:
    """A copy of a recipe below a folder, with empty files in place of the text that it reads and that isn't here."""
    copy = folder / "recipes" / recipe.name
    copy.parent.mkdir(exist_ok=True)
    text = recipe.read_text(encoding="utf-8")
    copy.write_text(text, encoding="utf-8")
    for name in re.findall(r"path: \"?(\.\./[^\s,}\"]+)", text):
        (copy.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (copy.parent / name).touch()
    for name in re.findall(r"pretrained: (\.\./\S+)", text):
        shutil.copytree(checkpoint(folder), copy.parent / name, dirs_exist_ok=True)
    return copy


def checkpoint(folder: Path) -> Path:
    """The folder of a model that a recipe may start from."""
    made = folder / "checkpoint"
    if not made.is_dir():
        export_model(toy_model(), toy_tokenizer(), made)
    return made


def python_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))


def test_own_model_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = python_blocks(ROOT / "docs" / "own-model.md")
    assert code.count("ns.") >= 8
    exec(compile(code, "own-model.md", "exec"), {})
    assert "of the neurons are left out" in capsys.readouterr().out


def test_hugging_face_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny NLLB."""
    pytest.importorskip("peft", reason="the baselines extra is not installed")
    monkeypatch.chdir(tmp_path)
    code = python_blocks(ROOT / "docs" / "hugging-face.md")
    name = "facebook/nllb-200-distilled-600M"
    assert code.count(name) == 1 and code.count("ns.") >= 8
    checkpoint = nllb(
        tmp_path / "nllb", ["Save the changes", "Änderungen speichern", "Enregistrer les modifications"] * 9
    )
    exec(compile(code.replace(name, str(checkpoint)), "hugging-face.md", "exec"), {})
    for folder in ("specialized", "adapters"):
        model = ns.load(tmp_path / folder)
        with ns.use_direction(model, "en-fr"):
            model.generate(torch.tensor([[3, 2]]).to(model.device), max_new_tokens=2)


def test_analysis_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("plotly", reason="the report extra is not installed")
    monkeypatch.chdir(tmp_path)
    code = python_blocks(ROOT / "docs" / "analysis.md")
    assert code.count("figures.") >= 3
    exec(compile(code, "analysis.md", "exec"), {})
    assert (tmp_path / "heatmap.html").stat().st_size > 10_000
    assert "within families" in capsys.readouterr().out


def test_the_results_page_is_that_of_the_result_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools" / "docs")
    generate = tool("generate_results")
    pages = generate.pages()
    assert {path.name for path in (ROOT / "docs" / "tables").iterdir()} == {Path(path).name for path in pages} - {
        "results.md"
    }
    for path, page in pages.items():
        assert (ROOT / "docs" / path).read_text(encoding="utf-8") == page, f"{path}: run make docs"
    assert pages["results.md"].count("\n") <= 160, "verdicts alone"
    statistics = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert statistics == generate.with_calibration(statistics), "run make docs"
    assert statistics.count("| *before:*") >= 8


def test_the_statistics_that_ship_are_calibrated() -> None:
    """The committed result of `benchmarks/calibration.py`; its short run is `tests/scoring/test_calibration.py`."""
    found = json.loads((ROOT / "benchmarks" / "results" / "calibration.json").read_text(encoding="utf-8"))
    assert found["simulations"] >= 2000
    assert {name: rate for name, rate in found["size"].items() if not 0.04 <= rate <= 0.06} == {}
    for name, rates in found["family_wise_error"].items():
        assert set(rates) == {"18", "60"} and max(rates.values()) <= 0.06, name
    missed = {
        f"{name}, {count}": rate
        for name, rates in found["coverage"].items()
        for count, rate in rates.items()
        if not 0.93 <= rate <= (0.97 if count != "3" else 0.975)  # the page says so
    }
    assert missed == {}


def test_the_readme_tells_what_came_out() -> None:
    evidence = tool("evidence")
    stored = json.loads((ROOT / "benchmarks" / "results" / "bible_cpu.json").read_text(encoding="utf-8"))
    results = evidence.with_intervals(stored)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    for baseline in ("dense", "random"):
        found = results["differences"]["specialized"][baseline]["chrf++"]["all"]
        assert f"**{found['difference']:+.2f}" in page
        for name in ("other_trainings", "other_directions"):
            assert found[name]["low"] > 0 or found[name]["high"] < 0, "beyond chance"
    longer = results["long"]["differences"]["specialized"]["dense"]["chrf++"]["all"]
    assert f"({longer['difference']:+.2f}, one seed: a hint)" in page
    assert longer["other_trainings"] is None


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "sweeps").glob("*.yaml")), ids=lambda path: path.name)
def test_sweeps_are_valid(path: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes" / "sweeps").mkdir(parents=True)
    copy = tmp_path / "recipes" / "sweeps" / path.name
    copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (recipe,) = re.findall(r"^recipe: \.\./(.+)$", copy.read_text(encoding="utf-8"), flags=re.MULTILINE)
    with_files(ROOT / "recipes" / recipe, tmp_path)
    assert Sweep.load(copy).name == path.stem


def test_the_recipe_of_the_readme_is_valid(tmp_path: Path) -> None:
    (recipe,) = [block.text for block in blocks(ROOT / "README.md") if block.kind == "yaml"]
    (tmp_path / "train.tsv").touch()
    path = tmp_path / "my-nllb.yaml"
    path.write_text(recipe, encoding="utf-8")
    assert Recipe.load(path, [f"model.pretrained={checkpoint(tmp_path)}"]).name == path.stem


def yaml_block(page: str, after: str = "") -> str:
    """The only block of YAML on a page, or the first one after some text."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text[text.index(after) :], flags=re.DOTALL)
    assert after or len(blocks) == 1
    return blocks[0]


def test_the_sweep_of_the_page_is_valid(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    shutil.copyfile(ROOT / "recipes" / "bible-cpu.yaml", tmp_path / "bible-cpu.yaml")
    path = tmp_path / "sweeps" / "page.yaml"
    path.write_text(yaml_block("sweeps.md"), encoding="utf-8")
    for key in ("train", "valid", "test"):
        (tmp_path / key).touch()
    sweep = Sweep.load(path, [f"corpus.{key}={tmp_path / key}" for key in ("train", "valid", "test")])
    assert len(list(sweep.cells())) == 3 * 2 * (4 * 3 + 1)


def test_the_table_of_near_duplicates_is_that_of_its_result() -> None:
    content = json.loads((ROOT / "benchmarks" / "results" / "near_duplicates.json").read_text(encoding="utf-8"))
    cells = [f"{100 * share['dropped']:.0f}%" for share in content["likeness"].values()]
    page = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    assert (
        f"| dropped | {' | '.join(cells)} |" in page
        and f"`threshold: {content['threshold']:g}` on {content['pairs']:,}" in page
    )


def test_the_sweep_of_the_page_on_adaptation_is_valid(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    shutil.copyfile(ROOT / "recipes" / "demo.yaml", tmp_path / "recipes" / "demo.yaml")
    path = tmp_path / "ways.yaml"
    path.write_text(yaml_block("adaptation.md"), encoding="utf-8")
    sweep = Sweep.load(path)
    assert len(list(sweep.cells())) == 4 * 2 and sweep.arms["averaged-60"].method == "averaged"
    page = (ROOT / "docs" / "adaptation.md").read_text(encoding="utf-8")
    entries = [yaml.safe_load(text) for text in re.findall(r"`(\{name: .*?\})`", page)]
    recipe = Recipe.load(tmp_path / "recipes" / "demo.yaml", [f"arms={json.dumps(entries)}"])
    assert [arm_of(recipe, entry["name"])[1].name for entry in entries] == ["demo"] * 3


def test_the_arms_of_the_page_are_valid(tmp_path: Path) -> None:
    demo = (
        (ROOT / "recipes" / "demo.yaml").read_text(encoding="utf-8").replace("arms: [specialized, dense, random]", "")
    )
    path = tmp_path / "demo.yaml"
    settings = "baselines.md", "\n## Settings"
    path.write_text(demo + yaml_block(*settings), encoding="utf-8")
    recipe = Recipe.load(path)
    assert set(recipe.arms) >= {"lora", "lass", "bilingual"} and recipe.baselines.lora.rank == 8
    path.write_text(demo + yaml_block("baselines.md", "\n## Arms with settings of their own"), encoding="utf-8")
    recipe = Recipe.load(path)
    for name in recipe.arm_names:
        arm_of(recipe, name)
    assert recipe.arm("random-g").kind == "random" and recipe.for_arm("dense-slow").continuation.learning_rate == 1e-4


def test_tables_of_the_findings_are_those_of_the_results() -> None:
    generate = tool("generate_findings")
    page = generate.PAGE.read_text(encoding="utf-8")
    assert page.count("| encoder 1 |") >= 2
    assert generate.with_tables(page) == page, "run make docs"


def test_the_page_on_memory_is_generated() -> None:
    generate = tool("generate_memory")
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), "run make docs"


def test_the_changelog_keeps_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert headings[:2] == ["# Changelog", "## [Unreleased]"]
    for kinds in " ".join(headings[1:]).split(" ## "):
        found = re.findall(r"### (\w+)", kinds)
        assert found and found == sorted(set(found)) and set(found) <= {"Added", "Changed", "Fixed", "Removed"}, kinds


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_commands_of_the_pages_have_the_options_that_they_name() -> None:
    """Those of the tutorials are also run: `tests/test_tutorials.py`."""
    group = typer.main.get_command(app)
    count = 0
    for page in pages():
        found = [own_arguments(command) for block in blocks(page) for command in block.commands]
        for name, *arguments in (each for each in found if each):
            if name.startswith("-"):
                continue
            command = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
            assert command is not None, f"{page.name}: {name}"
            command.make_context(name, arguments)
            count += 1
    assert count > 60


def test_the_page_on_installing_names_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.+?) \|", page, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(extras)
    (found,) = extras["all"]
    left_out = re.search(r"^\| `all` \| all of these except (.+) \|$", page, re.MULTILINE)
    assert left_out, "install.md says what all leaves out"
    developing = {"test", "dev", "docs", "all"}
    names = set(re.findall(r"\w+", found)) - {"neuronspec"}
    assert names | set(re.findall(r"`(\w+)`", left_out[1])) | developing == set(extras)


def test_targets_extras_and_programs_of_the_pages_are_there() -> None:
    targets = re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    checked = set()
    for page in pages():
        for command in (command for block in blocks(page) for command in block.commands):
            text, where = " ".join(command), f"{page.name}: {' '.join(command)}"
            if command[0] == "make":
                assert {word for word in command[1:] if re.fullmatch(r"[a-z-]+", word)} <= {*targets}, where
            for extras in re.findall(r"(?:neuronspec|\.)\[([\w,-]+)\]", text) if "install" in command else ():
                assert set(extras.split(",")) <= set(project["optional-dependencies"]), where
            if command[0] == "python" and command[1].endswith(".py"):
                assert (ROOT / command[1]).is_file(), where
            for recipe in re.findall(r"(?:^| )(recipes/\S+\.yaml)", text):
                assert (ROOT / recipe).is_file(), where
            checked.add(command[0])
    assert {"make", "pip", "python", "neuronspec"} <= checked
