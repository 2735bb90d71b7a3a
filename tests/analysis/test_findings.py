"""`analysis.json`: what is written is read again, and a damaged file is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.fake_run import fake_findings, family_masks

from neuronspec.analysis.findings import Findings
from neuronspec.cli.inspect import describe
from neuronspec.core.errors import RunError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    findings = fake_findings(family_masks())
    path = tmp_path / "analysis.json"
    findings.save(path)
    assert Findings.load(path) == findings
    facts = describe(path)
    assert (facts["kind"], facts["ablation"], facts["drift"]) == ("findings", "1 entries", "2 entries")


def test_missing_and_damaged_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    with pytest.raises(RunError, match="run 'neuronspec analyse' first"):
        Findings.load(path)
    for text in ("{", '{"ablation": 3}', '{"drift": [{"model": "dense"}]}'):
        path.write_text(text)
        with pytest.raises(RunError, match="damaged"):
            Findings.load(path)
