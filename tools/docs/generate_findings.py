"""Put the tables into docs/findings.md, from benchmarks/results/findings_*.json.

The words of the page are written by hand; what stands between `<!-- NAME -->` and `<!-- end -->` is made here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "findings.md"


def with_tables(page: str) -> str:
    """The page with all tables made anew."""
    return re.sub(
        r"<!-- (\w+) (\w+)(?: ([\d.]+))? -->\n.*?<!-- end -->",
        lambda found: f"{found[0].splitlines()[0]}\n{_table(found[1], found[2], found[3])}\n<!-- end -->",
        page,
        flags=re.DOTALL,
    )


def _table(kind: str, name: str, k: str | None) -> str:
    path = ROOT / "benchmarks" / "results" / f"findings_{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {"sites": _sites, "checks": _checks}[kind](content, k or "")


def _sites(content: dict[str, Any], k: str) -> str:
    lines = [
        "| layer | sparsity | IoU | chance | above chance | within families | between | p (Holm) | genetic r (p) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for site, row in content["k"][k].items():
        side, _, layer = site.partition(".")
        numbers = (f"{row[key]:.3f}" for key in ("iou", "chance", "above_chance", "within", "between"))
        lines.append(
            f"| {side} {int(layer) + 1} | {row['sparsity']:.2f} | {' | '.join(numbers)} | {row['p_holm']:.3g} | "
            f"{row['genetic_r']:.2f} ({row['genetic_p']:.2g}) |"
        )
    return "\n".join(lines)


def _checks(content: dict[str, Any], _: str) -> str:
    heads = ("neurons off", "own", "another direction's", "random", "own above another's", "own − another's (95%)")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for side, row in content["ablation"].items():
        lines.append(
            f"| {row['neurons']} of every {side} layer | {row['own']:+.3f} | {row['others']:+.3f} | "
            f"{row['random']:+.3f} | {row['own_above_others']} of {row['directions']} | {_gain(row)} |"
        )
    return "\n".join(lines)


def _gain(row: dict[str, Any]) -> str:
    """How much more its own neurons cost a direction, for other directions of the kind; version 0.1 doesn't say."""
    gain = row.get("own_minus_others")
    return f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})" if gain else "–"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
