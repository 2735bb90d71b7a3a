"""The library's log on the command line."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from neuronspec.cli.output import show_log

logger = logging.getLogger("neuronspec.some.module")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The library's logger is the same for all tests."""
    library = logging.getLogger("neuronspec")
    handlers, level, propagate = list(library.handlers), library.level, library.propagate
    yield
    library.handlers, library.propagate = handlers, propagate
    library.setLevel(level)


def say() -> None:
    logger.debug("a detail")
    logger.info("a line with %s", "50% [brackets]")
    logger.warning("careful")


@pytest.mark.parametrize(
    ("verbosity", "out"),
    [(0, "a line with 50% [brackets]\n"), (1, "a detail\na line with 50% [brackets]\n"), (-1, "")],
)
def test_lines_go_to_standard_output_and_warnings_do_not(
    capsys: pytest.CaptureFixture[str], verbosity: int, out: str
) -> None:
    show_log(verbosity)
    show_log(verbosity)  # a second call shows nothing twice
    say()
    assert capsys.readouterr() == (out, "warning: careful\n")


def test_standard_output_can_be_kept_free(capsys: pytest.CaptureFixture[str]) -> None:
    show_log(only_stderr=True)
    say()
    assert capsys.readouterr() == ("", "a line with 50% [brackets]\nwarning: careful\n")


def test_the_library_is_quiet_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("nobody asked")
    assert capsys.readouterr() == ("", "")
