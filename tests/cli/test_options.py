"""Every option that takes a number has bounds, so that absurd ones are refused before anything is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.mutations import neuronspec
from typer.main import get_command

from neuronspec.cli import app


def numbers() -> Iterator[tuple[str, str, Any]]:
    """The command, the option and its bounds."""
    for name, command in get_command(app.app).commands.items():  # type: ignore[attr-defined]
        for option in command.params:
            described = option.type_descriptor
            if described.annotation in (int, float):
                yield name, option.opts[0], described.parameter_info


ALL = list(numbers())


def test_there_are_such_options() -> None:
    assert len(ALL) > 15


@pytest.mark.parametrize(("command", "option", "kind"), ALL, ids=[f"{one} {two}" for one, two, _ in ALL])
def test_numbers_have_bounds(command: str, option: str, kind: Any) -> None:
    assert getattr(kind, "min", None) is not None and getattr(kind, "max", None) is not None


@pytest.mark.parametrize(("command", "option", "kind"), ALL, ids=[f"{one} {two}" for one, two, _ in ALL])
def test_absurd_numbers_are_misuse(tmp_path: Path, command: str, option: str, kind: Any) -> None:
    for value in ("nan", "inf", "-inf", "1e400", "-1", str(10**30), "x"):
        outcome = neuronspec(command, tmp_path, f"{option}={value}", folder=tmp_path)
        assert outcome.code == 2 and outcome.readable(), f"{option}={value}: {outcome.err}"
