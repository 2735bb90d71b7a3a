"""The file of a run's tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuronspec.core.errors import RunError
from neuronspec.runs.state import read_stages


def test_the_remedy_for_damage_holds_for_commands_without_out(tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text('{"recipe": "toy", ', encoding="utf-8")
    with pytest.raises(RunError, match=r"stages.json is damaged .*remove it, then 'neuronspec run'") as refused:
        read_stages(tmp_path / "stages.json")
    assert "--out" not in str(refused.value)
