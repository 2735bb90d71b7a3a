"""What every criterion is: a rule for which neurons a direction uses, given its activations."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, TypeAlias, get_args

from neuronspec.core.errors import MaskError, RecipeError, nearest
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Statistic, UncheckedSelection

if TYPE_CHECKING:
    from typing import Self

    import torch

    from neuronspec.neurons.pooling import Groups, Pool

Selected: TypeAlias = "dict[str, dict[str, torch.Tensor]]"

SECTION = ("coverage", "fraction", "statistic")
"""Keys of the recipe's section `selection` that are parameters of criteria."""


def known_parameters(kind: type[Criterion]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a criterion's constructor."""
    return inspect.signature(kind).parameters


HAVE_FRACTION = ("top_fraction", "lape", "exclusive", "mutual_information")


class Criterion(ABC):
    """A rule that selects neurons.

    The modules of criteria don't import torch, so that recipes are checked without it.

    Attributes:
        statistic: what it reads: `count`, `magnitude`, or None if it doesn't read activations itself.
        reads_weights: whether it needs the model's weights; `pool.norms` has their norms then.
    """

    statistic: Statistic | None
    reads_weights: ClassVar[bool] = False

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """The criteria that it is made of; each reads a statistic of its own."""
        return ()

    @abstractmethod
    def select(self, pool: Pool) -> Selected:
        """Select neurons from pooled activations.

        Returns:
            A BoolTensor `[width]` by direction (`str`) and site.
        """

    def check(self, groups: Groups) -> None:
        """Check, before anything is recorded, that there is what `select` needs for some directions.

        Args:
            groups: by direction and side of the model, the group that it is selected for.

        Raises:
            MaskError, RecipeError: as `select` would.
        """
        for part in self.parts:
            part.check(groups)

    @classmethod
    def from_settings(cls, settings: UncheckedSelection, pivot: str) -> Self:
        """Build the criterion that the recipe's section `selection` describes.

        What the criterion's constructor takes and the section has (`coverage`, `fraction`, `statistic`) comes from
        there, `pivot` from the corpus, everything else from `selection.parameters`.

        Args:
            settings: the section.
            pivot: the language in the middle.

        Raises:
            RecipeError: a parameter is missing, unknown, or has a wrong value.
        """
        values = {key: getattr(settings, key) for key in SECTION} | {"pivot": pivot}
        if values["statistic"] == "auto":  # what was recorded will tell; see `select_masks`
            values["statistic"] = None
        known = known_parameters(cls)
        parameters = settings.parameters or {}
        for key in parameters:
            if key not in known or key in values:
                free = [name for name in known if name not in values]
                hint = f"it is the key selection.{key}" if key in SECTION else nearest(key, free) or "it has none"
                raise RecipeError(f"parameters: criterion {settings.criterion} has no {key!r} there; {hint}")
        if settings.fraction is not None and "fraction" not in known:
            raise RecipeError(f"criterion {settings.criterion} has no fraction; {', '.join(HAVE_FRACTION)} have")
        given = {key: value for key, value in values.items() if key in known and value is not None} | parameters
        missing = [key for key, one in known.items() if one.default is one.empty and key not in given]
        if missing:
            raise RecipeError(f"criterion {settings.criterion} needs {' and '.join(missing)}")
        return cls(**given)


def tree_of(criterion: Criterion) -> Iterator[Criterion]:
    """A criterion, its parts, and theirs."""
    yield criterion
    for part in criterion.parts:
        yield from tree_of(part)


def compared(pool: Pool, site: str, name: str) -> dict[str, torch.Tensor]:
    """The mean of the statistic per position by group, for criteria that compare groups.

    Args:
        pool: pooled activations.
        site: of a model.
        name: of the criterion, in the message.

    Returns:
        DoubleTensors `[width]`; of counts, the share of positions at which a neuron fires.

    Raises:
        MaskError: there is one group alone.
    """
    by_group = pool.values[site]
    _check_several(side_of(site), by_group, name)
    return {group: values.double() / max(pool.tokens[site][group], 1) for group, values in by_group.items()}


def check_compared(groups: Groups, name: str) -> None:
    """Check that each side has several groups, for criteria that compare them.

    Args:
        groups: by direction and side.
        name: of the criterion, in the message.

    Raises:
        MaskError: there is one group alone.
    """
    for side in dict.fromkeys(side for sides in groups.values() for side in sides):
        _check_several(side, {sides[side] for sides in groups.values()}, name)


def _check_several(side: str, groups: Collection[str], name: str) -> None:
    if len(groups) < 2:
        raise MaskError(
            f"{name} needs two groups or more to compare; the {side} has only {next(iter(groups))}: choose "
            "another granularity or criterion, or add directions"
        )


def sum_of(values: torch.Tensor) -> torch.Tensor:
    """The sum over the first dimension, to the last bit the same for every order of it."""
    return values.sort(0).values.cumsum(0)[-1]


def ranked(values: torch.Tensor) -> torch.Tensor:
    """Indices in descending order of `values`; ties in ascending order of index."""
    return values.sort(descending=True, stable=True).indices


def first_of(order: torch.Tensor, number: int, width: int | None = None) -> torch.Tensor:
    """A BoolTensor `[width]`, as long as `order` without it, that is true at the first `number` indices of `order`."""
    import torch

    mask = torch.zeros(len(order) if width is None else width, dtype=torch.bool)
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
