"""Take over the results of a sweep: of an adaptation, early specialization, a long continuation, other ways.

    neuronspec sweep recipes/sweeps/adaptation-demo.yaml --out sweeps/adaptation-demo --base runs/demo
    python benchmarks/sweep.py sweeps/adaptation-demo

writes `benchmarks/results/adaptation_demo.json` (named after the sweep): its `results.json`, on which machine and from
which commit. So for early.yaml, early-demo.yaml, interference.yaml and others-demo.yaml. `make docs` makes a section of
docs/results.md of it, of an adaptation with a picture. Without arguments (as `make bench` calls it) it only says so,
since the sweeps take minutes to hours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from evidence import commit, results_of
from machine import RESULTS, describe_machine
from neuronspec.core.files import write_json


def main() -> None:
    """Write the result file."""
    if len(sys.argv) < 2:
        print("give the folder of the sweep: python benchmarks/sweep.py SWEEP")
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path)
    given = parser.parse_args()
    content = results_of(given.sweep)
    for unused in ("signatures", "scales"):
        content.pop(unused, None)
    content = {"evidence": content["sweep"], "machine": describe_machine(), "commit": commit(), **content}
    write_json(RESULTS / f"{content['evidence'].replace('-', '_')}.json", content | {"signatures": {}})


if __name__ == "__main__":
    main()
