"""How the weights of a CTranslate2 model are stored, by name."""

from __future__ import annotations

from dataclasses import dataclass

from neuronspec.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the weights of a CTranslate2 model are stored.

    Args:
        weights: CTranslate2's name of the type that is stored.
        on_cpu: of the type that a CPU computes in; a GPU computes in that of the weights.
    """

    weights: str
    on_cpu: str

    def computed(self, device: str) -> str:
        """CTranslate2's name of the type that `cpu` or `cuda` computes in."""
        return self.on_cpu if device == "cpu" else self.weights


QUANTIZATIONS = Registry[Quantization](
    "quantization",
    {
        "float32": Quantization("float32", "float32"),
        "int8": Quantization("int8", "int8"),
        "float16": Quantization("float16", "float32"),
    },
)
"""As `evaluation.quantization` and `neuronspec export --quantization` name them."""
