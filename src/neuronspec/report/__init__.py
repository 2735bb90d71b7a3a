"""Figures, the HTML report, and figures for papers."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """`neuronspec.report.figures` is public, and plotly is slow to import."""
    if name == "figures":
        return import_module("neuronspec.report.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
