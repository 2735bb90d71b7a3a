"""What the rows of the table of arms are, and what their differences mean, in words."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average_gain, trained_directions

_ROWS = {
    "copy": "the source itself, untranslated; a model that has learnt to translate scores more",
    "base": "the model that the arms were made from",
    "specialized": "base, trained on with neurons of each direction's own",
    "dense": "base, trained on for as many updates with all neurons",
    "random": "as specialized, with as many neurons drawn at random",
}
_DIFFERENCES = (
    ("base", "copy", "what the model has learnt"),
    ("dense", "base", "what more training gives"),
    ("specialized", "dense", "what restricting each direction to its own neurons adds, or costs"),
    ("specialized", "random", "how much it matters which neurons these are"),
)
VARIES = (
    "Scores vary from machine to machine, as processors round differently, and with the seed: "
    "a difference without * may as well be chance."
)


def legend(results: Results, metric: str = "chrf++") -> list[str]:
    """One line for each row of `arms_table` that every run has, then one for each difference between two of them."""
    return [*_rows(results), *_differences(results, metric), VARIES]


def _rows(results: Results) -> Iterator[str]:
    width = max(map(len, _ROWS))
    for arm, text in _ROWS.items():
        if arm in results.arms:
            yield f"{arm:{width}}  {text}"


def _differences(results: Results, metric: str) -> Iterator[str]:
    directions = trained_directions(results)
    for arm, other, text in _DIFFERENCES:
        if arm not in results.arms or other not in results.arms:
            continue
        gain = average_gain(results.arms[arm], results.arms[other], directions, metric)
        yield f"{arm} - {other}: {gain.show(1, signed=True)} chrF++: {text}"
