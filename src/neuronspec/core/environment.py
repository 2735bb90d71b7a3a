"""The versions and the machine that numbers were made with."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from neuronspec.core.version import __version__

_PACKAGES = ("torch", "transformers", "sacrebleu")


def environment() -> dict[str, Any]:
    """The versions and the machine that numbers are made with, as plain JSON values.

    Returns:
        Versions by package, and `system`, `processor`, `cores`, `threads` (of PyTorch), `accelerator` (None without
        one).
    """
    import torch

    return {
        "python": platform.python_version(),
        "neuronspec": __version__,
        **{package: metadata.version(package) for package in _PACKAGES},
        "system": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
