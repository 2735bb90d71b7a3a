"""The report: one self-contained page, drawn from the results, masks, activations, logs and samples of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.files import write_text
from neuronspec.evaluation import tables as tables_of
from neuronspec.evaluation.adaptation import adaptation_table
from neuronspec.evaluation.arithmetic import arithmetic_table
from neuronspec.evaluation.samples import Sample
from neuronspec.evaluation.transfer import gains_table, significance_table, transfer_table
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, compute
from neuronspec.report.page.marks import MarkedSample, marked
from neuronspec.report.page.sections import neuron_sections
from neuronspec.report.page.summary import summary_sentences

WEB = Path(__file__).parent / "web"


def write_report(data: ReportData, path: Path) -> None:
    """Write a self-contained page: it works offline and fetches nothing.

    All text is escaped. Raises:
        MissingExtraError: plotly or jinja2 isn't installed.
    """
    write_text(path, render(data))


def render(data: ReportData, numbers: Numbers | None = None) -> str:
    """The page as HTML text; `numbers` if they have been computed already."""
    try:
        import jinja2
        import plotly.offline
    except ImportError as error:
        raise MissingExtraError(error.name or "plotly", "report", "writing the report") from None
    from markupsafe import Markup

    numbers = numbers or compute(data.masks, data.pivot, data.families, data.activations, data.statistic)
    sections = neuron_sections(data, numbers)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(WEB), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )
    blocks = [block.json() for section in sections for block in section.blocks]
    return environment.get_template("report.html.j2").render(
        name=data.name,
        summary=summary_sentences(data, numbers),
        results=_results(data),
        sections=sections,
        blocks=Markup(_script_json(blocks)),  # noqa: S704
        css=Markup((WEB / "report.css").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        script=Markup((WEB / "report.js").read_text(encoding="utf-8")),  # noqa: S704 (our own file)
        plotly_js=Markup(plotly.offline.get_plotlyjs()),  # noqa: S704 (the library itself)
        samples=_samples(data.samples),
        environment=data.environment,
        arithmetic=arithmetic_table(data.results.arithmetic) if data.results and data.results.arithmetic else None,
        recipe=data.recipe,
        uriel=numbers.uriel,
    )


def _results(data: ReportData) -> dict[str, Any] | None:
    """The tables of scores; None without results."""
    results = data.results
    if results is None:
        return None
    tables = [
        tables_of.arms_table(results),
        significance_table(results),
        tables_of.tiers_table(results),
        tables_of.families_table(results),
        adaptation_table(results),
        transfer_table(results, "bilingual"),
        tables_of.zero_shot_table(results),
        tables_of.other_scores_table(results),
    ]
    long_tables = [
        *(tables_of.directions_table(results, metric) for metric in ("chrf++", "bleu", "loss")),
        *(gains_table(results, over) for over in ("dense", "base")),
    ]
    return {
        "tables": [table for table in tables if table is not None and table.rows],
        "long_tables": [table for table in long_tables if table is not None],
        "signatures": sorted({text for by_name in results.signatures.values() for text in by_name.values()}),
    }


def _samples(samples: Any) -> dict[str, list[MarkedSample]]:
    by_direction: dict[str, list[MarkedSample]] = {}
    sample: Sample
    for sample in samples:
        by_direction.setdefault(sample.direction, []).append(marked(sample))
    return by_direction


def _script_json(content: Any) -> str:
    """JSON that can't end the script element that holds it."""
    from plotly.utils import PlotlyJSONEncoder

    text = json.dumps(content, cls=PlotlyJSONEncoder, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
