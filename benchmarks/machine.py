"""What every benchmark shares: naming the machine, and writing the result file."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

RESULTS = Path(__file__).parent / "results"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`."""


def keep_memory() -> None:
    """Let the process keep the memory of tensors that it frees, as a caching allocator does; on Linux with glibc alone.

    Otherwise every large tensor is given back to the system and costs page faults anew, whose price changes with what
    else the machine does, and between the runs that are compared.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)


def describe_machine() -> dict[str, Any]:
    """Processor, cores, accelerator and versions."""
    facts: dict[str, Any] = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write `results/NAME.json` with the machine and the command line beside the numbers, and print it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    arguments = " ".join(sys.argv[1:])
    content = {"benchmark": name, "arguments": arguments, "machine": describe_machine(), **result}
    text = json.dumps(content, indent=1)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
    return path


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
