"""How long analysis and report take for 30 languages, 12 sites and 1024 neurons a site, both directions.

    python benchmarks/report_scale.py [--threads 2]

The masks have family structure (6 families of 5), activations are made up to fit; every analysis that needs no model
is made, with 1999 permutations a test. Nothing is read from disk but the page's own files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from machine import write_result
from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.data import ReportData
from neuronspec.report.numbers import compute
from neuronspec.report.page.html import render
from neuronspec.report.paper.write import write_figures

FAMILIES = {
    "Germanic": "de nl sv da af", "Romance": "fr es it pt ro", "Slavic": "ru cs pl bg uk",
    "Indo-Aryan": "hi bn mr sd gu", "Semitic": "ar he mt am ti", "Uralic": "fi hu et se kv",
}  # fmt: skip
LAYERS, WIDTH, TOKENS = 6, 1024, 5000


def make_data() -> ReportData:
    """Masks in which families share neurons, and activations that fit."""
    generator = torch.Generator().manual_seed(0)
    family_of = {code: name for name, codes in FAMILIES.items() for code in codes.split()}
    masks: dict[str, dict[str, torch.Tensor]] = {}
    counts: dict[str, dict[str, torch.Tensor]] = {}
    for site in [f"{side}.{layer}" for side in ("encoder", "decoder") for layer in range(LAYERS)]:
        shared = torch.randn(WIDTH, generator=generator)
        common = {name: torch.randn(WIDTH, generator=generator) for name in FAMILIES}
        for code, family in family_of.items():
            for direction in (f"en-{code}", f"{code}-en"):
                score = shared + common[family] + torch.randn(WIDTH, generator=generator)
                masks.setdefault(direction, {})[site] = score > score.quantile(0.4)
                counts.setdefault(direction, {})[site] = (TOKENS * torch.sigmoid(score)).long()
    sites = tuple(
        SiteInfo(name=site, width=WIDTH, activation="ReLU", gated=False, keeps_sign=True) for site in masks["en-de"]
    )
    magnitudes = {name: {site: row.double() for site, row in by_site.items()} for name, by_site in counts.items()}
    tokens = {name: dict.fromkeys(by_site, TOKENS) for name, by_site in counts.items()}
    activations = Activations(RecordingInfo(sites=sites, fingerprint="0" * 32), counts, magnitudes, tokens)
    return ReportData("scale", NeuronMasks.from_dict(masks), "en", family_of, {}, activations)


def measure(data: ReportData) -> dict[str, float]:
    """Seconds of each step, and the size of the page."""
    seconds = {}
    start = time.perf_counter()
    numbers = compute(data.masks, data.pivot, data.families, data.activations)
    seconds["analysis seconds"] = time.perf_counter() - start
    page = render(data, numbers)
    seconds["report seconds"] = time.perf_counter() - start - seconds["analysis seconds"]
    seconds["total seconds"] = time.perf_counter() - start
    return seconds | {"page megabytes": len(page.encode()) / 1e6}


def main() -> None:
    """Measure three times after a warm-up; the result has medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    data = make_data()
    first = measure(data)
    runs = [measure(data) for _ in range(3)]
    result: dict[str, Any] = {name: round(median(run[name] for run in runs), 2) for name in first}
    result["total seconds, first time (with imports)"] = round(first["total seconds"], 2)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        files = write_figures(data, Path(folder))
        result[f"vector figures ({len(files)} files), seconds"] = round(time.perf_counter() - start, 2)
    shape = {"languages": 30, "directions": len(data.masks), "sites": 2 * LAYERS, "neurons a site": WIDTH}
    write_result("report_scale", {"shape": shape, **result})


if __name__ == "__main__":
    main()
