"""JSON of the wrong shape, depth or encoding."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from neuronspec.core.errors import EvaluationError, RunError
from neuronspec.core.json_files import LARGEST, parse_json, read_json, read_json_lines


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
        (b"[" * 100_000, "nested more than 100 levels deep"),
        (b"NaN", "NaN is no number"),
        (b'{"name": "a", "counts": {"de": -Infinity}}', "-Infinity is no number"),
        (b"[1, 2]", "the whole is [1, 2] and should be a mapping such as {key: value}"),
        (b'{"name": 3, "counts": {}}', "name is 3 and should be text"),
        (b'{"name": "a", "counts": {"de": "x"}}', "counts.de is 'x' and should be a whole number"),
        (b'{"name": "a", "counts": {}, "more": 1}', "more is an unknown key"),
        (b'{"name": "a"}', "counts is missing"),
        (b"1" * 5000, "is damaged"),
        (b"1e400", "1e400 is too large for a number"),
        (b'{"name": "\\ud800", "counts": {}}', "half of a surrogate pair"),
        (b"[" * 101 + b"]" * 101, "nested more than 100 levels deep"),
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


def test_what_is_no_file_or_too_large(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    for name, message in {
        "none.json": r"none.json can't be read \(No such file or directory\); do this",
        ".": "can't be read: it is a folder; do this",
        "fifo": "fifo can't be read: it is no regular file; do this",
        "huge.json": r"damaged \(268,435,457 bytes, more than 256 MiB\); do this",
    }.items():
        with pytest.raises(EvaluationError, match=message):
            read_json(tmp_path / name, Entry, "do this", error=EvaluationError)


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"seconds": 1}\n{"seconds": 2}\n{"sec', encoding="utf-8")
    assert list(read_json_lines(path, Cost, "")) == [Cost(1.0), Cost(2.0)], "the last one was cut off"
    for line, reason in {"": "not JSON: Expecting value, column 1", '{"seconds": []}': "seconds is [] and"}.items():
        path.write_text(f'{{"seconds": 1}}\n{line}\n{{"seconds": 2}}\n', encoding="utf-8")
        with pytest.raises(RunError, match=rf"a.jsonl:2 is damaged \({re.escape(reason)}.*; do this"):
            list(read_json_lines(path, Cost, "do this"))


def test_halves_of_pairs_that_belong_together_are_a_character() -> None:
    assert parse_json(r'["\ud83d\ude00"]', list[str]) == ["😀"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40))
def test_any_bytes_are_content_or_a_value_error(content: bytes) -> None:
    try:
        parse_json(content, object)
    except ValueError as error:
        assert str(error)


def test_a_byte_order_mark_is_no_json() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', dict[str, int]) == {"a": 1}
