"""The criteria by name, as recipes write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from neuronspec.core.registry import Registry

if TYPE_CHECKING:
    from neuronspec.neurons.criteria.criterion import Criterion

CRITERIA: Registry[type[Criterion]] = Registry(
    "criterion",
    {
        "cumulative": "neuronspec.neurons.criteria.cumulative:CumulativeActivation",
        "top_fraction": "neuronspec.neurons.criteria.top_fraction:TopFraction",
        "lape": "neuronspec.neurons.criteria.lape:LAPE",
        "random": "neuronspec.neurons.criteria.random:Random",
    },
)


def register_criterion(
    name: str, criterion: type[Criterion] | None = None
) -> Callable[[type[Criterion]], type[Criterion]]:
    """Make a criterion of your own known under a name, which recipes can use as `selection.criterion`.

    Args:
        name: as recipes write it.
        criterion: a subclass of `Criterion`; without it, the result decorates one.

    Returns:
        A decorator that registers a class and returns it unchanged.

    Raises:
        RecipeError: the name is taken by another criterion.
    """
    return CRITERIA.register(name, criterion)
