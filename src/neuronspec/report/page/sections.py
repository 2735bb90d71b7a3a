"""The sections of figures that a report has, made from its numbers."""

from __future__ import annotations

from html import escape
from itertools import combinations

from neuronspec.report.colors import arm_colors
from neuronspec.report.data import ReportData
from neuronspec.report.figures import by_layer as layers
from neuronspec.report.figures import structure
from neuronspec.report.numbers import Numbers, SiteNumbers
from neuronspec.report.order import family_bounds, site_title
from neuronspec.report.page.beside import published_section
from neuronspec.report.page.blocks import Block, DataTable, Section, figure_block, frames_block, matrix, rounded
from neuronspec.report.page.causes import causal_blocks
from neuronspec.report.page.neuron_view import neuron_block
from neuronspec.report.page.outcomes import adaptation_section, checkpoint_section, gain_block
from neuronspec.report.page.summary import causes_told, neurons_told, structure_told
from neuronspec.report.series import SHARING

LAYERS = "Encoder layers compare the directions into the pivot, decoder layers those out of it."


def sections_of(data: ReportData, numbers: Numbers) -> list[Section]:
    """Of arms: adaptation, checkpoint; of neurons: overlap, structure, use, causes; what is published; training."""
    causes = data.findings.ablation if data.findings else []
    found = [
        adaptation_section(data),
        checkpoint_section(data),
        Section("overlap-section", "Overlap", "How much the feed-forward neurons of two directions are the same ones.",
                overlap_blocks(data, numbers), list(neurons_told(data, numbers))),
        Section("structure", "Structure", "Whether related languages use the same neurons.",
                structure_blocks(data, numbers), list(structure_told(numbers))),
        Section("neurons", "Neurons", "How many neurons do the work, for whom, and when they fire.",
                usage_blocks(data, numbers)),
        Section("causes", "Causes and checks",
                "Whether the neurons matter, and whether the masks would have been the same with other text or later.",
                causal_blocks(data), [sentence for ablation in causes for sentence in causes_told(ablation)]),
        published_section(data),
        Section("training", "Training", "", [_training(data)] if data.logs else []),
    ]  # fmt: skip
    return [section for section in found if section is not None and (section.blocks or section.tables)]


def lead_block(data: ReportData, numbers: Numbers) -> Block:
    """The chart that the page opens with: what the arms gain, or without results how neurons overlap."""
    return gain_block(data) or _progression(numbers)


def overlap_blocks(data: ReportData, numbers: Numbers) -> list[Block]:
    """The heatmap and, where the page doesn't open with it, the progression."""
    return [_heatmap(data, numbers), *([_progression(numbers)] if gain_block(data) else [])]


def _heatmap(data: ReportData, numbers: Numbers) -> Block:
    rows = [
        [site.title, site.names[a], site.names[b], rounded(site.iou[a, b]), rounded(site.chance[a, b]),
         rounded(site.above[a, b])]
        for site in numbers.sites for a, b in combinations(range(len(site.names)), 2)
    ]  # fmt: skip
    return Block(
        "overlap",
        "Overlap of the directions' neurons",
        f"Intersection over union (IoU) of the selected neurons at each feed-forward layer. {LAYERS} "
        "Above chance: 0 is what random sets of the same sizes share, 1 is identical. The colours span the values of "
        "all layers of the encoder or of the decoder.",
        "heatmap",
        {"sites": [_heatmap_site(data, site) for site in numbers.sites]},
        DataTable(["layer", "first", "second", "IoU", "chance", "above chance"], rows, 0),
    )


def _heatmap_site(data: ReportData, site: SiteNumbers) -> dict[str, object]:
    bounds = family_bounds(site.directions, data.pivot, data.families)
    return {
        "label": site.title,
        "side": site.side,
        "names": [escape(name, quote=False) for name in site.names],
        "codes": [escape(code, quote=False) for code in site.codes],
        "bounds": [[escape(name, quote=False), start, end] for name, start, end in bounds],
        "iou": matrix(site.iou),
        "chance": matrix(site.chance),
        "above": matrix(site.above),
        "orders": {kind: site.order(kind) for kind in ("family", "cluster", "name")},
    }


