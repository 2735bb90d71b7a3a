"""What every criterion is: a rule for which neurons a direction uses, given its activations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import get_args

import torch

from neuronspec.core.errors import RecipeError, nearest
from neuronspec.neurons.pooling import Pool, Statistic

Selected = dict[str, dict[str, torch.Tensor]]


class Criterion(ABC):
    """A rule that selects neurons. `statistic` says what it reads: None if it doesn't read activations."""

    statistic: Statistic | None

    @abstractmethod
    def select(self, pool: Pool) -> Selected:
        """A BoolTensor `[width]` by direction (`str`) and site."""


def ranked(values: torch.Tensor) -> torch.Tensor:
    """Indices in descending order of `values`; ties in ascending order of index."""
    return values.sort(descending=True, stable=True).indices


def first_of(order: torch.Tensor, number: int) -> torch.Tensor:
    """A BoolTensor that is true at the first `number` indices of `order`."""
    mask = torch.zeros(len(order), dtype=torch.bool)
    mask[order[:number]] = True
    return mask


def ceil(number: Fraction) -> int:
    """The smallest integer that isn't below `number`."""
    return -(-number.numerator // number.denominator)


def rounded_up(share: float, of: int) -> int:
    """`share * of` rounded up, with the share as it is written (0.7 is 7/10)."""
    return ceil(Fraction(str(float(share))) * of)


def by_direction(pool: Pool, masks: Mapping[str, Mapping[str, torch.Tensor]]) -> Selected:
    """Masks by site and group, as every direction finds them."""
    return {
        str(direction): {site: by_group[pool.group(direction, site)] for site, by_group in masks.items()}
        for direction in pool.directions
    }


def check_statistic(statistic: str) -> None:
    """Check the name of a statistic.

    Raises:
        RecipeError: there is no such statistic.
    """
    if statistic not in get_args(Statistic):
        raise RecipeError(f"statistic {statistic!r}: {nearest(statistic, get_args(Statistic))}")


def check_share(name: str, share: object) -> None:
    """Check a share; `name` is its name in the message.

    Raises:
        RecipeError: it isn't a number in (0, 1].
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise RecipeError(f"{name} is {share!r}: expected a number above 0 and at most 1, such as 0.95")
