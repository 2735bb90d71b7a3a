"""How the weights of a CTranslate2 model are stored, by name."""

from __future__ import annotations

from dataclasses import dataclass

from neuronspec.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the weights of a CTranslate2 model are stored.

    Args:
        weights: CTranslate2's name of the type that is stored.
        on_cpu: of the type that a CPU computes in; a GPU computes in that of the weights, or as it is told.
    """

    weights: str
    on_cpu: str

    def computed(self, device: str, precision: str | None = None) -> str:
        """CTranslate2's name of the type that a device computes in.

        Args:
            device: `cpu`, `cuda` or `cuda:1`.
            precision: one of `PRECISIONS`, of a GPU; products of int8 weights stay in int8.
        """
        if device == "cpu":
            return self.on_cpu
        if precision is None:
            return self.weights
        return f"int8_{precision}" if self.weights == "int8" else precision


PRECISIONS = ("float32", "float16", "bfloat16")
"""What a GPU can be told to compute in, as PyTorch and CTranslate2 name it."""

QUANTIZATIONS = Registry[Quantization](
    "quantization",
    {
        "float32": Quantization("float32", "float32"),
        "int8": Quantization("int8", "int8"),
        "float16": Quantization("float16", "float32"),
        "bfloat16": Quantization("bfloat16", "float32"),
    },
)
"""As `evaluation.quantization` and `neuronspec export --quantization` name them."""
