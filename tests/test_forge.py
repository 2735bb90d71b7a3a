"""What the forge and development tools read: workflows, issue forms, hooks, containers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
DEVCONTAINER = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = [
    name.split()[-1]
    for name in PROJECT["classifiers"]
    if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", name)
]
MAY = {
    ("release", "publish"): {"id-token": "write"},
    ("docs", "publish"): {"pages": "write", "id-token": "write"},
}
"""The jobs that may do more than read."""
MAKE = re.compile(r"(?:^|&& )make ([\w-]+)", re.MULTILINE)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def jobs(path: Path) -> dict[str, Any]:
    return dict(read(path)["jobs"])


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def made(text: str) -> set[str]:
    """The make targets that commands name."""
    return set(MAKE.findall(text))


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def test_workflows_name_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {path.stem: set().union(*(made(step.get("run", "")) for step in steps(path))) for path in WORKFLOWS}
    assert set(named) == {"ci", "docs", "release"}
    assert set().union(*named.values()) | made(DEVCONTAINER["postCreateCommand"]) <= targets
    assert made((ROOT / ".ci" / "run").read_text("utf-8")) == named["ci"] and named["docs"] == {"docs"}


def test_paths_and_constraints_that_workflows_name_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for step in (step for path in WORKFLOWS for step in steps(path)):
        run = step.get("run", "")
        for tests in re.findall(r'TESTS="([^"]+)"', run):
            assert all((ROOT / each).exists() for each in tests.split())
        for file in re.findall(r"CONSTRAINTS=(\S+)", run):
            assert (ROOT / file).exists() or f"\n{file}:" in makefile


def test_every_python_that_is_promised_is_tested() -> None:
    ci = jobs(GITHUB / "workflows" / "ci.yml")
    assert ci["test"]["strategy"]["matrix"]["python"] == PYTHONS and len(PYTHONS) >= 3
    lowest = next(step["with"]["python-version"] for step in ci["lower-bounds"]["steps"] if "with" in step)
    assert PROJECT["requires-python"] == f">={lowest}" == f">={PYTHONS[0]}"
    assert set(ci["smoke"]["strategy"]["matrix"]["os"]) == {"macos-latest", "windows-latest"}
    assert re.search(r"3\.\d+", DEVCONTAINER["image"])[0] in PYTHONS  # type: ignore[index]
    used = {step["with"]["python-version"] for path in WORKFLOWS for step in steps(path) if "setup-python" in str(step)}
    assert used <= {*PYTHONS, "${{ matrix.python }}"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_are_pinned_and_may_do_little(path: Path) -> None:
    content = read(path)
    assert content["permissions"] == {"contents": "read"}
    assert "secrets." not in path.read_text("utf-8") and "password" not in str(content)
    for name, job in content["jobs"].items():
        assert job["timeout-minutes"] <= 60
        assert job.get("permissions") == MAY.get((path.stem, name))
        assert set(job.get("needs", "").split()) <= set(content["jobs"])
    for step in steps(path):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v|release/v)\d+", step["uses"]), "pinned by major version"


def test_a_release_needs_the_tag_of_its_version() -> None:
    content = read(GITHUB / "workflows" / "release.yml")
    assert content[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads the key `on` as true
    (check,) = (step["run"] for step in content["jobs"]["build"]["steps"] if "GITHUB_REF_NAME" in step.get("run", ""))
    version = re.search(r'__version__ = "(.*)"', (ROOT / "src/neuronspec/core/version.py").read_text())[1]  # type: ignore[index]
    for tag, fits in ((f"v{version}", True), ("v0.0.0", False), (version[:-1], False)):
        environment = os.environ | {"GITHUB_REF_NAME": tag}
        done = subprocess.run(["sh", "-c", check], cwd=ROOT, env=environment, capture_output=True, check=False)
        assert (done.returncode == 0) == fits, tag


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms(path: Path) -> None:
    form = read(path)
    assert set(form) == {"name", "description", "labels", "body"}
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_forge_would_take_the_files() -> None:
    if (check := program("check-jsonschema")) is None:
        pytest.skip("check-jsonschema is not installed (pip install 'neuronspec[dev]')")
    kinds = {
        "github-workflows": WORKFLOWS,
        "github-issue-forms": FORMS,
        "github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
        "dependabot": [GITHUB / "dependabot.yml"],
    }
    for kind, files in kinds.items():
        command = [check, "--builtin-schema", f"vendor.{kind}", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_hooks_run_what_the_checks_run() -> None:
    (repo,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: hook["entry"].split() for hook in repo["hooks"]}
    assert set(hooks) == {"ruff", "ruff-format", "mypy", "house"}
    assert all(entry[0].startswith(".venv/bin/") for entry in hooks.values())
    assert (ROOT / hooks["house"][-1]).is_file()


def test_updates_cover_all_that_is_pinned() -> None:
    ecosystems = {each["package-ecosystem"] for each in read(GITHUB / "dependabot.yml")["updates"]}
    assert ecosystems == {"pip", "github-actions", "docker", "devcontainers"}
