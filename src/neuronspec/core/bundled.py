"""The recipes and sweeps that come with the package.

They are in `recipes/` of a checkout, and in the folder `recipes` of an installed wheel. A path in them is relative to
that folder or the one of sweeps. A recipe that a user is given lies alone, or beside the sweep of it, so its paths are
made relative to the folder that it is written to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from neuronspec.core.errors import PathError, RecipeError, nearest
from neuronspec.core.version import DOCUMENTATION

SWEEP = "-sweep"
"""How the name of a sweep ends; without it, the file in `recipes/sweeps`."""

SHORT = 60
"""A summary of fewer characters takes the next sentence, too."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A recipe or sweep of the package.

    Args:
        name: what `neuronspec init` calls it.
        source: its text, with the paths and comments of the checkout.
    """

    name: str
    source: str

    @property
    def summary(self) -> str:
        """The first sentence of its comment; the next too after a short one."""
        comment = re.match(r"(?:#.*\n)+", self.source)
        words = " ".join(line.lstrip("# ") for line in (comment[0] if comment else "").splitlines())
        first, *others = re.split(r"(?<=[.?]) ", words)
        for sentence in others:
            if len(first) < SHORT:
                first = f"{first} {sentence}"
        return first

    @property
    def recipe(self) -> str | None:
        """The name of the recipe that a sweep is of."""
        found = re.search(r"^recipe: \.\./(.+)\.yaml$", self.source, flags=re.MULTILINE)
        return found[1] if found else None

    @property
    def text(self) -> str:
        """Its text as a user is given it: paths and the names of files are those beside it."""
        text = re.sub(r"(?<![\w/-])(?:recipes/)?sweeps/([\w-]+)\.yaml", rf"\1{SWEEP}.yaml", self.source)
        text = re.sub(r"recipes/([\w-]+)\.yaml", r"\1.yaml", text)
        text = re.sub(r"(?<![\w/])docs/", DOCUMENTATION, text)
        if "../data/" in text:
            note = "# Paths are relative to this file: put the text into data/ beside it, or change them.\n"
            text = re.sub(r"^(?=name:)", note, text, count=1, flags=re.MULTILINE)
        return text.replace("../", "")


def bundled() -> dict[str, Bundled]:
    """All recipes of the package by name, then all sweeps."""
    folder = _folder()
    recipes = {path.name.removesuffix(".yaml"): path for path in _yaml_files(folder)}
    sweeps = {path.name.removesuffix(".yaml") + SWEEP: path for path in _yaml_files(folder / "sweeps")}
    return {name: Bundled(name, path.read_text(encoding="utf-8")) for name, path in (recipes | sweeps).items()}


def write_bundled(name: str, out: Path | None = None) -> list[Path]:
    """Write a recipe or a sweep of the package; with a sweep its recipe, where there is none of that name yet.

    Args:
        name: of the recipe or sweep.
        out: the file; by default `NAME.yaml` here.

    Returns:
        The files that were written.

    Raises:
        RecipeError: there is none of that name.
        PathError: there is a file already, or the file would be that of the sweep's recipe.
    """
    known = bundled()
    if name not in known:
        raise RecipeError(f"no recipe {name!r} comes with neuronspec; {nearest(name, known)}")
    file = out or Path(f"{name}.yaml")
    if file.is_dir():
        raise PathError(f"{file} is a folder; give the path of a file, such as {file / name}.yaml")
    needed = known[name].recipe
    beside = file.with_name(f"{needed}.yaml")
    if needed is not None and beside == file:
        raise PathError(
            f"{file}: {name} is a sweep of the recipe of that name, which lies beside it; name another --out"
        )
    written = [_write_new(known[name], file)]
    if needed is not None and not beside.exists():
        written.append(_write_new(known[needed], beside))
    return written


def _write_new(entry: Bundled, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8", newline="\n") as new:
            new.write(entry.text)
    except FileExistsError:
        raise PathError(f"{file} is there already and stays as it is; name another file with --out") from None
    return file


def _folder() -> Traversable:
    installed = files("neuronspec") / "recipes"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "recipes"


def _yaml_files(folder: Traversable) -> list[Traversable]:
    return sorted((path for path in folder.iterdir() if path.name.endswith(".yaml")), key=lambda path: path.name)
