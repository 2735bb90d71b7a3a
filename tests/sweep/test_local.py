"""Workers on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.toy_sweep import write_sweep

from neuronspec.sweep.executors.local import LocalExecutor
from neuronspec.sweep.settings import Sweep


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [
        (None, 2, ["0", "1", "0"]),
        ("2,3", 2, ["2", "3", "2"]),
        ("GPU-1f, MIG-2a", 2, ["GPU-1f", "MIG-2a", "GPU-1f"]),
        ("5", 1, ["5", "5", "5"]),
    ],
)
def test_workers_get_the_gpus_that_the_sweep_was_given(
    visible: str | None, gpus: int, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    executor = LocalExecutor(Sweep.load(write_sweep(tmp_path, "arms: {dense: }\n")), tmp_path, 3)
    assert [executor._environment(place).get("CUDA_VISIBLE_DEVICES") for place in range(3)] == expected
