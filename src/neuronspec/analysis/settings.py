"""The settings of analyses: the recipe's, and those of a model without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from neuronspec.core.errors import RecipeError, nearest
from neuronspec.core.settings import Positive, Section
from neuronspec.neurons.settings import Statistic


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
    """

    pivot: str = "en"
    languages: Sequence[str] | None = None
    directions: Literal["both", "out", "into"] | Sequence[str] = "both"
    sentences: int = 200
    coverage: float = 0.95
    statistic: Statistic | None = None
    prompt: str | None = None
    ablation: int = 20
    share: float = 0.05
    families: Mapping[str, str] | None = None

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
    ) -> Options:
        """From the options of the command line: lists are joined by commas, families are `code=family`.

        Raises:
            RecipeError: an unknown statistic, a coverage of 0, or a family that isn't written so.
        """
        statistics: dict[str, Statistic | None] = {"auto": None, "count": "count", "magnitude": "magnitude"}
        if statistic not in statistics:
            raise RecipeError(f"--statistic {statistic!r}: {nearest(statistic, statistics)}")
        if coverage <= 0:
            raise RecipeError(f"--coverage is {coverage:g}: expected a number above 0 and at most 1, such as 0.95")
        pairs = [family.partition("=") for family in families or []]
        wrong = ["".join(pair) for pair in pairs if not all(pair)]
        if wrong:
            raise RecipeError(f"--family {wrong[0]!r}: expected CODE=FAMILY, such as kn=Indo-Aryan")
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
            families={code: name for code, _, name in pairs},
        )


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class AnalysisSettings(Section):
    """What is found out about the neurons with the trained models at hand."""

    sentences: Positive = Field(20, description="held-out sentences per direction, for losses and for tokens")
    share: float = Field(0.05, gt=0, le=0.5, description="share of a site's neurons that the causal check turns off")
    parts: Positive = Field(10, description="parts of the recording text whose masks are compared")
