"""Progress of long work: silent, as lines in the log, as bars."""

from __future__ import annotations

import io
import logging
import warnings

import pytest
from rich.console import Console

from neuronspec.core import progress as module
from neuronspec.core.progress import SILENT, Bars


def test_silent_hands_items_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(SILENT.track(iter("abc"), "letters", total=3)) == ["a", "b", "c"]
    with SILENT.task("work", 2) as task:
        task.advance()
        task.show(2, "done")
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_lines_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LINE_EVERY", 0.0)
    caplog.set_level(logging.INFO, logger="neuronspec")
    console = Console(file=io.StringIO())
    with Bars(console).task("reading", 4) as task:
        task.show(1, "10 rows/s")
        task.advance()
    assert caplog.messages[0] == "reading: 25%  10 rows/s"
    assert caplog.messages[1].startswith("reading: 50%") and caplog.messages[1].endswith(" left")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def test_lines_do_not_come_too_often(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="neuronspec")
    assert list(Bars(Console(file=io.StringIO())).track(range(50), "reading")) == list(range(50))
    assert caplog.messages == []


def test_a_bar_on_a_terminal() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Bars(console).task("reading", 4) as task:
        task.show(2, "10 rows/s")
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "reading" in drawn and "50%" in drawn and "10 rows/s" in drawn


@pytest.mark.parametrize(("total", "shown"), [(4, " 50%|"), (None, "reading: 2 ")])
def test_a_bar_in_a_notebook(total: int | None, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ipywidgets, too, where rich shows nothing but a warning."""
    console = Console(file=io.StringIO(), force_jupyter=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        with Bars(console).task("reading", total) as task:
            task.advance()
            task.show(2, "10 rows/s")
            task._bar.refresh()  # type: ignore[attr-defined]
    drawn = capsys.readouterr().err
    assert shown in drawn and "10 rows/s" in drawn
    assert drawn.rpartition("\r")[2] == "" and drawn.split("\r")[-2].strip() == "", "the line is cleared"
