"""Criteria inside the parameters of another: `{of: [lape, {criterion: top_fraction, fraction: 0.3}]}`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError

from neuronspec.core.errors import RecipeError, nearest
from neuronspec.core.wording import first_mistake
from neuronspec.neurons.criteria.criterion import SECTION, Criterion, known_parameters
from neuronspec.neurons.registry import CRITERIA
from neuronspec.neurons.settings import Statistic, UncheckedSelection

if TYPE_CHECKING:
    from typing import Self

    from neuronspec.neurons.criteria.criterion import Selected
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.pooling import Pool

KEYS = ("criterion", *SECTION, "parameters")


def part_from(settings: UncheckedSelection, given: Any, pivot: str, where: str) -> Criterion:
    """Build a criterion that stands in the parameters of another.

    Args:
        settings: the section `selection`, whose coverage and statistic count where the part gives none.
        given: the name of a criterion, or a mapping with the keys that a criterion has in the section.
        pivot: the language in the middle.
        where: the place of `given`, for messages.

    Raises:
        RecipeError: it is no criterion, or has an unknown key or a wrong value.
    """
    keys = {"criterion": given} if isinstance(given, str) else given
    if not isinstance(keys, Mapping) or "criterion" not in keys:
        raise RecipeError(
            f"{where} is {given!r}: expected the name of a criterion, or its keys: {{criterion: lape, fraction: 0.05}}"
        )
    for key in keys:
        if key not in KEYS:
            raise RecipeError(f"{where}.{key} is an unknown key; {nearest(str(key), KEYS)}")
    if keys.get("statistic") == "auto":
        raise RecipeError(f"{where}.statistic is 'auto': expected count or magnitude; without it, it is the section's")
    inherited = {"coverage": settings.coverage, "statistic": settings.statistic}
    try:
        part = UncheckedSelection.model_validate(inherited | dict(keys))
    except ValidationError as error:
        raise RecipeError(f"{where}.{first_mistake(error)}") from None
    kind = CRITERIA.get(part.criterion)
    taken = known_parameters(kind)
    unused = [key for key in ("coverage", "statistic") if key in keys and not {key, "like", "of"} & set(taken)]
    if unused:
        raise RecipeError(f"{where}.{unused[0]}: criterion {part.criterion} has no {unused[0]}")
    try:
        criterion: Criterion = kind.from_settings(part, pivot)
    except RecipeError as error:
        raise RecipeError(f"{where}{'.' if str(error).startswith('parameters.') else ': '}{error}") from None
    return criterion


def with_part(settings: UncheckedSelection, pivot: str, default: str = "cumulative") -> UncheckedSelection:
    """The section with its parameter `like` read as a criterion.

    Args:
        settings: the section `selection`.
        pivot: the language in the middle.
        default: the criterion without the parameter.

    Raises:
        RecipeError: as `part_from`.
    """
    parameters = settings.parameters or {}
    like = part_from(settings, parameters.get("like", default), pivot, "parameters.like")
    return settings.model_copy(update={"parameters": parameters | {"like": like}})


def with_parts(settings: UncheckedSelection, pivot: str) -> UncheckedSelection:
    """The section with its parameter `of` read as criteria.

    Raises:
        RecipeError: it isn't a list, or as `part_from`.
    """
    parameters = settings.parameters or {}
    given = parameters.get("of")
    if not isinstance(given, (list, tuple)):
        raise RecipeError(
            f"criterion {settings.criterion} needs parameters.of, a list of criteria, such as "
            f"[lape, {{criterion: top_fraction, fraction: 0.3}}]{'' if given is None else f', not {given!r}'}"
        )
    of = tuple(part_from(settings, one, pivot, f"parameters.of[{place}]") for place, one in enumerate(given))
    return settings.model_copy(update={"parameters": parameters | {"of": of}})


def checked_parts(name: str, of: object) -> tuple[Criterion, ...]:
    """Criteria that are combined; `name` is the criterion's in the message.

    Raises:
        RecipeError: they aren't two criteria or more.
    """
    parts = tuple(of) if isinstance(of, (list, tuple)) else ()
    if len(parts) < 2 or not all(isinstance(part, Criterion) for part in parts):
        raise RecipeError(f"{name} needs a list of two criteria or more as of, such as [LAPE(), TopFraction(0.3)]")
    return parts


def selected_by(criterion: Criterion, pool: Pool) -> Selected:
    """What a part selects, by the statistic that it reads."""
    return criterion.select(pool.reading(criterion.statistic))


@dataclass(frozen=True)
class Combination(Criterion):
    """What criteria share that combine the masks of several others: `of`, and how recipes write it."""

    statistic: ClassVar[Statistic | None] = None  # type: ignore[misc]
    of: Sequence[Criterion]

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", checked_parts(type(self).__name__.lower(), self.of))

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """See `Criterion.parts`."""
        return tuple(self.of)

    @classmethod
    def from_settings(cls, settings: UncheckedSelection, pivot: str) -> Self:
        """See `Criterion.from_settings`."""
        return super().from_settings(with_parts(settings, pivot), pivot)

    @abstractmethod
    def combine(self, first: NeuronMasks, other: NeuronMasks) -> NeuronMasks:
        """Combine the masks of two parts."""

    def select(self, pool: Pool) -> Selected:
        """See `Criterion.select`.

        Raises:
            DirectionError, MaskError: one of the criteria permutes masks of other directions or sites.
        """
        from neuronspec.neurons.masks import NeuronMasks

        found = reduce(self.combine, (NeuronMasks(selected_by(part, pool)) for part in self.parts))
        return {direction: dict(sites) for direction, sites in found.items()}


@dataclass(frozen=True)
class Likened(Criterion):
    """What criteria share that select as many neurons as masks or another criterion: `like`."""

    like: NeuronMasks | Criterion

    @property
    def statistic(self) -> Statistic | None:  # type: ignore[override]
        """That of the criterion whose numbers of neurons count."""
        return self.like.statistic if isinstance(self.like, Criterion) else None

    @property
    def parts(self) -> tuple[Criterion, ...]:
        """See `Criterion.parts`."""
        return (self.like,) if isinstance(self.like, Criterion) else ()

    @classmethod
    def from_settings(cls, settings: UncheckedSelection, pivot: str) -> Self:
        """See `Criterion.from_settings`."""
        return super().from_settings(with_part(settings, pivot), pivot)
