"""Differences of translations from their reference."""

from __future__ import annotations

import pytest

from neuronspec.evaluation.samples import Sample
from neuronspec.report.page.marks import differences, marked


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("the red house", "the red house", [("the red house", False)]),
        ("a red house", "the red house", [("a", True), (" red house", False)]),
        ("the big old house", "the house", [("the ", False), ("big old", True), (" house", False)]),
        ("nothing alike", "ganz anders", [("nothing alike", True)]),
        ("", "the house", []),
        ("私は家", "私の家", [("私", False), ("は", True), ("家", False)]),
        ("नमस्ते दुनिया", "नमस्ते विश्व", [("नमस्ते ", False), ("दुनिया", True)]),
    ],
)
def test_differences(text: str, reference: str, expected: list[tuple[str, bool]]) -> None:
    found = differences(text, reference)
    assert found == expected
    assert "".join(part for part, _ in found) == text


def test_equal_translations_say_so() -> None:
    sample = Sample("en-de", "house", "Haus", {"base": "Maus", "dense": "Haus", "random": "Maus"})
    lines = marked(sample).lines
    assert [(line.arm, line.same_as) for line in lines] == [("base", ""), ("dense", ""), ("random", "base")]
    assert lines[1].parts == [("Haus", False)] and lines[2].parts == [("Maus", True)]
