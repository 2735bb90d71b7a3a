"""All numbers about masks that the report, its figures and its summary show, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from neuronspec.analysis.coverage import CoverageCurve, CoverageEffect, coverage_curve, effect_of_coverage
from neuronspec.analysis.overlap import (
    LayerOverlap,
    above_chance,
    chance_overlap,
    most_active_overlap,
    other_language,
    overlap,
    overlap_progression,
    selected_rows,
    sparsity_table,
)
from neuronspec.analysis.permutation import FamilyTest, MantelTest, family_test, mantel_test
from neuronspec.analysis.sharing import SharingRow, sharing_row
from neuronspec.analysis.structure import Map, Tree, cluster, embed, tree_agreement
from neuronspec.core.direction import Direction
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.settings import Statistic
from neuronspec.report.order import family, labels, ordered, shown_directions, site_title
from neuronspec.scoring.resampling import holm

PERMUTATIONS = 1999


@dataclass(frozen=True)
class SiteNumbers:
    """One site: the directions compared there, ordered by family and name, and everything about their masks.

    Args:
        site, title: `decoder.0`, `decoder 1`.
        directions, names, codes, families: one per direction.
        iou, chance, above: `[directions, directions]`.
        tree, plane: clustering and map of 1 - IoU.
        agreement: of the tree with the families.
        sizes: by family, the mean share of neurons that its masks select.
        compared: how many of each direction's most active neurons `test` and `mantel` compare, the same for all:
            families whose masks are alike in size alone would otherwise be a finding. 0 without activations.
        test: of within-family against between-family overlap of these neurons.
        adjusted: its p-value, corrected for the number of sites (Holm).
        mantel: of 1 - that overlap with each kind of URIEL distance; empty without lang2vec or activations.
        sharing: who uses the neurons.
    """

    site: str
    title: str
    directions: list[Direction]
    names: list[str]
    codes: list[str]
    families: list[str]
    iou: np.ndarray
    chance: np.ndarray
    above: np.ndarray
    tree: Tree
    plane: Map
    agreement: float | None
    sizes: dict[str, float]
    compared: int
    test: FamilyTest
    adjusted: float | None
    mantel: dict[str, MantelTest]
    sharing: SharingRow

    @property
    def side(self) -> str:
        """`encoder`, `decoder`, or `layers` of a decoder-only model."""
        return self.site.partition(".")[0]

    @property
    def layer(self) -> int:
        """Counted from 1."""
        return int(self.site.partition(".")[2]) + 1

    def order(self, kind: str) -> list[int]:
        """Indices by `family` (as they are), `cluster` or `name`."""
        if kind == "cluster":
            return list(self.tree.leaves)
        everything = range(len(self.names))
        return list(everything) if kind == "family" else sorted(everything, key=lambda index: self.names[index])


@dataclass(frozen=True)
class Numbers:
    """All sites, and what compares them.

    Args:
        sites: in the model's order.
        progression: mean IoU by site.
        sparsity: by direction and site.
        curves: of coverage, by site; empty without activations.
        effects: of k; empty without activations or a pivot.
        uriel: why there are no distances of URIEL; empty if there are.
    """

    sites: list[SiteNumbers]
    progression: list[LayerOverlap]
    sparsity: dict[str, dict[str, float]]
    curves: list[CoverageCurve]
    effects: list[CoverageEffect]
    uriel: str

    def of(self, side: str) -> list[SiteNumbers]:
        """The sites of a side."""
        return [numbers for numbers in self.sites if numbers.side == side]

    @property
    def sides(self) -> list[str]:
        """In the model's order."""
        return list(dict.fromkeys(numbers.side for numbers in self.sites))


def compute(
    masks: NeuronMasks,
    pivot: str | None,
    families: Mapping[str, str],
    activations: Activations | None = None,
    statistic: Statistic = "count",
) -> Numbers:
    """All numbers of masks, and of the activations that they were selected from."""
    distances, why_not = _uriel(masks, pivot)
    sites: list[SiteNumbers] = []
    for site in masks.sites:
        before = sites[-1].plane if sites and sites[-1].side == site.partition(".")[0] else None
        recorded = Recorded(activations, statistic) if activations else None
        sites.append(site_numbers(masks, site, pivot, families, before, distances, recorded))
    _adjust(sites)
    chosen = {numbers.site: numbers.directions for numbers in sites}
    curves = (
        [coverage_curve(activations, site, chosen[site], statistic=statistic) for site in masks.sites]
        if activations
        else []
    )
    effects = []
    if activations and pivot:
        granularity = masks.info.granularity or "direction"
        effects = effect_of_coverage(
            activations, pivot, statistic=statistic, granularity=granularity, families=families
        )
    return Numbers(sites, overlap_progression(masks, pivot or ""), sparsity_table(masks), curves, effects, why_not)


