"""Masks onto a model: specialized layers, the direction scope, compact models, folders."""

from neuronspec.specialize.apply import specialize, unspecialize
from neuronspec.specialize.checkpointing import keeping_direction
from neuronspec.specialize.compact import CompactReport, compact, compact_report
from neuronspec.specialize.folder import load, load_compact, save_compact, save_masks, save_specialized
from neuronspec.specialize.scope import use_direction, use_directions

__all__ = [
    "CompactReport",
    "compact",
    "compact_report",
    "keeping_direction",
    "load",
    "load_compact",
    "save_compact",
    "save_masks",
    "save_specialized",
    "specialize",
    "unspecialize",
    "use_direction",
    "use_directions",
]
