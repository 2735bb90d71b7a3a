"""Translation engines and quantizations by name."""

from __future__ import annotations

from typing import Any

from neuronspec.core.registry import Registry

ENGINES: Registry[Any] = Registry(
    "engine",
    {
        "transformers": "neuronspec.translation.transformers_engine:TransformersEngine",
        "ctranslate2": "neuronspec.translation.ctranslate2_engine:CTranslate2Engine",
    },
)
"""As `evaluation.engine` names them."""

QUANTIZATIONS: Registry[Any] = Registry(
    "quantization",
    {
        "float32": "neuronspec.translation.conversion:FLOAT32",
        "int8": "neuronspec.translation.conversion:INT8",
        "float16": "neuronspec.translation.conversion:FLOAT16",
    },
)
"""How the weights of a CTranslate2 model are stored."""
