"""The heart: recording activations, selecting neurons, masks, and how masks overlap."""

from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.criteria import LAPE, Criterion, CumulativeActivation, Random, TopFraction
from neuronspec.neurons.fingerprint import model_fingerprint
from neuronspec.neurons.masks import DerivedMask, NeuronMasks
from neuronspec.neurons.overlap import (
    LayerOverlap,
    above_chance,
    chance_overlap,
    overlap,
    overlap_progression,
    sparsity_table,
)
from neuronspec.neurons.packing import MaskInfo
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.selection import CRITERIA, find_criterion, register_criterion, select_neurons

__all__ = [
    "CRITERIA",
    "LAPE",
    "Activations",
    "Criterion",
    "CumulativeActivation",
    "DerivedMask",
    "LayerOverlap",
    "MaskInfo",
    "NeuronMasks",
    "Random",
    "RecordingInfo",
    "SiteInfo",
    "TopFraction",
    "above_chance",
    "chance_overlap",
    "find_criterion",
    "model_fingerprint",
    "overlap",
    "overlap_progression",
    "record_activations",
    "register_criterion",
    "select_neurons",
    "sparsity_table",
]
