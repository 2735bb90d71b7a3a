"""A fixture for packages that aren't installed."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a package look as if it weren't installed."""
    find = importlib.util.find_spec

    def leave_out(name: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda wanted, *more: None if wanted == name else find(wanted))

    return leave_out
