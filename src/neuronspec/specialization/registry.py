"""The semantics by name: what masks do to an FFN block."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

SEMANTICS: Registry[Any] = Registry(
    "semantics",
    {
        "weight": "neuronspec.specialization.semantics.weight:WeightSemantics",
        "neuron": "neuronspec.specialization.semantics.neuron:NeuronSemantics",
        "gradient": "neuronspec.specialization.semantics.gradient:GradientSemantics",
    },
)
