"""Translation engines by name."""

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
