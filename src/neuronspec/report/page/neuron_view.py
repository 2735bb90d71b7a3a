"""The block in which a reader chooses a neuron: how often it fires where, and on which tokens."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

from neuronspec.analysis.overlap import selected_rows
from neuronspec.analysis.sharing import featured_neurons, firing_frequency
from neuronspec.analysis.tokens import Firing
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.colors import COLORS, NEUTRAL
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import Numbers, SiteNumbers
from neuronspec.report.page.blocks import Block, Cell, DataTable, rounded

BUDGET = 2_500_000
"""Bytes of frequencies that the page may hold; above that it has the featured neurons alone."""


def neuron_block(data: ReportData, numbers: Numbers) -> Block:
    """The neuron view; `data.activations` must be there."""
    acts, masks = data.activations, data.masks
    assert acts is not None
    everything = sum(acts.widths[site.site] * len(site.directions) for site in numbers.sites) <= BUDGET
    found = data.findings
    sites, rows = [], []
    for site in numbers.sites:
        featured = (found.featured.get(site.site) if found else None) or featured_neurons(
            acts, masks, site.site, site.directions, site.families
        )
        tokens = found.tokens.get(site.site, {}) if found else {}
        chosen = sorted({neuron for members in featured.values() for neuron in members})
        neurons = list(range(acts.widths[site.site])) if everything else chosen
        sites.append(_site(acts, masks, site, neurons, featured, tokens))
        rows += _rows(acts, site, featured, tokens)
    return Block(
        "neuron",
        "A single neuron",
        "How often the neuron is positive in every direction that the layer is compared in (the encoder: into the "
        "pivot, the decoder: out of it), and whether it is among the direction's selected neurons. The buttons show "
        "some neurons worth a look, by who uses them; the list, the tokens on which it had its greatest values in a "
        "sample of held-out text (in the decoder: the token just read).",
        "neurons",
        {"sites": sites, "colors": [COLORS[0], NEUTRAL]},
        DataTable(["layer", "used by", "neuron", "fires most in", "share of positions", "tokens"], rows, 0),
    )


def _site(
    acts: Activations,
    masks: NeuronMasks,
    site: SiteNumbers,
    neurons: list[int],
    featured: dict[str, list[int]],
    tokens: dict[int, list[Firing]],
) -> dict[str, Any]:
    rates = firing_frequency(acts, site.site, site.directions)[:, neurons]
    selected = selected_rows(masks, site.site, site.directions)[:, neurons]
    return {
        "label": site.title,
        "directions": [str(direction) for direction in site.directions],
        "width": acts.widths[site.site],
        "neurons": None if len(neurons) == acts.widths[site.site] else neurons,
        "frequency": _base64((rates * 255).round().to(torch.uint8).numpy()),
        "selected": _base64(np.packbits(selected.numpy(), bitorder="little")),
        "featured": featured,
        "tokens": {
            str(neuron): [[f.token, rounded(f.value), f.direction, f.before, f.after] for f in firings]
            for neuron, firings in tokens.items()
        },
    }


def _rows(
    acts: Activations, site: SiteNumbers, featured: dict[str, list[int]], tokens: dict[int, list[Firing]]
) -> list[list[Cell]]:
    rates = firing_frequency(acts, site.site, site.directions)
    rows: list[list[Cell]] = []
    for kind, members in featured.items():
        for neuron in members:
            most = int(rates[:, neuron].argmax())
            shown = " ".join(firing.token for firing in tokens.get(neuron, []))
            rows.append(
                [site.title, kind, neuron, str(site.directions[most]), rounded(float(rates[most, neuron])), shown]
            )
    return rows


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")
