"""Pooling activations by language or family before neurons are selected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from neuronspec.core.direction import Direction, Monolingual
from neuronspec.core.errors import MaskError
from neuronspec.core.languages import family_of
from neuronspec.neurons.positions import side_of
from neuronspec.neurons.settings import Granularity, Positions, Statistic

if TYPE_CHECKING:
    import torch

    from neuronspec.neurons.activations import Activations

Groups: TypeAlias = Mapping[Direction, Mapping[str, str]]
"""By direction and side (`encoder`, `decoder`, `layers`), the group whose activations are summed."""


@dataclass(frozen=True)
class Pool:
    """Activations summed over the directions that shall have the same neurons at a site.

    Args:
        directions: the directions to select for.
        groups: by direction and side (`encoder`, `decoder`, `layers`) the group whose activations count.
        values: by site and group, the counts (int64) or magnitudes (float64) `[width]`.
        tokens: by site and group, the number of positions.
        recorded: by statistic, site and group, what `values` are of one of them.
        norms: by site, the norms of the neurons' weights `[width]`, where a criterion asks for them.
    """

    directions: tuple[Direction, ...]
    groups: Groups
    values: Mapping[str, Mapping[str, torch.Tensor]]
    tokens: Mapping[str, Mapping[str, int]]
    recorded: Mapping[Statistic, Mapping[str, Mapping[str, torch.Tensor]]] = field(default_factory=dict)
    norms: Mapping[str, torch.Tensor] | None = None

    def reading(self, statistic: Statistic | None) -> Pool:
        """The same with the values of a statistic; None leaves them as they are."""
        return self if statistic is None else replace(self, values=self.recorded[statistic])

    def group(self, direction: Direction, site: str) -> str:
        """The group of a direction at a site."""
        return self.groups[direction][side_of(site)]


def pool_activations(
    acts: Activations, statistic: Statistic, granularity: Granularity, families: Mapping[str, str] | None
) -> Pool:
    """Sum activations by direction (nothing to sum), language or family.

    The encoder reads the source and the decoder writes the target, so the encoder is pooled by the source
    language and the decoder by the target language. A decoder-only model is pooled by the source where the
    prompt was recorded, by the target where the continuation was.

    Args:
        acts: recorded activations.
        statistic: `count` or `magnitude`.
        granularity: `direction`, `language` or `family`.
        families: by language, where it isn't the built-in table's.

    Raises:
        MaskError: a decoder-only model of which all positions were recorded can't be pooled.
        DirectionError: no family is known for a language.
    """
    sides = dict.fromkeys(map(side_of, acts.sites))
    groups = groups_of(acts.directions, sides, acts.info.positions, granularity, families)
    statistics: dict[Statistic, Any] = {"count": acts.counts, "magnitude": acts.magnitudes}
    recorded: dict[Statistic, dict[str, dict[str, torch.Tensor]]] = {
        each: {site: {} for site in acts.sites} for each in statistics
    }
    tokens: dict[str, dict[str, int]] = {site: {} for site in acts.sites}
    for direction in acts.directions:
        for site in acts.sites:
            group = groups[direction][side_of(site)]
            for each, found in statistics.items():
                pooled, value = recorded[each][site], found[direction][site]
                pooled[group] = pooled[group] + value if group in pooled else value
            tokens[site][group] = tokens[site].get(group, 0) + acts.tokens[direction][site]
    return Pool(acts.directions, groups, recorded[statistic], tokens, recorded)


def groups_of(
    directions: Iterable[Direction],
    sides: Iterable[str],
    positions: Positions,
    granularity: Granularity,
    families: Mapping[str, str] | None,
) -> Groups:
    """What `pool_activations` sums the activations of each direction and side with.

    Args:
        directions: that are recorded.
        sides: of the model: `encoder` and `decoder`, or `layers`.
        positions: that are recorded.
        granularity: as of `pool_activations`.
        families: as of `pool_activations`.

    Raises:
        MaskError, DirectionError: as of `pool_activations`.
    """
    sides = list(sides)
    return {
        direction: {side: _group(direction, side, positions, granularity, families) for side in sides}
        for direction in directions
    }


def _group(
    direction: Direction,
    side: str,
    positions: Positions,
    granularity: Granularity,
    families: Mapping[str, str] | None,
) -> str:
    if granularity == "direction":
        return str(direction)
    if side == "layers" and positions == "both" and not isinstance(direction, Monolingual):
        raise MaskError(
            f"granularity {granularity!r}: these activations of a decoder-only model mix source and target; "
            "record positions='prompt' or 'continuation', or select by direction"
        )
    reads_source = side == "encoder" or positions == "prompt"
    language = direction.source if reads_source else direction.target
    if granularity == "language":
        return language
    return families[language] if families and language in families else family_of(language)
