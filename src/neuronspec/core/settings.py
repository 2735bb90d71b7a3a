"""What all settings share: sections that refuse unknown keys, numbers with bounds, paths that start at the recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _pattern_from_recipe_folder(pattern: str, info: ValidationInfo) -> str:
    """Relative paths in a recipe start at the recipe's folder."""
    folder = (info.context or {}).get("folder")
    expanded = Path(pattern).expanduser()
    return str((Path(folder) / expanded).resolve()) if folder else str(expanded)


def _from_recipe_folder(path: Path, info: ValidationInfo) -> Path:
    resolved = Path(_pattern_from_recipe_folder(str(path), info))
    if (info.context or {}).get("check_files") and not resolved.exists():
        raise ValueError(f"no such file or folder: {resolved}")
    return resolved


RecipePattern = Annotated[str, AfterValidator(_pattern_from_recipe_folder)]
RecipePath = Annotated[Path, AfterValidator(_from_recipe_folder)]


class Section(BaseModel):
    """A part of the recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