def _progression(numbers: Numbers) -> Block:
    rows = [
        [site_title(row.site), len(row.directions), rounded(row.mean), *map(rounded, row.quartiles or (None,) * 3),
         rounded(row.chance), rounded(row.above_chance)]
        for row in numbers.progression
    ]  # fmt: skip
    return figure_block(
        "progression",
        "Overlap over the layers",
        "Mean over all pairs, with the quartiles of the pairs as a band. Dotted: what random sets of the same sizes "
        "share. Rising: more language-agnostic; falling: more language-specific.",
        layers.progression_lines(numbers.progression),
        ["layer", "directions", "mean IoU", "25%", "median", "75%", "chance", "above chance"],
        rows,
    )


def structure_blocks(data: ReportData, numbers: Numbers) -> list[Block]:
    """Trees, maps, families, distances between languages."""
    sites = [site for site in numbers.sites if len(site.names) > 2]
    if not sites:
        return []
    blocks = [_trees(sites), _maps(sites)]
    if any(site.test.p is not None for site in sites):
        blocks.append(_families(sites))
    if any(site.mantel for site in sites):
        blocks.append(_uriel(sites))
    return blocks


def _trees(sites: list[SiteNumbers]) -> Block:
    return frames_block(
        "tree",
        "Tree of languages",
        "Hierarchical clustering (average linkage) of 1 - IoU; the colour of a leaf is its family. In the table: how "
        "well the tree keeps the distances (cophenetic correlation), and how well it agrees with the families "
        "(correlation of its distances with 0 within and 1 between families).",
        [(site.title, structure.tree_figure(site)) for site in sites],
        ["layer", "cophenetic correlation", "agreement with families", "order"],
        [
            [site.title, rounded(site.tree.cophenetic_correlation), rounded(site.agreement),
             ", ".join(site.codes[leaf] for leaf in site.tree.leaves)]
            for site in sites
        ],
    )  # fmt: skip


def _maps(sites: list[SiteNumbers]) -> Block:
    return frames_block(
        "map",
        "Map of languages",
        "The directions in the plane so that their distances 1 - IoU are kept as well as may be (classical "
        "scaling). Layers are turned towards the one before.",
        [(site.title, structure.map_figure(site)) for site in sites],
        ["layer", "language", "family", "x", "y"],
        [
            [site.title, name, site.families[at], rounded(site.plane.points[at, 0]), rounded(site.plane.points[at, 1])]
            for site in sites for at, name in enumerate(site.names)
        ],
    )  # fmt: skip


def _families(sites: list[SiteNumbers]) -> Block:
    families = sorted({family for site in sites for family in site.sizes})
    draws = max(site.test.permutations for site in sites)  # none where all directions of a layer are of one family
    return figure_block(
        "families",
        "Families",
        "Mean overlap (IoU) of two directions of one family, and of different families. For every direction the same "
        "number of its most active neurons is compared, as masks of like sizes overlap more, whatever their neurons. "
        f"Filled marks: the difference is significant (permutation test of {draws} draws, "
        "p < 0.05 after Holm's correction for the number of layers). The table also has the share of neurons that "
        "each family's masks select.",
        structure.family_lines(sites),
        ["layer", "neurons compared", "within", "between", "difference", "p", "p corrected",
         *(f"selected, {family}" for family in families)],
        [
            [site.title, site.compared, rounded(site.test.within), rounded(site.test.between),
             rounded(site.test.difference), rounded(site.test.p), rounded(site.adjusted),
             *(rounded(site.sizes.get(family)) for family in families)]
            for site in sites
        ],
    )  # fmt: skip


