"""A table of text whose cells remember their numbers: for the terminal, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.table import Table as RichTable

from neuronspec.core.files import write_text

_FORMULA = tuple("=+-@\t\r\n")
_ENDS = ("low", "high")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?%?")


class Cell(str):
    """The text of a cell, and the number behind it.

    Args:
        text: as shown, with everything.
        value: the number; None where it is missing.
        n, of: how many directions it covers, of how many it should.
        mark: `*` or `**` where it is significant.
        bounds: the ends of the interval that it shows.
    """

    __slots__ = ("bounds", "mark", "n", "of", "value")

    def __new__(
        cls,
        text: str,
        value: float | None = None,
        n: int = 1,
        of: int = 1,
        mark: str = "",
        bounds: tuple[float, float] | None = None,
    ) -> Cell:
        """A string that also knows its number."""
        cell = super().__new__(cls, text)
        cell.value, cell.n, cell.of, cell.mark, cell.bounds = value, n, of, mark, bounds
        return cell

    @classmethod
    def interval(cls, low: float, high: float, digits: int) -> Cell:
        """`+0.1 to +0.3`."""
        return cls(f"{low:+.{digits}f} to {high:+.{digits}f}", bounds=(low, high))

    value: float | None
    n: int
    of: int
    mark: str
    bounds: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: what the terminal and the report show.

    Args:
        title: printed above.
        columns: the heads.
        rows: as many cells each; numbers are `Cell`s.
        note: printed below; what marks mean.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def to_rich(self) -> RichTable:
        """For the terminal."""
        from rich.text import Text

        table = RichTable(
            title=Text(self.title), title_justify="left", title_style="bold",
            caption=Text(self.note) if self.note else None, caption_justify="left",
            pad_edge=False, collapse_padding=True,
        )  # fmt: skip
        for index, column in enumerate(self.columns):
            table.add_column(Text(column), justify="left" if index == 0 else "right", no_wrap=index == 0)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def _repr_html_(self) -> str:
        """For notebooks."""
        heads = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table><caption>{escape(self.title)}</caption><tr>{heads}</tr>{rows}</table>{note}"

    def to_csv(self) -> str:
        """Full numbers; missing ones are empty.

        A column with missing directions is followed by one that says how many directions each number covers, a column
        with marks by one of marks; a column of intervals becomes two, of their ends. A head that several columns have
        gets the one in front that it belongs to: `95% (gain at 0.2)`. No text is a formula to a spreadsheet; see
        `guarded`.
        """
        columns = list(zip(*self.rows, strict=True)) or [() for _ in self.columns]
        out: list[list[str]] = []
        for head, cells in zip(_distinct(self.columns), columns, strict=True):
            head = guarded(head)
            known = [cell for cell in cells if isinstance(cell, Cell)]
            if any(cell.bounds for cell in known):
                out += [[f"{head}: {end}", *(_end(cell, place) for cell in cells)] for place, end in enumerate(_ENDS)]
                continue
            out.append([head, *(_number(cell) for cell in cells)])
            if any(cell.n < cell.of for cell in known):
                covered = (f"{cell.n} of {cell.of}" if isinstance(cell, Cell) else "" for cell in cells)
                out.append([f"{head}: directions", *covered])
            if any(cell.mark for cell in known):
                out.append([f"{head}: mark", *(cell.mark if isinstance(cell, Cell) else "" for cell in cells)])
        file = io.StringIO()
        rows = ([re.sub(r"\r\n?", "\n", cell) for cell in row] for row in zip(*out, strict=True))  # no CR is quoted
        csv.writer(file, lineterminator="\n").writerows(rows)
        return file.getvalue()

    def to_markdown(self) -> str:
        """A pipe table, with the title above and the note below."""
        lines = [self.columns, ["---", *["---:"] * (len(self.columns) - 1)], *self.rows]
        table = "\n".join(f"| {' | '.join(_markdown(cell) for cell in line)} |" for line in lines)
        note = f"\n\n{_markdown(self.note)}" if self.note else ""
        return f"**{_markdown(self.title)}**\n\n{table}{note}\n"

    def to_latex(self) -> str:
        r"""A `table` with `booktabs` rules (`\usepackage{booktabs}`)."""
        lines = [r" & ".join(map(_latex, row)) + r" \\" for row in (self.columns, *self.rows)]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_latex(' '.join([self.title + '.', self.note]).strip())}}}",
                rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
                r"\toprule",
                lines[0],
                r"\midrule",
                *lines[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def export(tables: Mapping[str, Table], folder: Path) -> list[Path]:
    """Write each table as `NAME.csv`, `NAME.md` and `NAME.tex`; returns the paths."""
    paths = []
    for name, table in tables.items():
        for ending, text in (("csv", table.to_csv()), ("md", table.to_markdown()), ("tex", table.to_latex())):
            paths.append(folder / f"{name}.{ending}")
            write_text(paths[-1], text)
    return paths


def _distinct(heads: Sequence[str]) -> list[str]:
    """The heads, those that occur several times with the last one before them that doesn't."""
    found, own = [], ""
    for head in heads:
        if heads.count(head) == 1:
            own = head
        found.append(head if heads.count(head) == 1 else f"{head} ({own})")
    return found


def guarded(text: str) -> str:
    """A cell of CSV that no spreadsheet takes for a formula: with an apostrophe in front where it begins like one.

    Text that is a number stays. The report's page does the same (`guarded` in report.js). Source: OWASP, "CSV
    Injection".
    """
    return f"'{text}" if text[:1] in _FORMULA and not _NUMBER.fullmatch(text) else text


def _number(cell: str) -> str:
    if not isinstance(cell, Cell):
        return guarded(cell)
    return "" if cell.value is None else f"{cell.value:.6g}"


def _end(cell: str, place: int) -> str:
    """An end of the interval that a cell shows; empty where it shows none."""
    return f"{cell.bounds[place]:.6g}" if isinstance(cell, Cell) and cell.bounds else ""


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_<>`\[\]])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "–": "--", "−": "$-$",
    "→": r"$\rightarrow$", "±": r"$\pm$", "*": r"$^{*}$",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text).replace("$^{*}$$^{*}$", "$^{**}$")
