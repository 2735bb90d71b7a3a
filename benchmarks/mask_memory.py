"""Sizes of masks: in the file, in memory, and in the reference's format.

    python benchmarks/mask_memory.py

Two cases: 60 directions of mT-big with masks by direction, and 200 languages of a 24+24-layer model with FFN 8192
(the shape of NLLB-3.3B), English in the middle, with masks by language. File and memory are measured on random masks;
the reference's format, a boolean matrix of the shape of fc1's weight a direction and site, is computed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from machine import write_result
from neuronspec.neurons.masks import NeuronMasks

SELECTED = 0.65
CASES: dict[str, dict[str, Any]] = {
    "mT-big, 30 languages, by direction": {
        "languages": 30, "layers": 6, "ffn": 4096, "d_model": 1024, "by_language": False,
    },
    "24+24 layers, 200 languages, by language": {
        "languages": 199, "layers": 24, "ffn": 8192, "d_model": 2048, "by_language": True,
    },
}  # fmt: skip


def make_masks(languages: int, layers: int, ffn: int, by_language: bool) -> NeuronMasks:
    """Random masks of `languages` beside English, both ways."""
    generator = torch.Generator().manual_seed(0)

    def draw(side: str) -> dict[str, torch.Tensor]:
        return {f"{side}.{layer}": torch.rand(ffn, generator=generator) < SELECTED for layer in range(layers)}

    codes = [f"x{index}" for index in range(languages)]
    encoders = {code: draw("encoder") for code in ["en", *codes]}
    decoders = {code: draw("decoder") for code in ["en", *codes]}
    masks = {}
    for source, target in [*(("en", code) for code in codes), *((code, "en") for code in codes)]:
        encoder = encoders[source] if by_language else draw("encoder")
        masks[f"{source}-{target}"] = encoder | (decoders[target] if by_language else draw("decoder"))
    return NeuronMasks.from_dict(masks)


def measure(languages: int, layers: int, ffn: int, d_model: int, by_language: bool) -> dict[str, object]:
    masks = make_masks(languages, layers, ffn, by_language)
    distinct = {id(mask): mask.numel() * mask.element_size() for sites in masks.values() for mask in sites.values()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "masks.safetensors"
        masks.save(path)
        file_bytes = path.stat().st_size
        assert NeuronMasks.load(path) == masks
    places = len(masks) * 2 * layers
    reference = places * ffn * d_model
    return {
        "directions": len(masks),
        "sites": 2 * layers,
        "ffn": ffn,
        "distinct masks": len(distinct),
        "file bytes": file_bytes,
        "bits alone, bytes": len(distinct) * (ffn // 8),
        "memory bytes, one boolean a neuron": sum(distinct.values()),
        "reference bytes (computed)": reference,
        "reference / file": round(reference / file_bytes),
        "reference / memory": round(reference / sum(distinct.values())),
    }


if __name__ == "__main__":
    write_result("mask_memory", {"cases": {name: measure(**case) for name, case in CASES.items()}})
