"""`Difference`: the neurons that one criterion selects and others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from neuronspec.neurons.criteria.criterion import Criterion, Selected
from neuronspec.neurons.criteria.parts import checked_parts, selected_by, with_parts
from neuronspec.neurons.settings import Statistic, UncheckedSelection

if TYPE_CHECKING:
    from typing import Self

    from neuronspec.neurons.pooling import Pool


@dataclass(frozen=True)
class Difference(Criterion):
    """The neurons that the first of several criteria selects, without those that any other one selects.

    In a recipe, each is written as a name or as the keys that a criterion has in the section `selection`, whose
    coverage and statistic count where it gives none: `parameters: {of: [{criterion: top_fraction, fraction: 0.5},
    lape]}`. A direction may have no neuron at a site.

    Args:
        of: two criteria or more; each reads its own statistic.

    Raises:
        RecipeError: they aren't two criteria or more.

    Example:
        >>> masks = ns.select_neurons(acts, ns.Difference([ns.TopFraction(0.5), ns.TopFraction(0.3)]))
        >>> masks == ns.select_neurons(acts, ns.TopFraction(0.5)) - ns.select_neurons(acts, ns.TopFraction(0.3))
        True
    """

    statistic: ClassVar[Statistic | None] = None  # type: ignore[misc]
    of: Sequence[Criterion]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", checked_parts("difference", self.of))

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """See `Criterion.parts`."""
        return tuple(self.of)

    @classmethod
    def from_settings(cls, settings: UncheckedSelection, pivot: str) -> Self:
        """See `Criterion.from_settings`."""
        return super().from_settings(with_parts(settings, pivot), pivot)

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            DirectionError, MaskError: one of the criteria permutes masks of other directions or sites.
        """
        from neuronspec.neurons.masks import NeuronMasks

        first, *others = (NeuronMasks(selected_by(part, pool)) for part in self.parts)
        for other in others:
            first = first - other
        return {direction: dict(sites) for direction, sites in first.items()}
