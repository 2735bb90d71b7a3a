"""Tables of scores: averages that say how many directions they cover, by arm, resource tier, family and direction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table as RichTable

from neuronspec.direction import Direction
from neuronspec.languages import name_of

METRICS = {"bleu": ("BLEU", 1), "chrf++": ("chrF++", 1), "loss": ("loss", 3)}
"""By the name in `results.json`: the name in tables, and the digits shown."""


@dataclass(frozen=True, slots=True)
class Average:
    """A mean over directions.

    Args:
        value: None where no direction has the score.
        n: directions that have it.
        of: directions that should.
    """

    value: float | None
    n: int
    of: int

    def show(self, digits: int, *, signed: bool = False) -> str:
        """`12.3`, `12.3 (2 of 3)` where directions are missing, `–` where all are; `signed`: `+12.3`."""
        if self.value is None:
            return "–"
        missing = f" ({self.n} of {self.of})" if self.n < self.of else ""
        return f"{self.value:{'+' if signed else ''}.{digits}f}{missing}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: what the terminal and the report show."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    def to_rich(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", title_style="bold")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


Results = Mapping[str, Any]
"""The content of `results.json`."""


def average(scores: Mapping[str, Mapping[str, Any]], directions: Sequence[str], metric: str) -> Average:
    """The mean of a metric over `directions`; one that is missing is counted as missing, never left out silently."""
    values = [scores[name][metric] for name in directions if name in scores and scores[name].get(metric) is not None]
    return Average(sum(values) / len(values) if values else None, len(values), len(directions))


def directions_of(results: Results) -> list[str]:
    """All directions that any arm was scored in, sorted."""
    return sorted({name for scores in results["arms"].values() for name in scores}, key=Direction.parse)


def arms_table(results: Results) -> Table:
    """A row an arm: averages over all directions, and the gain in chrF++ over `base` and over `dense`."""
    directions, arms = directions_of(results), results["arms"]
    rows = []
    for arm, scores in arms.items():
        cells = [average(scores, directions, metric).show(digits) for metric, (_, digits) in METRICS.items()]
        gains = [_gain(arms, arm, other, directions) for other in ("base", "dense")]
        rows.append([arm, *cells, *gains])
    labels = [label for label, _ in METRICS.values()]
    title = f"Arms, mean of {len(directions)} directions"
    return Table(title, ["arm", *labels, "chrF++ over base", "chrF++ over dense"], rows)


def _gain(arms: Mapping[str, Any], arm: str, other: str, directions: Sequence[str]) -> str:
    """The mean difference in chrF++ over the directions that both have."""
    if other not in arms or arm in (other, "copy"):
        return ""
    both = [name for name in directions if name in arms[arm] and name in arms[other]]
    differences = [arms[arm][name]["chrf++"] - arms[other][name]["chrf++"] for name in both]
    mean = sum(differences) / len(both) if both else None
    return Average(mean, len(both), len(directions)).show(1, signed=True)


def tiers_table(results: Results, metric: str = "chrf++") -> Table:
    """A row an arm, a column a resource tier and way past the pivot, as the paper's main table has it."""
    tiers, pivot = results["tiers"], results["pivot"]
    tier_of = {code: tier for tier, codes in tiers.items() for code in codes}

    def group(direction: Direction) -> str | None:
        other, way = (direction.target, "out") if direction.source == pivot else (direction.source, "into")
        if pivot not in (direction.source, direction.target):
            return "past the pivot"
        return f"{tier_of[other]} {way}" if other in tier_of else None

    order = [f"{tier} {way}" for tier in tiers for way in ("out", "into")] + ["past the pivot"]
    return _grouped(results, f"{METRICS[metric][0]} by resource tier", metric, group, order)


def families_table(results: Results, metric: str = "chrf++") -> Table:
    """A row an arm, a column a language family (of the language that isn't the pivot)."""
    families, pivot = results["families"], results["pivot"]

    def group(direction: Direction) -> str | None:
        return families.get(direction.target if direction.source == pivot else direction.source)

    order = sorted(set(families.values()))
    return _grouped(results, f"{METRICS[metric][0]} by language family", metric, group, order)


def _grouped(
    results: Results, title: str, metric: str, group: Callable[[Direction], str | None], order: Iterable[str]
) -> Table:
    members: dict[str, list[str]] = {name: [] for name in order}
    for name in directions_of(results):
        label = group(Direction.parse(name))
        if label is not None:
            members[label].append(name)
    members = {label: names for label, names in members.items() if names}
    digits = METRICS[metric][1]
    rows = [
        [arm, *(average(scores, names, metric).show(digits) for names in members.values())]
        for arm, scores in results["arms"].items()
    ]
    return Table(title, ["arm", *(f"{label} ({len(names)})" for label, names in members.items())], rows)


def directions_table(results: Results, metric: str = "chrf++") -> Table:
    """A row a direction, a column an arm."""
    arms = results["arms"]
    digits = METRICS[metric][1]
    rows = [
        [direction, _names(direction), *(average(scores, [direction], metric).show(digits) for scores in arms.values())]
        for direction in directions_of(results)
    ]
    return Table(f"{METRICS[metric][0]} by direction", ["direction", "languages", *arms], rows)


def _names(direction: str) -> str:
    parsed = Direction.parse(direction)
    return f"{name_of(parsed.source)} → {name_of(parsed.target)}"
