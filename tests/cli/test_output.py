"""The library's log on the command line."""

from __future__ import annotations

import logging

import pytest

from neuronspec.cli.output import keep_stdout_free, progress, show_log
from neuronspec.core.progress import SILENT, Bars

logger = logging.getLogger("neuronspec.some.module")


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


def test_a_command_can_ask_for_that(capsys: pytest.CaptureFixture[str]) -> None:
    show_log()
    keep_stdout_free()
    say()
    assert capsys.readouterr() == ("", "a line with 50% [brackets]\nwarning: careful\n")


def test_progress_is_shown_with_the_log() -> None:
    assert progress() is SILENT
    show_log()
    assert isinstance(progress(), Bars)
    show_log(-1)
    assert progress() is SILENT


def test_the_library_is_quiet_unless_asked(capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("nobody asked")
    assert capsys.readouterr() == ("", "")
