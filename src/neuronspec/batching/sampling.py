"""How often each direction is drawn, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from neuronspec.core.direction import Direction, weight_problems
from neuronspec.core.errors import RecipeError
from neuronspec.core.randomness import generator
from neuronspec.training.settings import ContinuationSettings, TrainingSettings

ROUND = 128
"""Draws over which every direction gets its share to within one batch."""


def sampling_probabilities(sizes: Mapping[Direction, int], temperature: float) -> dict[Direction, float]:
    """The probability of each direction, in proportion to `size ** (1 / temperature)`.

    Source: Arivazhagan et al. (2019), section 4.2.

    Args:
        sizes: pairs of each direction.
        temperature: 1 keeps the corpus as it is; a high one makes directions equal.

    Examples:
        >>> shares = sampling_probabilities({"en-de": 400, "en-af": 100}, temperature=2)
        >>> {direction: round(share, 3) for direction, share in shares.items()}
        {'en-de': 0.667, 'en-af': 0.333}
    """
    # Through logarithms relative to the largest, so that no size overflows.
    logs = np.log(np.array(list(sizes.values()), dtype=np.float64)) / temperature
    weights = np.exp(logs - logs.max())
    return dict(zip(sizes, (weights / weights.sum()).tolist(), strict=True))


def weighted_probabilities(directions: Sequence[Direction], weights: Mapping[str, float]) -> dict[Direction, float]:
    """The probability of each direction, in proportion to its weight.

    Args:
        directions: all that are trained.
        weights: by direction, for each of them.

    Raises:
        RecipeError: a direction has no weight, or a weight is of no direction.
    """
    problems = weight_problems(weights, directions)
    if problems:
        raise RecipeError(f"weights: {'; '.join(problems)}; give a weight to every trained direction")
    known = {Direction.parse(name): weight for name, weight in weights.items()}
    total = sum(known.values())
    return {one: known[one] / total for one in sorted(directions)}


def probabilities_of(
    sizes: Mapping[Direction, int], settings: TrainingSettings, replayed: Collection[Direction] = ()
) -> dict[Direction, float]:
    """The probability of each direction as a training section asks for it: by weight if it gives weights.

    Args:
        sizes: pairs of each direction.
        settings: of the training.
        replayed: those of them that share out `settings.replay` of the draws among themselves, by temperature.

    Raises:
        RecipeError: the weights aren't of these directions.
    """
    if replayed and isinstance(settings, ContinuationSettings):
        own = probabilities_of({one: size for one, size in sizes.items() if one not in replayed}, settings)
        others = sampling_probabilities({one: sizes[one] for one in sizes if one in replayed}, settings.temperature)
        share = settings.replay
        return {one: share * others[one] if one in others else (1 - share) * own[one] for one in sizes}
    if settings.weights is not None:
        return weighted_probabilities(list(sizes), settings.weights)
    return sampling_probabilities(sizes, settings.temperature)


class DrawnDirections:
    """Draws directions by probability; draw `n` is a pure function of the seed and `n`.

    Draws are stratified: in each round of `ROUND` draws a direction of probability p is drawn p * ROUND times to
    within one, in random order, which short trainings over many directions need to see all of them.
    """

    def __init__(self, probabilities: Mapping[Direction, float], seed: int) -> None:
        self.directions = list(probabilities)
        self._upper = np.cumsum(list(probabilities.values()))
        self._seed = seed
        self._round: tuple[int, np.ndarray] = (-1, np.zeros(0))

    def __getitem__(self, draw: int) -> Direction:
        """The direction of micro-batch number `draw`, counted from 0."""
        number, slot = divmod(draw, ROUND)
        if self._round[0] != number:
            random = generator(self._seed, "directions", number)
            points = (random.permutation(ROUND) + random.random()) / ROUND
            self._round = number, points
        place = int(np.searchsorted(self._upper, self._round[1][slot], side="right"))
        return self.directions[min(place, len(self.directions) - 1)]  # the sum may be 1 - 1e-16
