"""A finished run made up in memory: masks with family structure, plausible scores, logs, samples."""

from __future__ import annotations

import random
from typing import Any

import torch

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.drift import StabilityRow
from neuronspec.analysis.findings import DriftSummary, Findings
from neuronspec.analysis.tokens import Firing
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.samples import Sample
from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.data import ReportData

FAMILIES = {
    "Germanic": ["de", "nl", "da", "sv", "nb", "af"],
    "Romance": ["es", "fr", "it", "pt_BR", "ro", "ca"],
    "Slavic": ["ru", "uk", "pl", "cs", "bg"],
    "Indo-Aryan": ["hi", "bn", "mr"],
    "Turkic": ["tr", "az"],
    "Semitic": ["ar", "he", "mt"],
}
FAMILY_OF = {code: family for family, codes in FAMILIES.items() for code in codes}
ARMS = {"copy": 0.0, "base": 1.0, "specialized": 1.6, "dense": 1.3, "random": 1.1}
HOSTILE = """</script><script>alert("x")</script> & 'quoted' <b>bold</b> {{ 7 * 7 }}"""


def family_masks(
    families: dict[str, list[str]] = FAMILIES, layers: int = 3, width: int = 512, seed: int = 0
) -> NeuronMasks:
    """Masks of both directions of every language; families grow apart in the decoder, and together in the encoder."""
    generator = torch.Generator().manual_seed(seed)

    def drawn() -> torch.Tensor:
        return torch.randn(width, generator=generator)

    masks: dict[str, dict[str, torch.Tensor]] = {}
    for side in ("encoder", "decoder"):
        for layer in range(layers):
            shared = drawn()
            own = (0.8 - 0.2 * layer) if side == "encoder" else (0.4 + 0.4 * layer)
            for codes in families.values():
                common = drawn()
                for code in codes:
                    score = shared + own * common + 0.5 * own * drawn()
                    keep = score > torch.quantile(score, 0.3 + 0.05 * layer)
                    for direction in (f"en-{code}", f"{code}-en"):
                        masks.setdefault(direction, {})[f"{side}.{layer}"] = keep
    return NeuronMasks.from_dict(masks)


