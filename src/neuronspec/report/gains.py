"""What arms gain over another one, with the intervals that a figure shows."""

from __future__ import annotations

from dataclasses import dataclass

from neuronspec.evaluation.adaptation import groups_of
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average_gain, trained_directions
from neuronspec.scoring.significance import Bounds, Group


@dataclass(frozen=True, slots=True)
class Gain:
    """The mean difference of an arm from another over some directions.

    Args:
        arm: whose gain it is.
        value: arm minus the other.
        n, of: directions that both have, of how many.
        bounds: its 95% interval; None without one.
        kind: what the interval is for: other directions of this kind, or other sentences in these directions.
    """

    arm: str
    value: float
    n: int
    of: int
    bounds: Bounds | None
    kind: str

    @property
    def low(self) -> float | None:
        """The lower end of the interval."""
        return None if self.bounds is None else self.bounds.low

    @property
    def high(self) -> float | None:
        """The upper end of the interval."""
        return None if self.bounds is None else self.bounds.high

    @property
    def sure(self) -> str:
        """The interval in words; empty without one."""
        if self.bounds is None:
            return ""
        verdict = "beyond chance" if self.bounds.excludes_zero else "within chance"
        return f"95% interval for {self.kind} {self.bounds.low:+.2f} to {self.bounds.high:+.2f}: {verdict}"


def gain_of(results: Results, arm: str, other: str, group: Group = "average", metric: str = "chrf++") -> Gain | None:
    """The gain of an arm over another in a group of directions; None if they have none in common."""
    arms = results.arms
    if arm not in arms or other not in arms:
        return None
    directions = groups_of(trained_directions(results), [], results.adapted)[group]
    mean = average_gain(arms[arm], arms[other], directions, metric)
    if mean.value is None:
        return None
    found = results.significance.average(arm, other, metric, group) if results.significance else None
    bounds, kind = None, ""
    if found is not None and found.n == mean.n:
        kind = "other directions" if found.other_directions else "other sentences"
        bounds = found.other_directions or found.these_directions
    return Gain(arm, mean.value, mean.n, mean.of, bounds, kind)


def gains_over(results: Results, other: str = "base", group: Group = "average") -> list[Gain]:
    """The gains of all arms but `copy`, in the order of the tables."""
    found = [gain_of(results, arm, other, group) for arm in results.arms if arm not in (other, "copy")]
    return [gain for gain in found if gain is not None]
