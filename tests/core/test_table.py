"""Exports of tables: full numbers, missing ones, escapes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from rich.console import Console

from neuronspec.core.table import Cell, Table, export, guarded

TABLE = Table(
    "Gain & loss_1",
    ["arm", "chrF++", "BLEU (50%)"],
    [
        ["base|1", Cell("12.3", 12.345678), Cell("–", None, 0, 2)],
        ["en → de", Cell("+1.2** (1 of 2)", 1.2, 1, 2, "**"), Cell("3.0", 3.0, 2, 2)],
    ],
    "* p < 0.05",
)


def test_csv_has_full_numbers_and_says_what_is_missing() -> None:
    found = list(csv.reader(io.StringIO(TABLE.to_csv())))
    assert found == [
        ["arm", "chrF++", "chrF++: directions", "chrF++: mark", "BLEU (50%)", "BLEU (50%): directions"],
        ["base|1", "12.3457", "1 of 1", "", "", "0 of 2"],
        ["en → de", "1.2", "1 of 2", "**", "3", "2 of 2"],
    ]
    assert list(csv.reader(io.StringIO(Table("t", ["a", "b"], []).to_csv()))) == [["a", "b"]]


def test_csv_has_no_head_twice() -> None:
    between, gain = Cell.interval(0, 1, 1), Cell("2*", 2, mark="*")
    heads = ["method", "gain at 0", "95%", "over dense", "gain at 0.5", "95%", "over dense"]
    table = Table("t", heads, [["a", gain, between, gain, gain, between, gain]])
    found = table.to_csv().split("\n")[0].split(",")
    assert len(set(found)) == len(found) == 13
    assert found[3:7] == ["95% (gain at 0): low", "95% (gain at 0): high", "over dense (gain at 0)",
                          "over dense (gain at 0): mark"]  # fmt: skip
    assert "95% (gain at 0.5): high" in found and "95%" not in found


def test_csv_has_both_ends_of_intervals() -> None:
    rows: list[list[str]] = [["a", Cell.interval(-0.12345678, 2, 1)], ["b", Cell("–")]]
    table = Table("t", ["arms", "95%"], rows)
    assert table.to_csv() == "arms,95%: low,95%: high\na,-0.123457,2\nb,,\n"
    assert "| a | -0.1 to +2.0 |" in table.to_markdown()


def test_markdown_is_escaped() -> None:
    assert TABLE.to_markdown().splitlines() == [
        r"**Gain & loss\_1**",
        "",
        "| arm | chrF++ | BLEU (50%) |",
        "| --- | ---: | ---: |",
        r"| base\|1 | 12.3 | – |",
        r"| en → de | +1.2\*\* (1 of 2) | 3.0 |",
        "",
        r"\* p \< 0.05",
    ]


def test_latex_is_escaped() -> None:
    text = TABLE.to_latex()
    assert r"\caption{Gain \& loss\_1. $^{*}$ p $<$ 0.05}" in text
    assert r"en $\rightarrow$ de & +1.2$^{**}$ (1 of 2) & 3.0 \\" in text
    assert r"\begin{tabular}{lrr}" in text and r"arm & chrF++ & BLEU (50\%) \\" in text
    assert text.count("{") == text.count("}")


def test_export_writes_three_files_a_table(tmp_path: Path) -> None:
    paths = export({"one": TABLE, "two": TABLE}, tmp_path / "new")
    assert sorted(path.name for path in paths) == ["one.csv", "one.md", "one.tex", "two.csv", "two.md", "two.tex"]
    assert all(path.read_text(encoding="utf-8") for path in paths)


def test_terminal_shows_markup_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(Table("[red]t", ["a", "[b]"], [["[bold]x", "1"]], "[dim]n").to_rich())
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(text in printed for text in ("[red]t", "[b]", "[bold]x", "[dim]n"))


@pytest.mark.parametrize("text", ["=cmd|1", "+1+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "--1", "-0.3.4", "-a%"])
def test_text_that_a_spreadsheet_takes_for_a_formula_is_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"
    rows = list(csv.reader(io.StringIO(Table("t", [text, "b"], [[text, text]]).to_csv(), newline="")))
    written = f"'{text}".replace("\r", "\n")
    assert rows == [[written, "b"], [written, written]]


@pytest.mark.parametrize("text", ["-0.3", "+1.5", "-1e-05", "12%", "-.5", "3", "", "a=b", "–", "en-de", "'=1"])
def test_numbers_and_other_text_are_not(text: str) -> None:
    assert guarded(text) == text


def test_numbers_of_a_table_stay_numbers() -> None:
    table = Table("t", ["family", "gain"], [["=cmd|1", Cell("-0.3*", -0.3, mark="*")], ["Bantu", Cell("+0.2", 0.2)]])
    assert table.to_csv() == "family,gain,gain: mark\n'=cmd|1,-0.3,*\nBantu,0.2,\n"