def fake_results(families: dict[str, list[str]] = FAMILIES, seed: int = 0) -> dict[str, Any]:
    """What `results.json` of such a run would hold; the third tier is harder."""
    draw = random.Random(seed)
    codes = [code for members in families.values() for code in members]
    third = -(-len(codes) // 3)
    tiers = {tier: codes[index * third : (index + 1) * third] for index, tier in enumerate(("high", "medium", "low"))}
    arms: dict[str, dict[str, Any]] = {arm: {} for arm in ARMS}
    for tier, members in enumerate(tiers.values()):
        for code in members:
            for direction in (f"en-{code}", f"{code}-en"):
                level = draw.gauss(48 - 6 * tier, 3)
                for arm, gain in ARMS.items():
                    chrf = level + 3 * gain + draw.gauss(0, 0.4) if arm != "copy" else draw.gauss(14, 3)
                    loss = None if arm == "copy" else 3.4 + 0.2 * tier - 0.1 * gain + draw.gauss(0, 0.02)
                    arms[arm][direction] = {"bleu": chrf / 2, "chrf++": chrf, "loss": loss, "n": 100, "truncated": 0}
    names = sorted(arms["base"])
    return {
        "arms": arms,
        "signatures": {"bleu": dict.fromkeys(names, "nrefs:1|tok:13a"), "chrf++": dict.fromkeys(names, "nrefs:1|nw:2")},
        "environment": {"python": "3.11.2", "torch": "2.13.0", "processor": "Imaginary CPU", "threads": 2},
        "recipe": "fake",
        "pivot": "en",
        "tiers": tiers,
        "families": {code: family for family, members in families.items() for code in members},
    }


def changed(results: Results | None, **changes: Any) -> Results:
    """The same results with other top-level entries."""
    assert results is not None
    return Results.model_validate(results.to_json() | changes)


def fake_log(start: float, updates: int) -> list[dict[str, Any]]:
    """Lines as training writes them."""
    lines: list[dict[str, Any]] = [{"kind": "start", "update": 0, "seconds": 0.0, "device": "cpu"}]
    for update in range(20, updates + 1, 20):
        loss = start - 1.2 * update / (update + 150)
        lines.append({"kind": "training", "update": update, "seconds": update * 0.5, "loss": loss + 1, "nll": loss})
        if update % 100 == 0:
            lines.append({"kind": "validation", "update": update, "seconds": update * 0.5, "loss": loss + 0.1,
                          "losses": {"en-de": loss}, "best": True})  # fmt: skip
    return [*lines, {"kind": "end", "update": updates, "seconds": updates * 0.5, "best_update": updates}]


def fake_activations(masks: NeuronMasks, seed: int = 0, tokens: int = 1000) -> Activations:
    """Activations in which selected neurons fire more often than the others."""
    generator = torch.Generator().manual_seed(seed)
    counts = {
        name: {
            site: (tokens * (0.1 + 0.5 * mask) * torch.rand(len(mask), generator=generator)).long()
            for site, mask in sites.items()
        }
        for name, sites in masks.items()
    }
    sites = tuple(
        SiteInfo(name=site, width=width, activation="ReLU", gated=False, keeps_sign=True)
        for site, width in masks.widths.items()
    )
    magnitudes = {name: {site: row.double() for site, row in by_site.items()} for name, by_site in counts.items()}
    return Activations(
        RecordingInfo(sites=sites, fingerprint="f" * 32),
        counts,
        magnitudes,
        {name: dict.fromkeys(masks.sites, tokens) for name in masks},
    )


def fake_findings(masks: NeuronMasks, text: str = "the token") -> Findings:
    """What an analysis would have found: own neurons cost most."""
    columns = list(masks)
    out = [name for name in columns if name.startswith("en-")]
    dense = [2.0] * len(columns)
    loss = [[2.5 if column == row else 2.1 for column in columns] for row in out]
    site = masks.sites[-1]
    return Findings(
        ablation=[Ablation("decoder", {site: 25}, out, columns, dense, loss, [[2.05] * len(columns)] * 2, 20)],
        featured={name: {"shared by all": [1], "one family": [2], "one language": [3]} for name in masks.sites},
        tokens={site: {3: [Firing(text, 1.5, out[0], "before ", " after")]}},
        drift=[
            DriftSummary(arm, dict.fromkeys(masks.sites, 0.9), dict.fromkeys(masks.sites, 0.95))
            for arm in ("specialized", "dense")
        ],
        stability=[
            StabilityRow(share, seed, 100 * share, name, 0.8 + share / 10, 0.7 + share / 10)
            for share in (0.1, 0.5)
            for seed in (0, 1)
            for name in masks.sites
        ],
    )


def fake_run(
    families: dict[str, list[str]] = FAMILIES, *, hostile: bool = False, layers: int = 3, width: int = 512
) -> ReportData:
    """Everything that a report is drawn from; `hostile` puts markup where text of the corpus goes."""
    source = HOSTILE if hostile else "The site administrator can change these settings at any time."
    results = fake_results(families)
    samples = [
        Sample(
            direction,
            source,
            f"Reference into {direction.partition('-')[2]}: {source}",
            {arm: f"{arm} says {source}" for arm in ARMS if arm != "copy"},
        )
        for direction in sorted(results["arms"]["base"])
        for _ in range(2)
    ]
    masks = family_masks(families, layers=layers, width=width)
    return ReportData(
        name="fake",
        masks=masks,
        pivot="en",
        families=results["families"],
        environment=results["environment"],
        activations=fake_activations(masks),
        findings=fake_findings(masks, HOSTILE if hostile else "the token"),
        results=Results.model_validate(results),
        logs={"base": fake_log(6.0, 1000), **{arm: fake_log(4.7, 300) for arm in ("specialized", "dense", "random")}},
        samples=samples,
        recipe=f"name: fake\n# {source}\n",
    )
