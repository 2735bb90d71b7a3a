"""Permutation tests: is what languages share more than chance? Pure functions of matrices; every test takes a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuronspec.core.errors import MaskError


@dataclass(frozen=True, slots=True)
class FamilyTest:
    """Within-family against between-family overlap.

    Args:
        within: mean overlap of pairs of one family; None without such a pair.
        between: mean overlap of pairs of different families; None without such a pair.
        p: one-sided p-value of `within - between` under permuted families; None where one of them is None.
        permutations: that were drawn.
    """

    within: float | None
    between: float | None
    p: float | None
    permutations: int

    @property
    def difference(self) -> float | None:
        """`within - between`."""
        return None if self.within is None or self.between is None else self.within - self.between


@dataclass(frozen=True, slots=True)
class MantelTest:
    """The correlation of two matrices of distances.

    Args:
        r: Pearson's correlation of their entries above the diagonal; None where one of them is constant.
        p: one-sided p-value of r > 0 under permuted rows and columns; None where r is.
        n: items (rows).
        permutations: that were drawn.
    """

    r: float | None
    p: float | None
    n: int
    permutations: int


def family_test(overlap: np.ndarray, families: Sequence[str], *, permutations: int = 1999, seed: int = 0) -> FamilyTest:
    """Test whether items of one family overlap more than items of different families.

    The statistic is the mean overlap of pairs within a family less that of pairs between families; the families are
    permuted among the items. `p = (1 + permutations that reach the statistic) / (1 + permutations)`, which is exact
    (Phipson and Smyth, 2010). A family of one has no pair within.

    Args:
        overlap: symmetric `[items, items]`.
        families: one per item.
        permutations: how many to draw.
        seed: of the draws.

    Raises:
        MaskError: the matrix isn't square or has another number of items.
    """
    matrix = _square(overlap, len(families))
    codes = np.unique(np.asarray(families, dtype=object).astype(str), return_inverse=True)[1]
    rows, columns = np.triu_indices(len(matrix), 1)
    values = matrix[rows, columns]
    same = codes[rows] == codes[columns]
    if not same.any() or same.all():
        within = float(values[same].mean()) if same.any() else None
        between = float(values[~same].mean()) if (~same).any() else None
        return FamilyTest(within, between, None, 0)
    total, number = values.sum(), int(same.sum())

    def difference(within_sum: np.ndarray) -> np.ndarray:
        return within_sum / number - (total - within_sum) / (len(values) - number)

    orders = _permutations(len(codes), permutations, seed)
    shuffled = codes[orders]
    drawn = difference(((shuffled[:, rows] == shuffled[:, columns]) @ values).astype(float))
    observed = difference(np.asarray(values[same].sum()))
    reached = int((drawn >= observed - 1e-12).sum())
    p = (1 + reached) / (1 + permutations)
    return FamilyTest(float(values[same].mean()), float(values[~same].mean()), p, permutations)


def mantel_test(first: np.ndarray, second: np.ndarray, *, permutations: int = 1999, seed: int = 0) -> MantelTest:
    """Test whether two matrices of distances of the same items agree (Mantel, 1967).

    Args:
        first: symmetric `[items, items]`.
        second: of the same size.
        permutations: how many to draw.
        seed: of the draws.

    Raises:
        MaskError: the matrices aren't square or differ in size.
    """
    first = _square(first, len(first))
    second = _square(second, len(first))
    rows, columns = np.triu_indices(len(first), 1)
    a, b = first[rows, columns], second[rows, columns]
    if len(a) < 2 or np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return MantelTest(None, None, len(first), 0)
    a = (a - a.mean()) / np.linalg.norm(a - a.mean())
    b = (b - b.mean()) / np.linalg.norm(b - b.mean())
    observed = float(a @ b)
    orders = _permutations(len(first), permutations, seed)
    standard = np.zeros_like(first, dtype=float)
    standard[rows, columns] = standard[columns, rows] = a
    drawn = np.array([standard[order[rows], order[columns]] @ b for order in orders])
    p = (1 + int((drawn >= observed - 1e-12).sum())) / (1 + permutations)
    return MantelTest(observed, p, len(first), permutations)


def _permutations(items: int, number: int, seed: int) -> np.ndarray:
    """`number` random orders of `items` items: `[number, items]`."""
    random = np.random.default_rng(seed)
    return random.permuted(np.tile(np.arange(items), (number, 1)), axis=1)


def _square(matrix: np.ndarray, items: int) -> np.ndarray:
    values = np.asarray(matrix, dtype=float)
    if values.shape != (items, items):
        raise MaskError(f"a matrix of pairs has shape {list(values.shape)}: expected [{items}, {items}]")
    return values
