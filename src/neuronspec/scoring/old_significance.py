"""Significance as `results.json` had it before version 0.2, read as it is now.

Marks and Holm's correction were based on sacreBLEU's bootstrap, whose p-values are too small; the p-values of the
approximate randomization were beside it, and take their place. Means had the interval of a hierarchical bootstrap. The
intervals of today need resamples of the sentences, so these means have none: from the scores alone they would be too
narrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neuronspec.scoring.resampling import holm
from neuronspec.scoring.significance import OLD


def upgraded(significance: Any) -> Any:
    """The significance of a `results.json`; what isn't in the old form stays as it is.

    Args:
        significance: plain JSON values.
    """
    if not isinstance(significance, Mapping) or "bootstrap" not in (significance.get("method") or {}):
        return significance
    pairs = {
        later: {
            earlier: {metric: _comparison(found) for metric, found in metrics.items()}
            for earlier, metrics in others.items()
        }
        for later, others in significance["pairs"].items()
    }
    trials = significance["method"].get("randomization")
    method = {"p": trials, "holm_p": "p, corrected by Holm", OLD: "from results of an older version"}
    return {"method": method, "pairs": pairs}


def _comparison(found: Mapping[str, Any]) -> dict[str, Any]:
    old = found["directions"]
    known = {name: test["randomization_p"] for name, test in old.items() if test.get("randomization_p") is not None}
    corrected = holm(known)
    directions = {
        name: {key: test[key] for key in ("difference", "low", "high")}
        | {"p": known.get(name), "holm_p": corrected.get(name), "sacrebleu_bootstrap_p": test["bootstrap_p"]}
        for name, test in old.items()
    }
    means = {
        kind: {key: found[kind][key] for key in ("difference", "n", "of")}
        for kind in ("average", "zero_shot")
        if found.get(kind) is not None
    }
    return {"directions": directions, **means}
