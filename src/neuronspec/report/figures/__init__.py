"""Figures of neurons and training, as plotly figures for notebooks and the report."""

from neuronspec.report.figures.ablation import ablation_bars, ablation_heatmap
from neuronspec.report.figures.by_layer import (
    coverage_curves,
    drift_lines,
    effect_of_coverage_lines,
    overlap_progression_lines,
    sharing_bars,
    sparsity_by_layer,
    stability_lines,
    training_curves,
)
from neuronspec.report.figures.frequency import neuron_frequency
from neuronspec.report.figures.overlap import overlap_heatmap
from neuronspec.report.figures.structure import language_map, language_tree

__all__ = [
    "ablation_bars",
    "ablation_heatmap",
    "coverage_curves",
    "drift_lines",
    "effect_of_coverage_lines",
    "language_map",
    "language_tree",
    "neuron_frequency",
    "overlap_heatmap",
    "overlap_progression_lines",
    "sharing_bars",
    "sparsity_by_layer",
    "stability_lines",
    "training_curves",
]
