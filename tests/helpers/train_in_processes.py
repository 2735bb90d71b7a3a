"""Started by torchrun (test_processes.py): trains toy models in several processes, each kind in `FOLDER/KIND`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from neuronspec.core.processes import join, leave
from tests.helpers.toy_processes import KINDS, NARROW, SEEN, UPDATES, train_kind


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    assert join().size == 2
    for kind in KINDS:
        train_kind(folder / kind, kind, UPDATES // 2, accumulation=1)
        train_kind(folder / kind, kind, UPDATES, accumulation=1)  # stopped and resumed
    for kind in NARROW:
        train_kind(folder / kind, kind, UPDATES, accumulation=1)
        assert {torch.bfloat16} == SEEN, SEEN
    leave(0)


main(Path(sys.argv[1]))
