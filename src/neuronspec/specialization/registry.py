"""The semantics by name: what masks do to an FFN block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronspec.core.registry import Registry

if TYPE_CHECKING:
    from neuronspec.specialization.semantics.base import Semantics

SEMANTICS: Registry[type[Semantics]] = Registry(
    "semantics",
    {
        "weight": "neuronspec.specialization.semantics.weight:WeightSemantics",
        "neuron": "neuronspec.specialization.semantics.neuron:NeuronSemantics",
    },
)
