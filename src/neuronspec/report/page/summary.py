"""What the numbers of a report say: sentences, for the section that each belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.overlap import LayerOverlap
from neuronspec.evaluation.adaptation import groups_of
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, average_gain, gains_of, trained_directions
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, SiteNumbers
from neuronspec.report.series import ablation_gains

SIGNIFICANT = 0.05


def against(difference: float, other: str, unit: str = "") -> str:
    """`1.20 chrF++ above dense`; `equal to dense` where the two digits that are shown are 0."""
    if not round(difference, 2):
        return f"equal to {other}"
    return f"{abs(difference):.2f}{unit} {'above' if difference > 0 else 'below'} {other}"


def course(first: float, last: float) -> str:
    """`rises` or `falls`; `stays the same` where both are the same to the two digits that are shown."""
    if round(first, 2) == round(last, 2):
        return "stays the same"
    return "rises" if last > first else "falls"


def scores_told(results: Results) -> Iterator[str]:
    """How the arms came out, and how specialized compares with its controls."""
    directions, arms = trained_directions(results), results.arms
    means = {arm: average(scores, directions, "chrf++") for arm, scores in arms.items()}
    shown = ", ".join(f"{arm} {mean.show(1)}" for arm, mean in means.items())
    yield f"Mean chrF++ over {len(directions)} directions: {shown}."
    base, copy = (means[arm].value if arm in means else None for arm in ("base", "copy"))
    if base is not None and copy is not None and base <= copy:
        yield (
            "The baseline translates no better than copying the source does: it is too little trained for a verdict on "
            "any arm."
        )
    for other in ("dense", "random"):
        if "specialized" in arms and other in arms:
            yield from _comparison(results, other, directions)


def adaptation_told(results: Results) -> Iterator[str]:
    """What each arm gained where it was trained, and what became of the other directions."""
    if not results.adapted or "base" not in results.arms:
        return
    groups = groups_of(trained_directions(results), [], results.adapted)
    told = []
    for arm in [name for name in results.arms if name not in ("copy", "base")]:
        gain, change = (
            average_gain(results.arms[arm], results.arms["base"], groups[group], "chrf++")
            for group in ("adapted", "others")
        )
        told.append(f"{arm} {gain.show(1, signed=True)} there, {change.show(1, signed=True)} elsewhere")
    yield (
        f"The arms were trained on {len(groups['adapted'])} of these directions ({', '.join(groups['adapted'])}); in "
        f"chrF++ over base: {'; '.join(told)}."
    )


def _comparison(results: Results, other: str, directions: Sequence[str]) -> Iterator[str]:
    """Specialized against another arm, with what the tests say where there are any."""
    arms = results.arms
    gains = list(gains_of(arms["specialized"], arms[other], directions, "chrf++").values())
    if not gains:
        return
    mean, better = sum(gains) / len(gains), sum(gain > 0 for gain in gains)
    found = results.significance.average("specialized", other, "chrf++") if results.significance else None
    told = [
        f"{'beyond chance' if bounds.excludes_zero else 'not beyond chance'} for {what} (95% interval "
        f"{bounds.low:+.2f} to {bounds.high:+.2f})"
        for bounds, what in (
            (found.these_directions if found else None, "other sentences in these directions"),
            (found.other_directions if found else None, "other directions of this kind"),
        )
        if bounds is not None
    ]
    old = results.significance is not None and results.significance.old
    tested = "; ".join(told) or ("no interval, as version 0.1 made the results" if old else "no significance test")
    yield (
        f"Specialized is {against(mean, other, ' chrF++')} on average, better in "
        f"{better} of {len(gains)} directions (one seed; {tested})."
    )


def neurons_told(data: ReportData, numbers: Numbers) -> Iterator[str]:
    """How sparse the masks are, and how they overlap over the layers."""
    yield f"The selected masks leave out {data.masks.sparsity():.0%} of the feed-forward neurons on average."
    rows = [row for row in numbers.progression if row.mean is not None]
    for side in dict.fromkeys(row.site.partition(".")[0] for row in rows):
        own = [row for row in rows if row.site.startswith(f"{side}.")]
        if len(own) > 1:
            yield _progression(side, own[0], own[-1])


def _progression(side: str, first: LayerOverlap, last: LayerOverlap) -> str:
    """From the first to the last layer, and whether the change is more than what sparsity alone brings about."""
    means, chances = (first.mean or 0.0, last.mean or 0.0), (first.chance or 0.0, last.chance or 0.0)
    above = [(mean - chance) / (1 - chance) if chance < 1 else 0.0 for mean, chance in zip(means, chances, strict=True)]
    overlap, rises_above_chance = course(*means), above[1] > above[0]
    where = "Over the layers" if side == "layers" else f"In the {side}"
    text = (
        f"{where} the overlap of directions {overlap} from {means[0]:.2f} in the first "
        f"layer to {means[1]:.2f} in the last; random neurons would share {chances[0]:.2f} and {chances[1]:.2f}."
    )
    if overlap == "stays the same":
        return text
    if (overlap == "rises") == rises_above_chance:
        return f"{text} The neurons grow more language-{'agnostic' if rises_above_chance else 'specific'}."
    other, density = ("falls", "denser") if overlap == "rises" else ("rises", "sparser")
    return f"{text} Above chance the overlap {other}: the change comes from {density} layers."


def structure_told(numbers: Numbers) -> Iterator[str]:
    """Where languages of one family overlap more than others, and which distances the masks follow."""
    yield from _families(numbers)
    yield from _uriel(numbers)


def _families(numbers: Numbers) -> Iterator[str]:
    for side in numbers.sides:
        tested = [site for site in numbers.of(side) if site.adjusted is not None]
        if not tested:
            continue
        found = [site for site in tested if site.adjusted is not None and site.adjusted < SIGNIFICANT]
        best = max(tested, key=lambda site: site.test.difference or 0.0)
        where = "layers of the model" if side == "layers" else f"{side} layers"
        yield (
            f"Directions of one language family overlap more than others do in {len(found)} of {len(tested)} {where} "
            f"(equally many of the most active neurons compared; permutation test, p < 0.05 after Holm's correction); "
            f"most in layer {best.layer}: IoU {_two(best.test.within)} within families and "
            f"{_two(best.test.between)} between."
        )


def _uriel(numbers: Numbers) -> Iterator[str]:
    """Which distance between languages the masks follow best in the last layer of each side."""
    for side in numbers.sides:
        last = numbers.of(side)[-1]
        known = {kind: test for kind, test in last.mantel.items() if test.r is not None}
        if known:
            kind, test = max(known.items(), key=lambda item: item[1].r or 0.0)
            yield (
                f"In the last {_layer(last)} the distances of masks agree best with the {kind} distances of the "
                f"languages in URIEL (r = {_two(test.r)}, p = {test.p:.3g}, {test.n} languages)."
            )


def _layer(site: SiteNumbers) -> str:
    return "layer" if site.side == "layers" else f"{site.side} layer"


def causes_told(ablation: Ablation) -> Iterator[str]:
    """What turning neurons off costs."""
    own, others, random = (
        sum(values) / len(values) for values in (ablation.own(), ablation.others(), ablation.by_chance())
    )
    worse = sum(mine > other for mine, other in zip(ablation.own(), ablation.others(), strict=True))
    number = next(iter(ablation.neurons.values()))
    where = "layer" if ablation.side == "layers" else f"{ablation.side} layer"
    yield (
        f"Turning off a direction's {number} most characteristic neurons of each {where} changes its loss "
        f"by {own:+.3f} nats per token on average; as many of another direction's change it by {others:+.3f}, random "
        f"ones by {random:+.3f}. {ablation_gains(ablation)} Its own cost more than another's in {worse} of them."
    )


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
