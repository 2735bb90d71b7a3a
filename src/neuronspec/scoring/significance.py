"""What `results.json` says of differences between arms: tests by direction, intervals over directions; and marks.

`results.json` holds them under `significance`:

    {"method": {...}, "pairs": {SYSTEM: {BASELINE: {METRIC: {
        "directions": {"en-de": {"difference", "low", "high", "p", "holm_p", "sacrebleu_bootstrap_p"}},
        "average": {"difference", "n", "of", "these_directions": {"low", "high"}, "other_directions": {"low", "high"},
                    "correlation"},
        "zero_shot", "adapted", "others": the same or absent}}}}}

Each pair of arms is there once, as `method_and_control` orders it (in results from before, the later arm minus the
earlier one); `Significance.difference` and `average` find both ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from neuronspec.scoring.intervals import Interval

LEVEL = 0.05
"""Differences with a smaller p-value are marked."""

_DIRECTIONS_NOTE = (
    "* p < 0.05 in this direction (approximate randomization, two-sided, not corrected); ** also after Holm's "
    "correction for the number of directions."
)
METHOD_NOTE = (
    f"{_DIRECTIONS_NOTE} Means: * the 95% interval for other directions of this kind excludes 0. Other training seeds "
    "may differ."
)
"""What the marks in tables mean."""
OLD = "read"
"""The key of `Significance.method` that only results of version 0.1 have, as `old_significance` reads them."""
_OLD_NOTE = (
    f"{_DIRECTIONS_NOTE} Means have no marks and no intervals: version 0.1 made these results. Remove results.json and "
    "run 'neuronspec evaluate RUN' to get them."
)


Group: TypeAlias = Literal["average", "zero_shot", "adapted", "others"]
"""Of directions: the trained ones, the zero-shot ones; in an adaptation, those that arms train on, and the rest."""


class _Entry(BaseModel):
    """A part of `results.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DirectionTest(_Entry):
    """One arm against another in one direction by one metric.

    Args:
        difference: of the scores.
        low, high: its 95% interval, for other sentences.
        p: of the paired approximate randomization; None where an older version didn't compute it.
        holm_p: `p`, corrected for the number of directions.
        sacrebleu_bootstrap_p: what `sacrebleu --paired-bs` prints; too small, and marks nothing.
    """

    difference: float
    low: float
    high: float
    p: float | None
    holm_p: float | None
    sacrebleu_bootstrap_p: float

    @property
    def significant(self) -> bool:
        """Whether p is below the level, not corrected."""
        return self.p is not None and self.p < LEVEL

    @property
    def significant_corrected(self) -> bool:
        """Whether it still is after Holm's correction."""
        return self.holm_p is not None and self.holm_p < LEVEL

    def turned(self) -> DirectionTest:
        """The other arm against this one."""
        turned = {"difference": -self.difference, "low": -self.high, "high": -self.low}
        return self.model_copy(update=turned)


class Bounds(_Entry):
    """The ends of a 95% interval."""

    low: float
    high: float

    @classmethod
    def of(cls, interval: Interval | None) -> Bounds | None:
        """From an interval, if there is one."""
        return None if interval is None else cls(low=short(interval.low), high=short(interval.high))

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside."""
        return self.low > 0 or self.high < 0

    def turned(self) -> Bounds:
        """Of the difference with the opposite sign."""
        return Bounds(low=-self.high, high=-self.low)


class MeanDifference(_Entry):
    """One arm against another over directions, for the models that were trained.

    Args:
        difference: the mean.
        n: directions that were tested.
        of: directions that should have been.
        these_directions: its 95% interval for other sentences; None in results of older versions.
        other_directions: its 95% interval for other directions of this kind and other sentences; None for one
            direction, and in results of older versions.
        correlation: of the directions' differences over resamples of the sentences that they share, mean over pairs;
            None where they share none.
    """

    difference: float
    n: int
    of: int
    these_directions: Bounds | None = None
    other_directions: Bounds | None = None
    correlation: float | None = None

    @property
    def significant(self) -> bool:
        """Whether 0 is outside of the interval for other directions."""
        return self.other_directions is not None and self.other_directions.excludes_zero

    def turned(self) -> MeanDifference:
        """The other arm against this one."""
        turned = {
            name: None if bounds is None else bounds.turned()
            for name, bounds in (
                ("these_directions", self.these_directions),
                ("other_directions", self.other_directions),
            )
        }
        return self.model_copy(update={"difference": -self.difference, **turned})


class Comparison(_Entry):
    """One arm against another by one metric.

    Args:
        directions: the tests by direction.
        average: over the trained directions; None if none was tested.
        zero_shot: over the zero-shot directions; None if there are none.
        adapted, others: over the directions that arms were trained on, and the other trained ones, in an adaptation.
    """

    directions: dict[str, DirectionTest]
    average: MeanDifference | None = None
    zero_shot: MeanDifference | None = None
    adapted: MeanDifference | None = None
    others: MeanDifference | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as in `results.json`."""
        return self.model_dump(mode="json", exclude_unset=True)


class Significance(_Entry):
    """All tests of a run.

    Args:
        method: how they were made.
        pairs: by method, control and metric.
    """

    method: dict[str, Any]
    pairs: dict[str, dict[str, dict[str, Comparison]]]

    @property
    def old(self) -> bool:
        """Whether version 0.1 made them, so that means have no intervals."""
        return OLD in self.method

    @property
    def note(self) -> str:
        """What the marks of these tests mean in tables."""
        return _OLD_NOTE if self.old else METHOD_NOTE

    def difference(self, system: str, baseline: str, metric: str, direction: str) -> DirectionTest | None:
        """The test of one arm against another in a direction, whichever is the control; None if there is none."""
        for comparisons, swapped in self._of(system, baseline):
            found = comparisons[metric].directions.get(direction) if metric in comparisons else None
            if found is not None:
                return found.turned() if swapped else found
        return None

    def average(self, system: str, baseline: str, metric: str, group: Group = "average") -> MeanDifference | None:
        """The mean difference of two arms over a group of directions; None if there is none."""
        for comparisons, swapped in self._of(system, baseline):
            found: MeanDifference | None = getattr(comparisons.get(metric), group, None)
            if found is not None:
                return found.turned() if swapped else found
        return None

    def _of(self, system: str, baseline: str) -> Iterator[tuple[dict[str, Comparison], bool]]:
        for one, other, swapped in ((system, baseline, False), (baseline, system, True)):
            if other in self.pairs.get(one, {}):
                yield self.pairs[one][other], swapped


_RANKS = {"copy": 0, "base": 1, "bilingual": 2, "random": 3, "dense": 4, "specialized": 6}
"""Which arms are controls of which: each of those after it, and all others, which rank between the last two."""


def method_and_control(earlier: str, later: str) -> tuple[str, str]:
    """Order a pair of arms so that the first minus the second is what the method gains over its control.

    `random-g` ranks as `random`; of two arms that rank alike the later one comes first.

    Args:
        earlier: an arm.
        later: an arm that comes after it in the tables.

    Examples:
        >>> method_and_control("specialized", "dense"), method_and_control("base", "dense")
        (('specialized', 'dense'), ('dense', 'base'))
    """
    return (later, earlier) if _rank(later) >= _rank(earlier) else (earlier, later)


def _rank(arm: str) -> int:
    return _RANKS.get(arm.partition("-")[0], 5)


def marks(test: DirectionTest | None) -> str:
    """`**`, `*` or nothing, for a test of one direction."""
    if test is None or not test.significant:
        return ""
    return "**" if test.significant_corrected else "*"


def short(value: float) -> float:
    """A number as `results.json` has it: six digits."""
    return float(f"{value:.6g}")
