"""Trees and maps of constructed overlaps have known shapes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neuronspec.analysis.overlap import overlap
from neuronspec.analysis.structure import branches, cluster, embed, tree_agreement
from neuronspec.neurons.masks import NeuronMasks

FAMILIES = ["x", "y", "x", "y"]
# two families: 0.2 apart within, 0.8 between
TWO = np.array([[0, 0.8, 0.2, 0.8], [0.8, 0, 0.8, 0.2], [0.2, 0.8, 0, 0.8], [0.8, 0.2, 0.8, 0]])


def test_two_families_are_two_subtrees() -> None:
    tree = cluster(TWO)
    leaves = [FAMILIES[leaf] for leaf in tree.leaves]
    assert leaves in (["x", "x", "y", "y"], ["y", "y", "x", "x"])
    np.testing.assert_allclose(tree.cophenetic, TWO)
    assert tree.cophenetic_correlation == pytest.approx(1.0)
    assert tree_agreement(tree, FAMILIES) == pytest.approx(1.0)
    assert tree_agreement(tree, ["x", "x", "y", "y"]) == pytest.approx(-0.5)
    tops = [heights[1] for _, heights in branches(tree)]
    assert sorted(tops) == pytest.approx([0.2, 0.2, 0.8])
    (left, _, right, _), (foot, top, _, other) = branches(tree)[-1]
    assert {left, right} == {0.5, 2.5} and (foot, top, other) == pytest.approx((0.2, 0.8, 0.2))


def test_equal_and_single_items_have_no_correlation() -> None:
    tree = cluster(np.zeros((3, 3)))
    assert tree.cophenetic_correlation is None and tree_agreement(tree, ["x", "x", "y"]) is None
    assert cluster(np.zeros((1, 1))).leaves == (0,)
    assert branches(cluster(np.zeros((1, 1)))) == []


def test_a_map_keeps_distances_in_the_plane() -> None:
    points = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [-1.0, 2.0]])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    found = embed(distances)
    np.testing.assert_allclose(np.linalg.norm(found.points[:, None] - found.points[None], axis=2), distances, atol=1e-9)
    assert sum(found.share) == pytest.approx(1.0)


def test_a_map_is_turned_towards_another() -> None:
    points = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [-1.0, 2.0]])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    first = embed(distances)
    turned = type(first)(first.points @ np.array([[0.0, -1.0], [1.0, 0.0]]), first.share)
    np.testing.assert_allclose(embed(distances, like=turned).points, turned.points, atol=1e-9)


def test_identical_masks_are_one_point() -> None:
    mask = torch.tensor([True, False, True])
    masks = NeuronMasks.from_dict({f"en-{code}": {"decoder.0": mask} for code in ("de", "fr", "nl")})
    found = embed(1 - overlap(masks, "decoder.0").numpy())
    assert not found.points.any() and found.share == (0.0, 0.0)
