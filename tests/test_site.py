"""The site: built strictly, whole, and without links that lead nowhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

import neuronspec as ns

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PROJECT = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
FORGE = "https://github.com/neuronspec/neuronspec"


def named(entries: Any) -> Iterator[str]:
    """The pages of a part of the navigation."""
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [value] if isinstance(value, str) else named(value)


class Page(HTMLParser):
    """What a built page leads to, and what can be led to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.tags: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does, in another folder."""
    pytest.importorskip("zensical", reason="the docs extra is not installed")
    folder = tmp_path_factory.mktemp("project")
    shutil.copyfile(ROOT / "zensical.toml", folder / "zensical.toml")
    shutil.copytree(DOCS, folder / "docs")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "griffe:" not in done.stdout + done.stderr, "a docstring that isn't understood"
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_every_page_is_in_the_navigation_once() -> None:
    found = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    listed = list(named(PROJECT["nav"]))
    assert len(listed) == len(set(listed)) > 30
    assert set(listed) == found


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken, count = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert count > 1000 and broken == []


def test_links_into_the_repository_name_what_is_there() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    links = [
        (page.name, link)
        for page in pages
        for link in re.findall(rf"{FORGE}/(?:blob|tree)/main/([^)#\s\"]+)", page.read_text(encoding="utf-8"))
    ]
    assert links and [(page, link) for page, link in links if not (ROOT / link).exists()] == []


def test_pages_of_the_site_link_to_no_file_beside_it() -> None:
    """A link out of `docs/` works in the forge alone; with the forge's address it works on both."""
    outside = [
        f"{page.name}: {link}"
        for page in DOCS.rglob("*.md")
        for link in re.findall(r"\]\(([^)#\s:]+)[#)]", page.read_text(encoding="utf-8"))
        if not (page.parent / link).resolve().is_relative_to(DOCS)
    ]
    assert outside == []


def test_every_public_name_has_its_reference(pages: dict[Path, Page]) -> None:
    anchors = set().union(*(page.anchors for path, page in pages.items() if "api" in path.parts))
    missing = [name for name in ns.__all__ if f"neuronspec.{name}" not in anchors]
    assert missing == ["report", "__version__"]
    assert len([name for name in anchors if name.startswith("neuronspec.report.figures.")]) >= 10


def test_references_are_resolved_and_names_are_found(site: Path, pages: dict[Path, Page]) -> None:
    assert not any("autoref" in page.tags for page in pages.values())
    assert "record_activations" in (site / "search.json").read_text(encoding="utf-8")


def test_the_project_names_the_site() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["urls"]["Documentation"] == PROJECT["site_url"] and project["urls"]["Homepage"] == FORGE
