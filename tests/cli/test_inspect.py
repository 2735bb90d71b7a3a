"""What `inspect` says of training logs that aren't whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.mutations import neuronspec

LINE = json.dumps({"kind": "start", "update": 0, "seconds": 0.0})


def test_a_log_without_a_whole_line_is_damaged(tmp_path: Path) -> None:
    for content in (b"garbage", b'{"kind": "start", "upd', b"\x00\xff"):
        (tmp_path / "log.jsonl").write_bytes(content)
        outcome = neuronspec("inspect", tmp_path / "log.jsonl", folder=tmp_path)
        assert outcome.code == 1 and "holds no whole line of a training log" in outcome.err


@pytest.mark.parametrize(("tail", "shown"), [("", False), ('{"kind": "tra', True)])
def test_a_line_that_was_cut_off_is_told(tmp_path: Path, tail: str, shown: bool) -> None:
    (tmp_path / "log.jsonl").write_text(f"{LINE}\n{tail}")
    outcome = neuronspec("inspect", tmp_path / "log.jsonl", "--json", folder=tmp_path)
    facts = json.loads(outcome.out)
    assert outcome.code == 0 and facts["lines"] == 1
    assert facts.get("cut off", "").startswith("13 bytes") == shown
