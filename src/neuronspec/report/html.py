"""The report: one self-contained page, drawn from the results, masks, logs and samples of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuronspec.errors import MissingExtraError
from neuronspec.evaluation.samples import Sample
from neuronspec.evaluation.tables import arms_table, directions_table, families_table, tiers_table
from neuronspec.files import write_text
from neuronspec.neurons import NeuronMasks
from neuronspec.report import figures
from neuronspec.report.summary import summary_sentences

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is drawn from.

    Args:
        name: of the recipe.
        results: the content of `results.json`, with `pivot`, `families` and `tiers`.
        masks: the selected neurons.
        logs: by name (`base` and arms) the lines of its `log.jsonl`.
        samples: sample translations.
        recipe: the recipe as YAML text.
    """

    name: str
    results: Mapping[str, Any]
    masks: NeuronMasks
    logs: Mapping[str, Sequence[Mapping[str, Any]]]
    samples: Sequence[Sample]
    recipe: str


@dataclass(frozen=True, slots=True)
class _Drawing:
    id: str
    title: str
    caption: str
    figure: Figure


def write_report(data: ReportData, path: Path) -> None:
    """Write a self-contained page: it works offline and fetches nothing.

    All text is escaped. Raises:
        MissingExtraError: plotly or jinja2 isn't installed.
    """
    write_text(path, render(data))


def render(data: ReportData) -> str:
    """The page as HTML text."""
    try:
        import jinja2
        import plotly.offline
    except ImportError as error:
        raise MissingExtraError(error.name or "plotly", "report", "writing the report") from None
    from markupsafe import Markup

    drawings = _drawings(data)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
    )
    by_direction: dict[str, list[Sample]] = {}
    for sample in data.samples:
        by_direction.setdefault(sample.direction, []).append(sample)
    results = data.results
    return environment.get_template("report.html.j2").render(
        name=data.name,
        summary=summary_sentences(results, data.masks),
        tables=[arms_table(results), tiers_table(results), families_table(results)],
        long_tables=[directions_table(results, metric) for metric in ("chrf++", "bleu", "loss")],
        signatures=sorted({text for by_name in results["signatures"].values() for text in by_name.values()}),
        figures=drawings,
        figures_json=Markup(_script_json({drawing.id: drawing.figure.to_plotly_json() for drawing in drawings})),  # noqa: S704
        plotly_js=Markup(plotly.offline.get_plotlyjs()),  # noqa: S704 (the library itself)
        samples=by_direction,
        environment=results["environment"],
        recipe=data.recipe,
    )


def _drawings(data: ReportData) -> list[_Drawing]:
    masks, pivot, families = data.masks, data.results["pivot"], data.results["families"]
    return [
        _Drawing(
            "overlap",
            "Overlap of the directions' neurons",
            "Intersection over union at each feed-forward layer, languages ordered by family; the slider changes the "
            "layer. Encoder layers compare the directions into the pivot, decoder layers those out of it.",
            figures.overlap_heatmap(masks, order="family", pivot=pivot, families=families),
        ),
        _Drawing(
            "progression",
            "Overlap over the layers",
            "Mean over all pairs. Dotted: what random sets of the same sizes share. Rising: more language-agnostic; "
            "falling: more language-specific.",
            figures.overlap_progression_lines(masks, pivot),
        ),
        _Drawing(
            "sparsity",
            "Sparsity by layer",
            "Share of neurons that a direction leaves out; a point a direction.",
            figures.sparsity_by_layer(masks),
        ),
        _Drawing(
            "curves",
            "Validation loss",
            "Mean over directions. The arms continue from the baseline's best checkpoint with a fresh optimizer.",
            figures.training_curves(data.logs),
        ),
    ]


def _script_json(content: Any) -> str:
    """JSON that can't end the script element it stands in."""
    from plotly.utils import PlotlyJSONEncoder

    text = json.dumps(content, cls=PlotlyJSONEncoder, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
