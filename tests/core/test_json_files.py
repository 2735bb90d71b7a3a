"""JSON of the wrong shape, depth or encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from neuronspec.core.errors import EvaluationError, RunError
from neuronspec.core.json_files import parse_json, read_json


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    counts: dict[str, int]


@dataclass
class Cost:
    seconds: float


def test_the_content_has_its_type(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"name": "ü", "counts": {"de": 3}}', encoding="utf-8")
    assert read_json(path, Entry, "") == Entry(name="ü", counts={"de": 3})
    assert read_json(path, dict[str, Any], "")["name"] == "ü"
    path.write_text('{"seconds": 1}')
    assert read_json(path, Cost, "") == Cost(1.0)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON: Expecting value, line 1, column 1"),
        (b'{"name": ', "not JSON"),
        (b'{"name": "\xff"}', "not UTF-8: byte 11"),
        ('{"name": "a"}'.encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"NaN", "NaN is no number"),
        (b'{"name": "a", "counts": {"de": -Infinity}}', "-Infinity is no number"),
        (b"[1, 2]", "the whole: Input should be"),
        (b'{"name": 3, "counts": {}}', "name: Input should be a valid string"),
        (b'{"name": "a", "counts": {"de": "x"}}', "counts.de: Input should be a valid integer"),
        (b'{"name": "a", "counts": {}, "more": 1}', "more: Extra inputs"),
        (b"1" * 5000, "is damaged"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_what_is_wrong_is_one_message(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        read_json(path, Entry, "remove it to make it again")
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (") and reason in message
    assert message.endswith("; remove it to make it again") and "\n" not in message


def test_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(EvaluationError, match=r"can't be read \(.*\); do this"):
            read_json(path, Entry, "do this", error=EvaluationError)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_any_bytes_are_content_or_a_value_error(content: bytes) -> None:
    try:
        parse_json(content, Any)
    except ValueError as error:
        assert str(error)
