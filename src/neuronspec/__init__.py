"""neuronspec: multilingual translation models whose neurons specialize.

The public API. Names are imported when they are first used, so `import neuronspec` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuronspec import report
    from neuronspec.analysis.ablation import ablate
    from neuronspec.analysis.overlap import overlap
    from neuronspec.arms.registry import register_arm
    from neuronspec.batching.data_collator import DataCollator, DirectionSampler
    from neuronspec.core.direction import Direction
    from neuronspec.core.errors import NeuronspecError
    from neuronspec.core.progress import Bars
    from neuronspec.corpus.readers.registry import register_reader
    from neuronspec.deploy.documents.glossary import Glossary
    from neuronspec.deploy.documents.memory import TranslationMemory
    from neuronspec.deploy.translator import Translator
    from neuronspec.models.batch import Batch
    from neuronspec.models.sites import FFNSite, find_ffn_sites, register_ffn_pattern
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.criteria.cumulative import CumulativeActivation
    from neuronspec.neurons.criteria.difference import Difference
    from neuronspec.neurons.criteria.exclusive import Exclusive
    from neuronspec.neurons.criteria.lape import LAPE
    from neuronspec.neurons.criteria.magnitude import WeightMagnitude
    from neuronspec.neurons.criteria.mutual_information import MutualInformation
    from neuronspec.neurons.criteria.random import Random
    from neuronspec.neurons.criteria.top_fraction import TopFraction
    from neuronspec.neurons.criteria.union import Union
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.recording import record_activations
    from neuronspec.neurons.registry import register_criterion
    from neuronspec.neurons.selection import select_neurons
    from neuronspec.recipe import Recipe
    from neuronspec.runs.api import evaluate, run, train
    from neuronspec.scoring.registry import register_metric
    from neuronspec.specialization.apply import specialize, unspecialize
    from neuronspec.specialization.compact import compact
    from neuronspec.specialization.save import load, load_compact, save_compact, save_specialized
    from neuronspec.specialization.scope import use_direction, use_directions

from neuronspec.core.version import __version__

_HOMES = {
    "core.direction": ["Direction"],
    "core.errors": ["NeuronspecError"],
    "core.progress": ["Bars"],
    "recipe": ["Recipe"],
    "corpus.readers.registry": ["register_reader"],
    "scoring.registry": ["register_metric"],
    "batching.data_collator": ["DataCollator", "DirectionSampler"],
    "models.batch": ["Batch"],
    "models.sites": ["FFNSite", "find_ffn_sites", "register_ffn_pattern"],
    "neurons.activations": ["Activations"],
    "neurons.recording": ["record_activations"],
    "neurons.criteria.cumulative": ["CumulativeActivation"],
    "neurons.criteria.top_fraction": ["TopFraction"],
    "neurons.criteria.lape": ["LAPE"],
    "neurons.criteria.exclusive": ["Exclusive"],
    "neurons.criteria.mutual_information": ["MutualInformation"],
    "neurons.criteria.random": ["Random"],
    "neurons.criteria.magnitude": ["WeightMagnitude"],
    "neurons.criteria.union": ["Union"],
    "neurons.criteria.difference": ["Difference"],
    "neurons.registry": ["register_criterion"],
    "neurons.selection": ["select_neurons"],
    "neurons.masks": ["NeuronMasks"],
    "analysis.overlap": ["overlap"],
    "analysis.ablation": ["ablate"],
    "specialization.apply": ["specialize", "unspecialize"],
    "specialization.scope": ["use_direction", "use_directions"],
    "specialization.compact": ["compact"],
    "specialization.save": ["save_compact", "load_compact", "save_specialized", "load"],
    "arms.registry": ["register_arm"],
    "runs.api": ["run", "train", "evaluate"],
    "deploy.translator": ["Translator"],
    "deploy.documents.memory": ["TranslationMemory"],
    "deploy.documents.glossary": ["Glossary"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 (grouped as the data flows)
    "Batch",
    "Direction",
    "NeuronspecError",
    "Recipe",
    "run",
    "train",
    "evaluate",
    "FFNSite",
    "find_ffn_sites",
    "register_ffn_pattern",
    "Activations",
    "record_activations",
    "CumulativeActivation",
    "TopFraction",
    "LAPE",
    "Exclusive",
    "MutualInformation",
    "Random",
    "WeightMagnitude",
    "Union",
    "Difference",
    "select_neurons",
    "NeuronMasks",
    "overlap",
    "ablate",
    "specialize",
    "unspecialize",
    "use_direction",
    "use_directions",
    "compact",
    "save_compact",
    "load_compact",
    "save_specialized",
    "load",
    "DataCollator",
    "DirectionSampler",
    "Translator",
    "TranslationMemory",
    "Glossary",
    "register_reader",
    "register_criterion",
    "register_arm",
    "register_metric",
    "Bars",
    "report",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "report":
        return import_module("neuronspec.report")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'neuronspec' has no attribute {name!r}")
    return getattr(import_module(f"neuronspec.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
