"""What all settings share: sections that refuse unknown keys, numbers with bounds, paths that start at the recipe."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

MANY = 1_000_000_000
"""The largest number that a setting takes where no other bound makes sense."""

Positive = Annotated[int, Field(gt=0, le=MANY)]
"""A whole number from 1 to a billion, which no setting of a real experiment exceeds."""

Seed = Annotated[int, Field(ge=0, lt=2**63)]
"""What torch takes as a seed."""

Share = Annotated[float, Field(gt=0, lt=1)]


def matching(pattern: str, words: str) -> AfterValidator:
    """Text of some form, which users are told in words.

    Args:
        pattern: a regular expression for the whole text.
        words: what the text should be, in words.
    """

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise PydanticCustomError("text_form", "Input should be {words}", {"words": words})
        return text

    return AfterValidator(check)


Name = Annotated[
    str,
    matching("[A-Za-z0-9][A-Za-z0-9._-]*", "letters from a to z, digits, '.', '_' and '-', a letter or digit first"),
]
"""What names files and folders, too."""

PACKED = (".gz", ".xz", ".zst", ".zip")
"""How the names of compressed files and archives end."""


def not_empty(path: Any) -> Any:
    """What is written as a path: an empty one would be the recipe's folder.

    Raises:
        ValueError: nothing is written.
    """
    if isinstance(path, str) and not path.strip():
        raise ValueError("the path is empty; name a file or folder, or write . for the recipe's folder")
    return path


def from_recipe_folder(pattern: str, info: ValidationInfo) -> str:
    """Relative paths in a recipe start at the recipe's folder."""
    folder = (info.context or {}).get("folder")
    expanded = Path(pattern).expanduser()
    return str(_followed(Path(folder) / expanded)) if folder else str(expanded)


def _followed(path: Path) -> Path:
    """The path without links, but for one whose name alone says how its file is packed: text.tsv.gz to blobs/1a2b."""
    # os.path answers False, too, for patterns and names that no file can have; pathlib raises OSError.
    for link in (path, *path.parents):
        packed = link.suffix in PACKED and os.path.islink(link) and os.path.isfile(link)  # noqa: PTH113, PTH114
        if packed and link.resolve().suffix != link.suffix:
            return link.parent.resolve() / link.name / path.relative_to(link)
    return path.resolve()


def _from_recipe_folder(path: Path, info: ValidationInfo) -> Path:
    resolved = Path(from_recipe_folder(str(path), info))
    if (info.context or {}).get("check_files") and not is_there(resolved):
        raise ValueError(f"no such file or folder: {resolved}")
    return resolved


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder.

    Raises:
        ValueError: there can't be one: it is too long, or has a character that no path has.
    """
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        raise ValueError(f"not a path: {getattr(error, 'strerror', None) or error}") from None


RecipePattern = Annotated[str, AfterValidator(not_empty), AfterValidator(from_recipe_folder)]
RecipePath = Annotated[Path, BeforeValidator(not_empty), AfterValidator(_from_recipe_folder)]


class Section(BaseModel):
    """A part of the recipe. Unknown keys are refused, and so are numbers that aren't finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Added:
    """Marks a key that came after run folders were made: one from before means the default.

    Fingerprints and checkpoints leave such a key out while it has its default (`without_added`), so that older run
    folders stay up to date.
    """


def is_left_out(section: BaseModel, name: str) -> bool:
    """Whether a key is marked `Added` and has its default."""
    info = type(section).model_fields[name]
    return any(isinstance(mark, Added) for mark in info.metadata) and getattr(section, name) == info.default


def without_added(section: BaseModel, dumped: dict[str, Any]) -> dict[str, Any]:
    """What was dumped of a section, without the keys that are marked `Added` and have their default.

    Args:
        section: of a recipe, or the whole recipe.
        dumped: by `section.model_dump`, of all keys or some; changed in place.
    """
    for name in type(section).model_fields:
        value = getattr(section, name)
        if is_left_out(section, name):
            dumped.pop(name, None)
        elif isinstance(value, BaseModel) and name in dumped:
            without_added(value, dumped[name])
    return dumped
