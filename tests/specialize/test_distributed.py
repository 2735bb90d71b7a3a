"""DDP and FSDP2 in two processes: see distributed_steps.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_ddp_and_fsdp2_give_the_gradients_of_masked_weights(tmp_path: Path) -> None:
    script = Path(__file__).with_name("distributed_steps.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        assert output.endswith("all equal\n")
