"""The criteria by name, as recipes write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from neuronspec.core.registry import Registry

Kind = TypeVar("Kind", bound=type)


CRITERIA: Registry[Any] = Registry(
    "criterion",
    {
        "cumulative": "neuronspec.neurons.criteria.cumulative:CumulativeActivation",
        "top_fraction": "neuronspec.neurons.criteria.top_fraction:TopFraction",
        "lape": "neuronspec.neurons.criteria.lape:LAPE",
        "exclusive": "neuronspec.neurons.criteria.exclusive:Exclusive",
        "mutual_information": "neuronspec.neurons.criteria.mutual_information:MutualInformation",
        "random": "neuronspec.neurons.criteria.random:Random",
        "magnitude": "neuronspec.neurons.criteria.magnitude:WeightMagnitude",
        "union": "neuronspec.neurons.criteria.union:Union",
        "difference": "neuronspec.neurons.criteria.difference:Difference",
    },
)


def register_criterion(name: str, criterion: Kind | None = None) -> Callable[[Kind], Kind]:
    """Make a criterion of your own known under a name, which recipes can use as `selection.criterion`.

    Args:
        name: as recipes write it.
        criterion: a subclass of `Criterion`; without it, the result decorates one.

    Returns:
        A decorator that registers a class and returns it unchanged.

    Raises:
        RecipeError: the name is taken by another criterion.
    """
    from neuronspec.neurons.criteria.criterion import Criterion

    return CRITERIA.register_subclass(name, criterion, Criterion)
