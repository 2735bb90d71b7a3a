"""The published results by name, as recipes write them (`report.reference`)."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

PUBLISHED: Registry[Any] = Registry("published result", {"ec30": "neuronspec.report.published:EC30"})
