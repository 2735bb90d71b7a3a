"""Executors of sweeps by name."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

EXECUTORS: Registry[Any] = Registry(
    "executor",
    {
        "local": "neuronspec.sweep.executors.local:LocalExecutor",
        "slurm": "neuronspec.sweep.executors.slurm:SlurmExecutor",
    },
)
"""As `neuronspec sweep --executor` names them; each is made of the sweep, its folder and the number of processes."""