@dataclass(frozen=True)
class Recorded:
    """Recorded activations, and the statistic that says how active a neuron is."""

    activations: Activations
    statistic: Statistic


Distances = Mapping[str, Mapping[tuple[str, str], float]]


def site_numbers(
    masks: NeuronMasks,
    site: str,
    pivot: str | None,
    families: Mapping[str, str],
    like: Map | None = None,
    distances: Distances | None = None,
    recorded: Recorded | None = None,
) -> SiteNumbers:
    """The numbers of one site.

    Args:
        masks: the selected neurons.
        site: `encoder.N`, `decoder.N` or `layers.N`.
        pivot: the language in the middle; None shows all directions.
        families: by language, where it isn't the built-in table's.
        like: a map to turn this site's towards.
        distances: by kind and pair of languages, to compare with.
        recorded: what the masks were selected from; without it, families and distances are not tested.

    Raises:
        MaskError: no such site.
    """
    directions = ordered(shown_directions(masks, site, pivot), "family", pivot, families)
    codes = [other_language(direction, pivot) for direction in directions]
    groups = [family(code, families) for code in codes]
    measured, chance = overlap(masks, site, directions), chance_overlap(masks, site, directions)
    iou, above = measured.numpy(), above_chance(measured, chance).numpy()
    tree = cluster(1 - iou)
    shares = selected_rows(masks, site, directions).double().mean(1).tolist()
    compared = max(1, round(sum(shares) / len(shares) * masks.widths[site])) if recorded else 0
    test, mantel = _tests(recorded, site, directions, compared, groups, codes, distances or {})
    return SiteNumbers(
        site,
        site_title(site),
        directions,
        labels(directions, pivot),
        codes,
        groups,
        iou,
        chance.numpy(),
        above,
        tree,
        embed(1 - iou, like),
        tree_agreement(tree, groups),
        _mean_by(groups, shares),
        compared,
        test,
        None,
        mantel,
        sharing_row(masks, site, directions, groups),
    )


def _tests(
    recorded: Recorded | None,
    site: str,
    directions: Sequence[Direction],
    compared: int,
    groups: Sequence[str],
    codes: Sequence[str],
    distances: Distances,
) -> tuple[FamilyTest, dict[str, MantelTest]]:
    """The tests on the directions' most active neurons, as many for each."""
    if recorded is None:
        return FamilyTest(None, None, None, 0), {}
    alike = most_active_overlap(recorded.activations, site, directions, compared, recorded.statistic).numpy()
    test = family_test(alike, groups, permutations=PERMUTATIONS)
    return test, {kind: _mantel(alike, codes, table) for kind, table in distances.items()}


def _mean_by(groups: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """The mean of the values of each group."""
    members = {group: [v for g, v in zip(groups, values, strict=True) if g == group] for group in groups}
    return {group: sum(own) / len(own) for group, own in members.items()}


def _adjust(sites: list[SiteNumbers]) -> None:
    """Correct the families' p-values for the number of sites that were tested."""
    adjusted = holm({index: numbers.test.p for index, numbers in enumerate(sites) if numbers.test.p is not None})
    for index, p in adjusted.items():
        sites[index] = replace(sites[index], adjusted=p)


def _uriel(masks: NeuronMasks, pivot: str | None) -> tuple[dict[str, dict[tuple[str, str], float]], str]:
    """By kind, the distance of every two languages that URIEL has, and why there is none."""
    from neuronspec.analysis import uriel

    if not uriel.available():
        return {}, "lang2vec is not installed: pip install 'neuronspec[linguistics]'"
    codes = uriel.known_languages(sorted({other_language(direction, pivot) for direction in masks.directions}))
    if len(codes) < 4:
        return {}, f"URIEL knows {len(codes)} of these languages; a comparison needs four"
    tables = uriel.uriel_distances(codes)
    return {
        kind: {(a, b): float(table[i, j]) for i, a in enumerate(codes) for j, b in enumerate(codes)}
        for kind, table in tables.items()
    }, ""


def _mantel(alike: np.ndarray, codes: Sequence[str], table: Mapping[tuple[str, str], float]) -> MantelTest:
    """Of 1 - overlap with URIEL's distances, over the languages that it has."""
    known = [index for index, code in enumerate(codes) if (code, code) in table]
    other = np.array([[table[codes[a], codes[b]] for b in known] for a in known]).reshape(len(known), len(known))
    return mantel_test(1 - alike[np.ix_(known, known)], other, permutations=PERMUTATIONS)
