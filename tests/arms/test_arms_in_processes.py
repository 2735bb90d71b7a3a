"""Arms trained by two processes under torchrun are those of one process that accumulates twice as much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file
from tests.helpers.arms_in_processes import ARMS
from tests.helpers.toy_arm import toy_given, trained

WRITTEN = {
    "lass": ["model", "weight_masks"],
    "finetune": ["de-en/model", "en-de/model", "en-fr/model"],
    "specialized": ["model", "masks-4", "neuron_masks"],
}

ROOT = Path(__file__).parents[2]


def test_two_processes_equal_one_with_twice_the_accumulation(tmp_path: Path) -> None:
    toy_given(tmp_path / "two")  # one of them makes the baseline
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "tests.helpers.arms_in_processes",
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "two")], capture_output=True, text=True, check=False, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name, sections in ARMS.items():
        trained(tmp_path / "one", name, continuation={"accumulation": 2}, **sections)
        for part in WRITTEN[name]:
            one, two = (load_file(tmp_path / run / "arms" / name / f"{part}.safetensors") for run in ("one", "two"))
            assert one.keys() == two.keys()
            assert all((one[key].double() - two[key].double()).abs().max() < 1e-4 for key in one), (name, part)
