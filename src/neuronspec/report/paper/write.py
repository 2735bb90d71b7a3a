"""Writing the figures for papers: vector graphics and their captions. `write_figures` is what the command calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from neuronspec.core.files import replacing, write_text
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import compute
from neuronspec.report.paper.canvas import drawing
from neuronspec.report.paper.figures import paper_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("pdf", "svg")


def write_figures(data: ReportData, folder: Path) -> list[Path]:
    """Write every figure of a report as PDF and SVG, and their captions as `captions.md`.

    Returns:
        The files.

    Raises:
        MissingExtraError: matplotlib isn't installed.
    """
    numbers = compute(data.masks, data.pivot, data.families, data.activations, data.statistic)
    folder.mkdir(parents=True, exist_ok=True)
    files, captions = [], [f"# Figures of {data.name}", ""]
    with drawing():
        for made in paper_figures(data, numbers):
            files += [save(made.figure, folder / f"{made.name}.{kind}") for kind in FORMATS]
            captions += [f"## {made.name}", "", made.caption, ""]
    write_text(folder / "captions.md", "\n".join(captions))
    return [*files, folder / "captions.md"]


def save(figure: Figure, path: Path) -> Path:
    """Write a figure in the format of the path's ending; the same figure gives the same bytes."""
    kind = path.suffix.removeprefix(".")
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}.get(kind)
    with drawing(), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=metadata, dpi=200)
    return path
