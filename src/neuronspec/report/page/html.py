"""The report: one self-contained page, drawn from the results, masks, activations, logs and samples of a run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.files import write_text
from neuronspec.core.table import Cell, Table
from neuronspec.evaluation import tables as tables_of
from neuronspec.evaluation.arithmetic import arithmetic_table
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.samples import Sample
from neuronspec.evaluation.transfer import gains_table, significance_table, transfer_table
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, compute
from neuronspec.report.page.lead import lead_sentences
from neuronspec.report.page.marks import MarkedSample, marked
from neuronspec.report.page.sections import lead_block, sections_of
from neuronspec.report.page.summary import scores_told

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
    lead, sections = lead_block(data, numbers), sections_of(data, numbers)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(WEB), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False
    )
    environment.filters["csv_link"] = _csv_link
    environment.filters["slug"] = _slug
    blocks = [block.json() for block in (lead, *(block for section in sections for block in section.blocks))]
    theme, plotly_js = _web("theme.js"), plotly.offline.get_plotlyjs()
    script = f"{_web('tables.js')}\n{_web('report.js')}"
    return environment.get_template("report.html.j2").render(
        name=data.name,
        sentences=lead_sentences(data, numbers),
        lead=lead,
        results=_results(data),
        sections=sections,
        policy=f"default-src 'none'; script-src {' '.join(map(_hash, (theme, plotly_js, script)))}; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
        blocks=Markup(_script_json(blocks)),  # noqa: S704
        css=Markup(_web("report.css")),  # noqa: S704 (our own file)
        theme=Markup(theme),  # noqa: S704 (our own file)
        script=Markup(script),  # noqa: S704 (our own files)
        plotly_js=Markup(plotly_js),  # noqa: S704 (the library itself)
        samples=_samples(data.samples),
        environment=data.environment,
        arithmetic=arithmetic_table(data.results.arithmetic) if data.results and data.results.arithmetic else None,
        recipe=data.recipe,
        uriel=numbers.uriel,
    )


def _web(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8").strip()


def _hash(script: str) -> str:
    """What lets this inline script run, and no other, under the page's Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _csv_link(table: Table) -> str:
    """A table as a link that needs no script: with a byte order mark, which spreadsheets look for."""
    return "data:text/csv;base64," + base64.b64encode(table.to_csv().encode("utf-8-sig")).decode()


def _slug(title: str) -> str:
    """A title as the name of a file."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "table"


def _results(data: ReportData) -> dict[str, Any] | None:
    """The tables of scores, and what they say; None without results."""
    results = data.results
    if results is None:
        return None
    tables = [
        tables_of.arms_table(results),
        significance_table(results),
        tables_of.tiers_table(results),
        tables_of.families_table(results),
        transfer_table(results, "bilingual"),
        tables_of.zero_shot_table(results),
        tables_of.other_scores_table(results),
    ]
    long_tables = [
        *(tables_of.directions_table(results, metric) for metric in ("chrf++", "bleu", "loss")),
        *(gains_table(results, over) for over in ("dense", "base")),
        _signatures(results),
    ]
    return {
        "told": list(scores_told(results)),
        "tables": [table for table in tables if table is not None and table.rows],
        "long_tables": [table for table in long_tables if table is not None and table.rows],
    }


def _signatures(results: Results) -> Table:
    """By score and signature, what exactly was computed, and in how many directions."""
    rows = [
        [tables_of.label_of(score), signature, results.scales.get(score, ""), Cell(str(number), number)]
        for score, by_direction in results.signatures.items()
        for signature, number in Counter(by_direction.values()).items()
    ]
    return Table("Signatures of the scores", ["score", "signature", "scale", "directions"], rows)


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
