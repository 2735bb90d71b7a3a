"""Masks onto a model: specialized layers, the direction scope, compact models, folders."""

from neuronspec.specialize.apply import specialize, unspecialize
from neuronspec.specialize.checkpointing import keeping_direction
from neuronspec.specialize.scope import use_direction, use_directions

__all__ = [
    "keeping_direction",
    "specialize",
    "unspecialize",
    "use_direction",
    "use_directions",
]
