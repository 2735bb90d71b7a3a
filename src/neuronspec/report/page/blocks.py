"""Blocks: a figure of the report with its caption and its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from neuronspec.core.table import Table

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class DataTable:
    """The numbers behind a figure: what is shown under it and downloaded as CSV.

    Args:
        columns: their names.
        rows: text and numbers; None where there is none.
        frame: the column whose value the slider chooses; None shows all rows.
    """

    columns: list[str]
    rows: list[list[Cell]]
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """A figure of the page.

    Args:
        id: of the element, and the name of downloaded files.
        title, caption: text.
        kind: `figure` (one plotly figure), `frames` (one per site, with a slider), `heatmap` (matrices that the page
            draws, with slider and order), `neurons` (the page draws the chosen neuron).
        content: by kind; see `web/report.js`.
        table: the numbers.
    """

    id: str
    title: str
    caption: str
    kind: Literal["figure", "frames", "heatmap", "neurons"]
    content: dict[str, Any]
    table: DataTable

    def json(self) -> dict[str, Any]:
        """What the page's script reads."""
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "content": self.content,
            "columns": self.table.columns,
            "rows": self.table.rows,
            "frame": self.table.frame,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Args:
        id, title: of its heading.
        intro: some words.
        blocks: its figures.
        told: sentences, what the numbers say.
        tables: shown before the figures.
    """

    id: str
    title: str
    intro: str
    blocks: list[Block] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def rounded(value: float | None, digits: int = 4) -> float | None:
    """A number as tables show it; None stays."""
    return None if value is None else round(float(value), digits)


def matrix(values: Any, digits: int = 4) -> list[list[float]]:
    """A matrix as plain numbers."""
    return [[round(float(value), digits) for value in row] for row in values]


def figure_block(id: str, title: str, caption: str, figure: Any, columns: Sequence[str], rows: Any) -> Block:
    """A block of one plotly figure."""
    content = {"figure": figure.to_plotly_json()}
    return Block(id, title, caption, "figure", content, DataTable(list(columns), [list(row) for row in rows]))


def frames_block(
    id: str, title: str, caption: str, frames: Sequence[tuple[str, Any]], columns: Sequence[str], rows: Any
) -> Block:
    """A block of one plotly figure per site; the table's first column is the frame's title."""
    content = {"frames": [{"label": label, "figure": figure.to_plotly_json()} for label, figure in frames]}
    return Block(id, title, caption, "frames", content, DataTable(list(columns), [list(row) for row in rows], 0))
