"""Started by torchrun (arms/test_arms_in_processes.py): trains arms in several processes, in a run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from neuronspec.core.processes import join, leave
from tests.helpers.toy_arm import trained

ARMS: dict[str, dict[str, Any]] = {
    "lass": {"baselines": {"lass": {"updates": 2, "pruning_rate": 0.3}}},
    "finetune": {},
    "specialized": {"specialization": {"rerecord_every": 4}},
}
"""Arms that do something of their own in several processes, with the sections of their recipe."""


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    assert join().size == 2
    for name, sections in ARMS.items():
        trained(folder, name, continuation={"accumulation": 1}, **sections)
    leave(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
