"""What an index and a user without the repository get: the built wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest

import neuronspec
from neuronspec.core.bundled import bundled
from neuronspec.core.version import DOCUMENTATION

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def done(*command: object, cwd: Path) -> str:
    arguments = list(map(str, command))
    result = subprocess.run(arguments, capture_output=True, text=True, cwd=cwd, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the dev extra is not installed")
    pytest.importorskip("hatch_fancy_pypi_readme", reason="the dev extra is not installed")
    folder = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(name).decode("utf-8"))


def test_the_description_is_right_on_an_index(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)\s]+)", text)
    assert len(links) > 20 and [link for link in links if not link.startswith("https://")] == []
    assert all("raw.githubusercontent.com" in link for link in re.findall(r"!\[[^\]]*\]\(([^)\s]+)", text))
    assert metadata["Description-Content-Type"] == "text/markdown"


def test_the_metadata_name_the_version_and_the_places(metadata: Message) -> None:
    urls = dict(value.split(", ", 1) for value in metadata.get_all("Project-URL", []))
    assert metadata["Version"] == neuronspec.__version__
    assert DOCUMENTATION.startswith(urls["Homepage"]) and {"Documentation", "Issues", "Changelog"} <= urls.keys()
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_recipes_come_with_it(wheel: Path, tmp_path: Path) -> None:
    """In an empty environment, whose other packages are those of this one."""
    done(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / "python"
    done(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    (site,) = (tmp_path / "venv").glob("**/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "others.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    home = done(python, "-I", "-c", "import neuronspec; print(neuronspec.__file__)", cwd=tmp_path)
    assert Path(home.strip()).is_relative_to(tmp_path)
    program = (python, "-I", "-m", "neuronspec")
    assert [line.split()[0] for line in done(*program, "init", "--list", cwd=tmp_path).splitlines()] == list(bundled())
    done(*program, "init", "demo", cwd=tmp_path)
    assert "demo.yaml: valid; 12 directions" in done(*program, "validate", "demo.yaml", cwd=tmp_path)
    assert "prepare: not run yet" in done(*program, "run", "demo.yaml", "--dry-run", cwd=tmp_path)
    assert (site / "neuronspec" / "py.typed").is_file()
