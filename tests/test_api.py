"""The public names."""

from __future__ import annotations

import inspect
import subprocess
import sys

import neuronspec as ns


def test_every_public_name_is_there() -> None:
    assert [name for name in ns.__all__ if not hasattr(ns, name)] == []
    assert set(ns.__all__) <= set(dir(ns))


def test_specialize_is_the_function_whatever_was_imported_before() -> None:
    code = """
import neuronspec as ns
from neuronspec.specialization.scope import use_direction
import neuronspec.specialization.save
import inspect
assert inspect.isfunction(ns.specialize), ns.specialize
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert list(inspect.signature(ns.specialize).parameters)[:3] == ["model", "masks", "semantics"]


def test_report_is_a_public_folder() -> None:
    code = """
import neuronspec as ns
import torch
rows = {f"en-{code}": {"decoder.0": torch.arange(9) > i} for i, code in enumerate(["de", "fr"])}
masks = ns.NeuronMasks.from_dict(rows)
figure = ns.report.figures.overlap_heatmap(masks, site="decoder.0", order="family")
assert type(figure).__name__ == "Figure", figure
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