def _uriel(sites: list[SiteNumbers]) -> Block:
    kinds = list(sites[0].mantel)
    compared = sorted({site.mantel[kinds[0]].n for site in sites})  # encoder and decoder may have other languages
    languages = " to ".join(str(number) for number in dict.fromkeys((compared[0], compared[-1])))
    return figure_block(
        "uriel",
        "Distances between languages",
        "Correlation of 1 - overlap with distances between the languages in URIEL; for every direction the same "
        "number of its most active neurons is compared. Filled marks: above 0 "
        f"at p < 0.05 (Mantel test; over {languages} languages; not corrected for the number of tests).",
        structure.uriel_lines(sites),
        ["layer", *(f"{kind} {part}" for kind in kinds for part in ("r", "p"))],
        [
            [site.title, *(rounded(getattr(site.mantel[kind], part)) for kind in kinds for part in ("r", "p"))]
            for site in sites
        ],
    )


def usage_blocks(data: ReportData, numbers: Numbers) -> list[Block]:
    """Sparsity, sharing, coverage, and the neuron view."""
    blocks = [_sparsity(data, numbers), _sharing(numbers)]
    if numbers.curves:
        blocks.append(_curves(data, numbers))
    if numbers.effects:
        blocks.append(_effects(numbers))
    if data.activations is not None:
        blocks.append(neuron_block(data, numbers))
    return blocks


def _sparsity(data: ReportData, numbers: Numbers) -> Block:
    return figure_block(
        "sparsity",
        "Sparsity by layer",
        "Share of neurons that a direction leaves out; one point per direction.",
        layers.sparsity_by_layer(data.masks),
        ["direction", *map(site_title, data.masks.sites)],
        [[name, *(rounded(by_site[site]) for site in data.masks.sites)] for name, by_site in numbers.sparsity.items()],
    )


def _sharing(numbers: Numbers) -> Block:
    rows = [site.sharing for site in numbers.sites]
    return figure_block(
        "sharing",
        "Who uses a neuron",
        "Neurons selected in all directions; in several families, but not in all directions; in several directions "
        f"of one family; in one direction; in none. {LAYERS}",
        layers.sharing_bars(rows),
        ["layer", "neurons", *SHARING.values()],
        [[site_title(row.site), row.width, *(getattr(row, part) for part in SHARING)] for row in rows],
    )


def _curves(data: ReportData, numbers: Numbers) -> Block:
    coverage = data.masks.info.coverage
    what = "positive values" if data.statistic == "count" else "absolute values"
    return figure_block(
        "coverage",
        "Coverage",
        f"What share of the activation (sum of {what}) the most active neurons carry, mean over directions. Later "
        "layers have thicker lines. The dotted line is k.",
        layers.coverage_curves(numbers.curves, coverage if isinstance(coverage, float) else None),
        ["layer", "share of neurons", "share of activation", "least", "most"],
        [
            [site_title(curve.site), rounded(x), rounded(mean), rounded(low), rounded(high)]
            for curve in numbers.curves
            for x, mean, low, high in zip(curve.neurons, curve.mean, curve.low, curve.high, strict=True)
        ],
    )


def _effects(numbers: Numbers) -> Block:
    return figure_block(
        "effect",
        "The effect of k",
        "Masks selected from the same activations at other k: how sparse they are, and how much they overlap in the "
        "first and in the last layer.",
        layers.effect_of_coverage_lines(numbers.effects),
        ["k", "side", "sparsity", "IoU, first layer", "chance", "IoU, last layer", "chance, last layer"],
        [
            [e.coverage, e.side, rounded(e.sparsity), rounded(e.first), rounded(e.first_chance), rounded(e.last),
             rounded(e.last_chance)]
            for e in numbers.effects
        ],
    )  # fmt: skip


def _training(data: ReportData) -> Block:
    return figure_block(
        "curves",
        "Validation loss",
        "Mean over directions. The arms continue from the baseline's best checkpoint with a fresh optimizer.",
        layers.training_curves(data.logs, arm_colors(data.arms)),
        ["training", "update", "loss"],
        [
            [name, line["update"], rounded(line["loss"])]
            for name, lines in data.logs.items()
            for line in lines
            if line.get("kind") == "validation"
        ],
    )
