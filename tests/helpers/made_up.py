"""Made-up activations and masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.masks import NeuronMasks


def activations_with(
    counts: Mapping[str, Mapping[str, list[int]]], tokens: int = 100, gated: bool = False, **info: Any
) -> Activations:
    """Activations with these counts; the magnitudes are the counts in reverse order of neurons."""
    tensors = {d: {s: torch.tensor(row) for s, row in sites.items()} for d, sites in counts.items()}
    first = next(iter(tensors.values()))
    sites = tuple(
        SiteInfo(name=site, width=len(row), activation="SiLU" if gated else "ReLU", gated=gated, keeps_sign=True)
        for site, row in first.items()
    )
    magnitudes = {d: {s: row.flip(0).double() for s, row in sites.items()} for d, sites in tensors.items()}
    return Activations(
        RecordingInfo(sites=sites, **{"fingerprint": "f" * 32, **info}),
        tensors,
        magnitudes,
        {direction: dict.fromkeys(first, tokens) for direction in tensors},
    )


def _masks(bits: Mapping[str, Mapping[str, str]]) -> NeuronMasks:
    """Masks from `{"en-de": {"decoder.0": "0110"}}`."""
    return NeuronMasks.from_dict(
        {d: {s: torch.tensor([bit == "1" for bit in row]) for s, row in sites.items()} for d, sites in bits.items()}
    )


@pytest.fixture
def make_activations() -> Callable[..., Activations]:
    return activations_with


@pytest.fixture
def make_masks() -> Callable[..., NeuronMasks]:
    return _masks
