"""The blocks of what was found with the model at hand: the causal check, drift, stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.findings import Findings
from neuronspec.report.colors import arm_colors
from neuronspec.report.data import ReportData
from neuronspec.report.figures import ablation as figures
from neuronspec.report.figures import by_layer as layers
from neuronspec.report.order import site_title
from neuronspec.report.page.blocks import Block, figure_block, rounded
from neuronspec.report.series import ablation_gains


def causal_blocks(data: ReportData) -> list[Block]:
    """A block for each part that the findings have."""
    findings = data.findings
    if findings is None:
        return []
    blocks = [block for ablation in findings.ablation for block in (_bars(ablation), _matrix(ablation))]
    if findings.drift:
        blocks.append(_drift(findings, arm_colors(data.arms)))
    if findings.stability:
        blocks.append(_stability(findings))
    return blocks


def _bars(ablation: Ablation) -> Block:
    number = next(iter(ablation.neurons.values()))
    where = "layer" if ablation.side == "layers" else f"{ablation.side} layer"
    error_bars = "; error bars: 95% intervals for other sentences" if ablation.errors else ""
    halves: Sequence[Sequence[float | None]] = ablation.errors or [[None] * len(ablation.rows)] * 3
    return figure_block(
        f"ablation-{ablation.side}",
        f"Causal check, {ablation.side}",
        f"The rise of a direction's loss when {number} neurons of every {where} are off: those that fire "
        "more in the direction itself than in the others, those of another direction (mean over these), or random "
        f"ones (mean of {len(ablation.random)} draws). {ablation.sentences} sentences per direction{error_bars}. "
        f"{ablation_gains(ablation)}",
        figures.ablation_bars(ablation),
        ["direction", "loss", "own off", "±", "another's off", "±", "random off", "±"],
        [
            [name, rounded(ablation.dense[ablation.columns.index(name)]), *map(rounded, rises)]
            for name, *rises in zip(
                ablation.rows,
                ablation.own(),
                halves[0],
                ablation.others(),
                halves[1],
                ablation.by_chance(),
                halves[2],
                strict=True,
            )
        ],
    )


def _matrix(ablation: Ablation) -> Block:
    random = [sum(draw[i] for draw in ablation.random) / len(ablation.random) for i in range(len(ablation.columns))]
    return figure_block(
        f"ablation-matrix-{ablation.side}",
        f"Ablation matrix, {ablation.side}",
        "The rise of every direction's loss (columns) when the neurons of one direction (rows) are off; the last row "
        "is random neurons. The table has the losses.",
        figures.ablation_heatmap(ablation),
        ["neurons off", *ablation.columns],
        [
            ["none", *map(rounded, ablation.dense)],
            *([name, *map(rounded, row)] for name, row in zip(ablation.rows, ablation.loss, strict=True)),
            ["random", *map(rounded, random)],
        ],
    )


def _drift(findings: Findings, colors: Mapping[str, str]) -> Block:
    return figure_block(
        "drift",
        "Drift",
        "Masks recorded again from the trained continuations, against those that were recorded from the baseline: mean "
        "IoU of a direction's masks. Dense shows what training alone changes. The specialized model was recorded with "
        "its masks on; a neuron outside of them gives a constant, and counts where that is positive.",
        layers.drift_lines(findings.drift, colors),
        ["model", "layer", "IoU", "share kept"],
        [
            [summary.model, site_title(site), rounded(iou), rounded(summary.kept[site])]
            for summary in findings.drift
            for site, iou in summary.iou.items()
        ],
    )


def _stability(findings: Findings) -> Block:
    seeds = len({row.seed for row in findings.stability})
    return figure_block(
        "stability",
        "Stability",
        "Masks selected from a part of the recording text: IoU with those of all of it (solid), and with those of as "
        f"much text chosen otherwise (dotted). Mean over layers, directions and {seeds} choices.",
        layers.stability_lines(findings.stability),
        ["share of text", "seed", "tokens per direction", "layer", "IoU with all", "IoU with other text"],
        [
            [rounded(row.share), row.seed, rounded(row.tokens, 0), site_title(row.site), rounded(row.iou),
             rounded(row.other)]
            for row in findings.stability
        ],
    )  # fmt: skip
