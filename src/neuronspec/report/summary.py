"""The summary of a report: sentences made from the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from neuronspec.evaluation.tables import average, directions_of
from neuronspec.neurons import NeuronMasks, overlap_progression


def summary_sentences(results: Mapping[str, Any], masks: NeuronMasks) -> list[str]:
    """What was compared, how the arms came out, and what the neurons look like."""
    return [*_scores(results), *_neurons(results, masks)]


def _scores(results: Mapping[str, Any]) -> Iterator[str]:
    directions, arms = directions_of(results), results["arms"]
    means = {arm: average(scores, directions, "chrf++") for arm, scores in arms.items()}
    shown = ", ".join(f"{arm} {mean.show(1)}" for arm, mean in means.items())
    yield f"Mean chrF++ over {len(directions)} directions: {shown}."
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
        first, last = own[0], own[-1]
        if len(own) < 2 or first.mean is None or last.mean is None:
            continue
        direction = "rises" if last.mean > first.mean else "falls"
        meaning = "more language-agnostic" if last.mean > first.mean else "more language-specific"
        yield (
            f"In the {side} the overlap of directions {direction} from {first.mean:.2f} in the first layer to "
            f"{last.mean:.2f} in the last: neurons grow {meaning} (chance: {first.chance:.2f} and {last.chance:.2f})."
        )
