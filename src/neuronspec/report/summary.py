"""The summary of a report: sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neuronspec.evaluation.tables import average, directions_of
from neuronspec.neurons import LayerOverlap, NeuronMasks, overlap_progression


def summary_sentences(results: Mapping[str, Any], masks: NeuronMasks) -> list[str]:
    """What was compared, how the arms came out, and what the neurons look like."""
    return [*_scores(results), *_neurons(results, masks)]


def _scores(results: Mapping[str, Any]) -> Iterator[str]:
    directions, arms = directions_of(results), results["arms"]
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
        if "specialized" not in arms or other not in arms:
            continue
        both = [name for name in directions if name in arms["specialized"] and name in arms[other]]
        gains = [arms["specialized"][name]["chrf++"] - arms[other][name]["chrf++"] for name in both]
        if gains:
            mean, better = sum(gains) / len(gains), sum(gain > 0 for gain in gains)
            verdict = "above" if mean > 0 else "below"
            yield (
                f"Specialized is {abs(mean):.2f} chrF++ {verdict} {other} on average, better in {better} of "
                f"{len(gains)} directions (one seed; no significance test)."
            )


def _neurons(results: Mapping[str, Any], masks: NeuronMasks) -> Iterator[str]:
    yield f"The selected masks leave out {masks.sparsity():.0%} of the feed-forward neurons on average."
    rows = [row for row in overlap_progression(masks, results["pivot"]) if row.mean is not None]
    for side in dict.fromkeys(row.site.partition(".")[0] for row in rows):
        own = [row for row in rows if row.site.startswith(f"{side}.")]
        if len(own) > 1:
            yield _progression(side, own[0], own[-1])


def _progression(side: str, first: LayerOverlap, last: LayerOverlap) -> str:
    """From the first to the last layer, and whether the change is more than what sparsity alone brings about."""
    means, chances = (first.mean or 0.0, last.mean or 0.0), (first.chance or 0.0, last.chance or 0.0)
    above = [(mean - chance) / (1 - chance) if chance < 1 else 0.0 for mean, chance in zip(means, chances, strict=True)]
    rises, rises_above_chance = means[1] > means[0], above[1] > above[0]
    text = (
        f"In the {side} the overlap of directions {'rises' if rises else 'falls'} from {means[0]:.2f} in the first "
        f"layer to {means[1]:.2f} in the last; random neurons would share {chances[0]:.2f} and {chances[1]:.2f}."
    )
    if rises == rises_above_chance:
        return f"{text} The neurons grow more language-{'agnostic' if rises else 'specific'}."
    other, density = ("falls", "denser") if rises else ("rises", "sparser")
    return f"{text} Above chance the overlap {other}: the change comes from {density} layers."
