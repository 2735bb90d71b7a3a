"""Translation engines and quantizations by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuronspec.core.registry import Registry

if TYPE_CHECKING:
    from neuronspec.translation.conversion import Quantization
    from neuronspec.translation.engine import Engine

ENGINES: Registry[type[Engine]] = Registry(
    "engine",
    {
        "transformers": "neuronspec.translation.transformers_engine:TransformersEngine",
        "ctranslate2": "neuronspec.translation.ctranslate2_engine:CTranslate2Engine",
    },
)
"""As `evaluation.engine` names them."""

QUANTIZATIONS: Registry[Quantization] = Registry(
    "quantization",
    {
        "float32": "neuronspec.translation.conversion:FLOAT32",
        "int8": "neuronspec.translation.conversion:INT8",
        "float16": "neuronspec.translation.conversion:FLOAT16",
    },
)
"""How the weights of a CTranslate2 model are stored."""
