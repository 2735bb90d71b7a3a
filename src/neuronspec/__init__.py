"""neuronspec: multilingual translation models whose neurons specialize.

The public API. Names are imported when they are first used, so `import neuronspec` is quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuronspec import report
    from neuronspec.batching.batch import Batch
    from neuronspec.deploy import Translator
    from neuronspec.direction import Direction
    from neuronspec.errors import NeuronspecError
    from neuronspec.model.sites import FFNSite, find_ffn_sites, register_ffn_pattern
    from neuronspec.neurons import (
        LAPE,
        Activations,
        CumulativeActivation,
        NeuronMasks,
        Random,
        TopFraction,
        overlap,
        record_activations,
        select_neurons,
    )
    from neuronspec.recipe import Recipe
    from neuronspec.specialize import (
        compact,
        load,
        load_compact,
        save_compact,
        save_specialized,
        specialize,
        unspecialize,
        use_direction,
        use_directions,
    )

__version__ = "0.1.0"

_HOMES = {
    "neuronspec.batching.batch": ["Batch"],
    "neuronspec.deploy": ["Translator"],
    "neuronspec.direction": ["Direction"],
    "neuronspec.errors": ["NeuronspecError"],
    "neuronspec.model.sites": ["FFNSite", "find_ffn_sites", "register_ffn_pattern"],
    "neuronspec.neurons": [
        "Activations",
        "CumulativeActivation",
        "LAPE",
        "NeuronMasks",
        "Random",
        "TopFraction",
        "overlap",
        "record_activations",
        "select_neurons",
    ],
    "neuronspec.recipe": ["Recipe"],
    "neuronspec.specialize": [
        "compact",
        "load",
        "load_compact",
        "save_compact",
        "save_specialized",
        "specialize",
        "unspecialize",
        "use_direction",
        "use_directions",
    ],
}
_PACKAGES = ["report"]
"""Folders that are public under their own name: `neuronspec.report.figures`."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 (grouped as the data flows)
    "Batch",
    "Direction",
    "NeuronspecError",
    "Recipe",
    "FFNSite",
    "find_ffn_sites",
    "register_ffn_pattern",
    "Activations",
    "record_activations",
    "CumulativeActivation",
    "LAPE",
    "Random",
    "TopFraction",
    "select_neurons",
    "NeuronMasks",
    "overlap",
    "specialize",
    "unspecialize",
    "use_direction",
    "use_directions",
    "compact",
    "save_compact",
    "load_compact",
    "save_specialized",
    "load",
    "Translator",
    "report",
    "__version__",
]


class _Package(ModuleType):
    """Keeps `neuronspec.specialize` the function: importing the folder of that name would put the module there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"neuronspec.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'neuronspec' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
