"""The worker of Eole's training loop; runs in an environment of its own (`pip install eole aiohttp`).

PYTHON eole_worker.py CONFIGURATION UPDATES THREADS
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path(__file__).parent))
from turns import Turns


def main(configuration: str, updates: str, threads: str) -> None:
    torch.set_num_threads(int(threads))
    from eole.bin.run.train import train
    from eole.config.run import TrainConfig
    from eole.trainer import Trainer

    turns, seen, step = Turns(2, int(updates)), 0, Trainer._train_step

    def train_step(self, batches, *args, **kwargs):
        nonlocal seen
        turns.update(seen)
        step(self, batches, *args, **kwargs)
        for batch in batches:  # a target is <s>, the tag, pieces, </s>: all but the first two count
            seen += int(batch["tgtlen"].sum()) - 2 * len(batch["tgtlen"])

    Trainer._train_step = train_step
    train(TrainConfig(**yaml.safe_load(Path(configuration).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:])
