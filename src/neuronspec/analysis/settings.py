"""The settings of analyses: the recipe's, and those of a model without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

from pydantic import Field

from neuronspec.core.direction import is_language_code
from neuronspec.core.errors import DirectionError, RecipeError, nearest
from neuronspec.core.languages import canonical, is_known
from neuronspec.core.settings import Positive, Section
from neuronspec.neurons.settings import Statistic

SPREADS = ("auto", "balanced", "balanced_low_0", "sequential")
"""Ways in which accelerate spreads a model over devices by itself."""

DtypeName: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a model is analysed.

    Args:
        pivot: the language in the middle.
        languages: the others; None: all columns of the table.
        directions: as a recipe has them: `both`, `out`, `into`, or names.
        sentences: per direction, at most, spread over the table.
        coverage: k.
        statistic: None: `count` where a positive value means that a neuron fired, else `magnitude`.
        prompt: see `TextFormat.of_model`.
        ablation: sentences per direction for the causal check; 0: none.
        share: of a site's neurons that the causal check turns off.
        families: by language, where it isn't the built-in table's.
        texts: by language a file with a text per line: the tasks are these languages, without a pivot.
        dtype: of the weights: `auto` (as they were saved), or the name of a dtype of torch.
        device_map: spreads the model over devices; see `load_model`.
    """

    pivot: str = "en"
    languages: Sequence[str] | None = None
    directions: Literal["both", "out", "into"] | Sequence[str] = "both"
    sentences: int = 200
    coverage: float = 0.95
    statistic: Statistic | None = None
    prompt: str | None = None
    ablation: int = 50
    share: float = 0.05
    families: Mapping[str, str] | None = None
    texts: Mapping[str, Path] | None = None
    dtype: DtypeName = "auto"
    device_map: str | Mapping[str, int | str] | None = None

    @property
    def torch_dtype(self) -> Any:
        """The dtype of torch; `auto` as it is."""
        import torch

        return "auto" if self.dtype == "auto" else getattr(torch, self.dtype)

    @classmethod
    def parse(
        cls,
        pivot: str,
        languages: str | None,
        directions: str,
        sentences: int,
        coverage: float,
        statistic: str,
        prompt: str | None,
        ablation: int,
        families: Sequence[str] | None,
        texts: Sequence[str] | None = None,
        dtype: str = "auto",
        device_map: str | None = None,
    ) -> Options:
        """From the options of the command line: lists are joined by commas, families are `code=family`.

        Raises:
            RecipeError: an unknown statistic or dtype, a coverage of 0, a family or text that isn't written so, or
                options of parallel text beside those of single languages.
        """
        statistics: dict[str, Statistic | None] = {"auto": None, "count": "count", "magnitude": "magnitude"}
        if statistic not in statistics:
            raise RecipeError(f"--statistic {statistic!r}: {nearest(statistic, statistics)}")
        if coverage <= 0:
            raise RecipeError(f"--coverage is {coverage:g}: expected a number above 0 and at most 1, such as 0.95")
        if dtype not in get_args(DtypeName):
            raise RecipeError(f"--dtype {dtype!r}: {nearest(dtype, get_args(DtypeName))}")
        if device_map is not None and device_map not in SPREADS:
            raise RecipeError(f"--device-map {device_map!r}: {nearest(device_map, SPREADS)}")
        named_families = _assigned(families, "--family", "CODE=FAMILY, such as kn=Indo-Aryan")
        files = _assigned(texts, "--texts", "LANGUAGE=FILE, such as de=german.txt")
        if files:
            _check_single_languages(
                {
                    "--pivot": pivot != cls().pivot,
                    "--languages": languages is not None,
                    "--directions": directions != cls().directions,
                    "--prompt": prompt is not None,
                }
            )
        named: Any = directions if directions in ("both", "out", "into") else _listed(directions)
        return cls(
            pivot=pivot,
            languages=_listed(languages) if languages else None,
            directions=named,
            sentences=sentences,
            coverage=coverage,
            statistic=statistics[statistic],
            prompt=prompt,
            ablation=ablation,
            families=named_families,
            texts=_by_language(files) or None,
            dtype=cast("DtypeName", dtype),
            device_map=device_map,
        )


def _assigned(given: Sequence[str] | None, option: str, form: str) -> dict[str, str]:
    """`name=value`, repeated."""
    found: dict[str, str] = {}
    for text in given or []:
        name, _, value = text.partition("=")
        if not name or not value:
            raise RecipeError(f"{option} {text!r}: expected {form}")
        if name in found:
            raise RecipeError(f"{option}: {name} is given twice")
        found[name] = value
    return found


def _by_language(files: Mapping[str, str]) -> dict[str, Path]:
    """Files by the canonical code of their language."""
    found: dict[str, Path] = {}
    for spelling, path in files.items():
        try:
            code = canonical(spelling) if not is_language_code(spelling) or is_known(spelling) else spelling
        except DirectionError as error:
            raise RecipeError(f"--texts {spelling}={path}: {error}") from None
        if code in found:
            raise RecipeError(f"--texts: {code} is given twice")
        found[code] = Path(path)
    if len(found) == 1:
        raise RecipeError("--texts: one language alone has nothing to be compared with; give two or more")
    return found


def _check_single_languages(given: Mapping[str, bool]) -> None:
    named = [option for option, is_given in given.items() if is_given]
    if named:
        raise RecipeError(f"{named[0]} is for parallel text, and --texts gives text of single languages; leave it out")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class AnalysisSettings(Section):
    """What is found out about the neurons with the trained models at hand."""

    sentences: Positive = Field(50, description="held-out sentences per direction, for losses and for tokens")
    share: float = Field(0.05, gt=0, le=0.5, description="share of a site's neurons that the causal check turns off")
    parts: Positive = Field(10, description="parts of the recording text whose masks are compared")
