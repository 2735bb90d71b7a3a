"""Figures of neurons and training, as plotly figures for notebooks and the report.

Every public function of the modules here is also found as `neuronspec.report.figures.FUNCTION`.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any

_MODULES = tuple(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name: str) -> Any:
    """A figure by the name of its function; plotly is slow to import, so nothing is imported before."""
    if not name.startswith("_"):
        for module in _MODULES:
            found = getattr(import_module(f"{__name__}.{module}"), name, None)
            if getattr(found, "__module__", None) == f"{__name__}.{module}":
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
