"""The numbers of docs/findings.md, from a finished run.

    python benchmarks/findings.py runs/demo

Writes `results/findings_NAME.json` (NAME is the recipe's): overlap, families and sharing by site for the run's masks
and for masks at k = 0.7 (as in the published figures), the causal check, drift and stability.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean
from typing import Any

from machine import write_result
from neuronspec.analysis.findings import Findings
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, directions_of
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.selection import families_of, select_neurons
from neuronspec.recipe import Recipe
from neuronspec.report.numbers import compute
from neuronspec.scoring.intervals import Interval


def sites_of(recipe: Recipe, masks: NeuronMasks, acts: Activations) -> dict[str, Any]:
    """By site, the numbers of its masks."""
    numbers = compute(masks, recipe.corpus.pivot, families_of(recipe.corpus), acts)
    rows: dict[str, Any] = {}
    for row, site in zip(numbers.progression, numbers.sites, strict=True):
        rows[site.site] = {
            "sparsity": masks.sparsity("site")[site.site],
            "iou": row.mean,
            "chance": row.chance,
            "above_chance": row.above_chance,
            "sizes": site.sizes,
            "compared": site.compared,
            "within": site.test.within,
            "between": site.test.between,
            "p_holm": site.adjusted,
            "agreement": site.agreement,
            "genetic_r": site.mantel["genetic"].r,
            "genetic_p": site.mantel["genetic"].p,
            "shared": site.sharing.shared / site.sharing.width,
            "one_family": site.sharing.family / site.sharing.width,
            "one_language": site.sharing.language / site.sharing.width,
        }
    return {name: _shortened(row) for name, row in rows.items()}


def _shortened(row: dict[str, Any]) -> dict[str, Any]:
    return {key: _shortened(value) if isinstance(value, dict) else _short(value) for key, value in row.items()}


def checks_of(findings: Findings) -> dict[str, Any]:
    """The causal check, drift and stability, in short."""
    ablation = {
        found.side: {
            "neurons": next(iter(found.neurons.values())),
            "own": _short(mean(found.own())),
            "others": _short(mean(found.others())),
            "random": _short(mean(found.by_chance())),
            "draws": len(found.random),
            "own_minus_others": _gain(*found.above_others()),
            "own_minus_random": _gain(*found.above_chance()),
            "own_above_others": sum(a > b for a, b in zip(found.own(), found.others(), strict=True)),
            "own_above_random": sum(a > b for a, b in zip(found.own(), found.by_chance(), strict=True)),
            "directions": len(found.rows),
        }
        for found in findings.ablation
    }
    drift = {
        found.model: {side: _short(mean(v for k, v in found.iou.items() if side_of(k) == side)) for side in ablation}
        for found in findings.drift
    }
    shares = sorted({row.share for row in findings.stability})
    stability = {
        f"{share:.0%}": {
            side: _short(mean(r.iou for r in findings.stability if r.share == share and side_of(r.site) == side))
            for side in ablation
        }
        for share in shares
    }
    return {"ablation": ablation, "drift": drift, "stability": stability}


def scores_of(results: Results) -> dict[str, Any]:
    """chrF++ and loss of each arm, mean over directions."""
    names = directions_of(results)
    return {
        arm: {metric: _short(average(scores, names, metric).value) for metric in ("chrf++", "loss")}
        for arm, scores in results.arms.items()
    }


def _gain(difference: float, interval: Interval | None) -> dict[str, float | None]:
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"mean": _short(difference), "low": _short(low), "high": _short(high)}


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def main(run: Path) -> None:
    """Write the result file of a run."""
    recipe = Recipe.of_run(run)
    acts, masks = Activations.load(run / "activations.safetensors"), NeuronMasks.load(run / "masks.safetensors")
    at_70 = select_neurons(acts, CumulativeActivation(0.7))
    results = Results.load(run / "results.json")
    write_result(
        f"findings_{recipe.name}",
        {
            "recipe": recipe.name,
            "directions": len(masks),
            "updates": recipe.training.updates,
            "k": {
                str(recipe.selection.coverage): sites_of(recipe, masks, acts),
                "0.7": sites_of(recipe, at_70, acts),
            },
            "sparsity": {
                str(recipe.selection.coverage): _short(masks.sparsity()),
                "0.7": _short(at_70.sparsity()),
            },
            "scores": scores_of(results),
            **(checks_of(Findings.load(run / "analysis.json")) if (run / "analysis.json").exists() else {}),
        },
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
