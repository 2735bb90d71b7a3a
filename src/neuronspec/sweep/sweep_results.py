"""What `SWEEP/results.json` holds: what that of a run holds, with means over trainings, and what entries gain.

There is a value of each training: each seed, or each seed on each baseline. Differences are tested over baselines where
there are several, else over seeds on the one baseline.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from neuronspec.arms.arm import Cost
from neuronspec.evaluation.results import Results

Group: TypeAlias = str
"""`all`, `zero-shot`, or a tier and way past the pivot (`high out`)."""


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Bounds(_Content):
    """The ends of a 95% interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 is on neither side of the interval's inside."""
        return self.low > 0 or self.high < 0


Verdict: TypeAlias = Literal["better", "no worse", "worse", "open"]
"""What an interval says of a difference, given a margin: above 0; above -margin; below 0; none of these."""


def verdict(bounds: Bounds | None, margin: float) -> Verdict:
    """Superiority or non-inferiority (Schumi and Wittes, 2011, Trials 12:106), as a 95% interval shows it.

    Args:
        bounds: of the difference; None if there is no interval.
        margin: that counts as no worse.

    Examples:
        >>> verdict(Bounds(low=-0.05, high=0.2), 0.1)
        'no worse'
    """
    if bounds is None:
        return "open"
    if bounds.low > 0:
        return "better"
    if bounds.low > -margin:
        return "no worse"
    return "worse" if bounds.high < 0 else "open"


class Spread(_Content):
    """A number over trainings: mean, standard deviation of a sample (None for one), and each value."""

    mean: float
    sd: float | None
    values: list[float]


class PairedTest(Spread):
    """Differences over trainings, with the p-value of the paired t-test (None for one)."""

    p: float | None


class Entry(_Content):
    """An entry of a sweep.

    Args:
        arm: which one it trains.
        changes: to the sweep's recipe.
        seeds: of the continuations.
        base_seeds: of the baselines, where there are several.
        trained: the seeds of each training, of its baseline (0: the recipe's) and of the continuation, in the order of
            values; empty in older results.
        means: by group of directions and metric, means over directions.
        validation: the best validation loss.
        sparsity: share of neurons that are left out; None for arms without masks.
        method: whose frontier it is a point of, in an adaptation.
        over_base: in an adaptation, by metric and direction, what each training gains over the baseline; of `loss`, by
            how many nats per token it fell.
        cost: what one training takes, with the preparation that it needs; the median time, the most memory.
    """

    arm: str
    changes: dict[str, Any]
    seeds: list[int]
    base_seeds: list[int]
    trained: list[tuple[int, int]] = []
    means: dict[Group, dict[str, Spread]]
    validation: Spread | None
    sparsity: float | None
    method: str = ""
    over_base: dict[str, dict[str, list[float]]] = {}
    cost: Cost

    @property
    def trainings(self) -> int:
        """How many there are."""
        return len(self.trained) or max(1, len(self.base_seeds)) * len(self.seeds)


class GroupDifference(_Content):
    """What an entry gains over a baseline in a group of directions.

    Args:
        difference: of the means.
        n: directions that both translate.
        of: directions of the group.
        over: what the values of `seeds` vary over.
        these_trainings: its interval for other sentences, with these directions and trainings.
        other_trainings: for other trainings and sentences, with these directions; None with one training.
        other_directions: for other directions of the kind, too; None with one training or direction.
        correlation: of two directions' differences, from the sentences that they share; None where they share none.
        seeds: the differences, and their test.
    """

    difference: float
    n: int
    of: int
    over: Literal["seeds", "baselines"]
    these_trainings: Bounds | None
    other_trainings: Bounds | None
    other_directions: Bounds | None
    correlation: float | None
    seeds: PairedTest

    @property
    def mark(self) -> str:
        """`*` where the interval for other directions and trainings excludes 0."""
        return "*" if self.other_directions is not None and self.other_directions.excludes_zero else ""


Gains: TypeAlias = dict[str, dict[Group, GroupDifference]]
"""By metric and group."""


class SweepResults(Results):
    """The content of `SWEEP/results.json`.

    Args:
        sweep: its name.
        baselines: the entries that others are compared with.
        base_seeds: of the sweep; empty where all continue one baseline.
        entries: all that were trained.
        differences: by entry and baseline.
        margin: chrF++ that counts as no worse; None if the sweep doesn't say.
        failed: by training, why it failed.
    """

    sweep: str
    baselines: list[str]
    base_seeds: list[int]
    entries: dict[str, Entry]
    differences: dict[str, dict[str, Gains]]
    margin: float | None = None
    failed: dict[str, str] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """The sweep's name; `recipe` is the text of one."""
        return self.sweep

    @property
    def over(self) -> Literal["seeds", "baselines"]:
        """What differences are tested over."""
        return "baselines" if len(self.base_seeds) > 1 else "seeds"
