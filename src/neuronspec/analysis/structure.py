"""The structure of overlaps: trees and maps of languages, and how well a tree agrees with known families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Tree:
    """A hierarchical clustering of items (average linkage, UPGMA).

    Args:
        merges: scipy's linkage `[items - 1, 4]`: the two clusters merged, their distance, the number of items.
        leaves: the items from one end of the tree to the other, close ones beside each other.
        cophenetic: `[items, items]`: the distance at which two items are first in one cluster.
        cophenetic_correlation: of that with the distances the tree was made from: 1 for a perfect tree; None where
            it isn't defined (fewer than three items, equal distances).
    """

    merges: np.ndarray
    leaves: tuple[int, ...]
    cophenetic: np.ndarray
    cophenetic_correlation: float | None


def cluster(distances: np.ndarray) -> Tree:
    """The tree of items with these distances; neighbours are put beside each other (optimal leaf ordering).

    Args:
        distances: symmetric `[items, items]`, zeros on the diagonal; 1 - IoU for masks.
    """
    from scipy.cluster.hierarchy import cophenet, leaves_list, linkage
    from scipy.spatial.distance import squareform

    values = np.asarray(distances, dtype=float)
    if len(values) < 2:
        return Tree(np.empty((0, 4)), tuple(range(len(values))), np.zeros_like(values), None)
    condensed = squareform(values, checks=False)
    merges = linkage(condensed, method="average", optimal_ordering=True)
    heights = cophenet(merges)
    leaves = tuple(int(leaf) for leaf in leaves_list(merges))
    return Tree(merges, leaves, squareform(heights), _correlation(condensed, heights))


def branches(tree: Tree) -> list[tuple[tuple[float, float, float, float], tuple[float, float, float, float]]]:
    """Give the brackets that a tree is drawn with, one per merge.

    Returns:
        By merge, four positions along the leaves (leaf i of `leaves` is at i) and four distances, from the foot of one
        side over the top to the foot of the other.
    """
    items = len(tree.leaves)
    place = {leaf: float(index) for index, leaf in enumerate(tree.leaves)}
    height = dict.fromkeys(range(items), 0.0)
    brackets = []
    for number, (left, right, top, _) in enumerate(tree.merges.tolist()):
        a, b = int(left), int(right)
        brackets.append(((place[a], place[a], place[b], place[b]), (height[a], top, top, height[b])))
        place[items + number], height[items + number] = (place[a] + place[b]) / 2, top
    return brackets


def tree_agreement(tree: Tree, families: Sequence[str]) -> float | None:
    """Measure how well a tree agrees with known families.

    Args:
        tree: of the items.
        families: one per item.

    Returns:
        The correlation of the cophenetic distances with 0 for pairs of one family and 1 for other pairs; 1 where all
        families are separate subtrees of equal height, None where it isn't defined.
    """
    rows, columns = np.triu_indices(len(families), 1)
    names = np.asarray(families, dtype=object)
    return _correlation(tree.cophenetic[rows, columns], (names[rows] != names[columns]).astype(float))


@dataclass(frozen=True, slots=True)
class Map:
    """Items in the plane.

    Args:
        points: `[items, 2]`.
        share: of the distances' inertia that each of the two axes shows, in [0, 1].
    """

    points: np.ndarray
    share: tuple[float, float]


def embed(distances: np.ndarray, like: Map | None = None) -> Map:
    """Items in the plane so that their distances are kept as well as may be (classical scaling; Torgerson, 1952).

    Args:
        distances: symmetric `[items, items]`, zeros on the diagonal.
        like: a map of the same items to turn and mirror this one towards, so that layers can be compared by eye.
    """
    values = np.asarray(distances, dtype=float)
    items = len(values)
    centre = np.eye(items) - 1 / max(items, 1)
    eigenvalues, vectors = np.linalg.eigh(-0.5 * centre @ values**2 @ centre)
    order = np.argsort(eigenvalues)[::-1][:2]
    kept = np.clip(eigenvalues[order], 0, None)
    points = np.zeros((items, 2))
    points[:, : len(order)] = vectors[:, order] * np.sqrt(kept)
    points[np.abs(points) < 1e-9] = 0
    points = points * np.where(_first_sign(points) < 0, -1, 1)
    if like is not None and len(like.points) == items:
        left, _, right = np.linalg.svd(points.T @ like.points)
        points = points @ (left @ right)
    inertia = float(np.clip(eigenvalues, 0, None).sum())
    shares = [float(value) / inertia if inertia > 1e-12 else 0.0 for value in kept] + [0.0, 0.0]
    return Map(points, (shares[0], shares[1]))


def _first_sign(points: np.ndarray) -> np.ndarray:
    """The sign of the entry of each column that is furthest from 0: makes the axes' direction a fixed one."""
    if not len(points):
        return np.ones(points.shape[1])
    return points[np.abs(points).argmax(0), np.arange(points.shape[1])]


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    if len(first) < 2 or np.ptp(first) < 1e-12 or np.ptp(second) < 1e-12:
        return None
    return float(np.corrcoef(first, second)[0, 1])
