"""Figures of single neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronspec.analysis.sharing import neuron_profile
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.colors import COLORS, NEUTRAL
from neuronspec.report.figures.style import graph_objects

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def neuron_frequency(acts: Activations, masks: NeuronMasks, site: str, neuron: int) -> Figure:
    """How often a neuron is positive in every direction; blue: it is among the direction's selected neurons.

    Raises:
        IndexError: the site has no such neuron.
    """
    go = graph_objects()
    profile = neuron_profile(acts, masks, site, neuron)
    figure = go.Figure(
        go.Bar(
            x=list(profile.frequency),
            y=list(profile.frequency.values()),
            marker={"color": [COLORS[0] if name in profile.selected else NEUTRAL for name in profile.frequency]},
            hovertemplate="%{x}: %{y:.1%}<extra></extra>",
        )
    )
    figure.update_layout(yaxis={"title": "share of positions", "tickformat": ".0%", "rangemode": "tozero"})
    return figure
