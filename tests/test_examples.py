"""The examples in the docstrings of the public names run, and give what they say.

Besides what an example makes itself, it may use `ns`, `torch`, `model` (a small encoder-decoder model), `batches` (text
of en-de and de-en as `ns.Batch`), `acts` and `masks` (recorded and selected from these) and `folder` (an empty one).
"""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

import neuronspec as ns
from tests.helpers.families import build_family, padded_inputs

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PUBLIC = [name for name in ns.__all__ if inspect.isclass(getattr(ns, name)) or inspect.isfunction(getattr(ns, name))]
WITH_EXAMPLE = {
    "Activations", "CumulativeActivation", "Difference", "Exclusive", "LAPE", "MutualInformation", "NeuronMasks",
    "Random", "TopFraction", "Union", "WeightMagnitude", "compact", "load", "load_compact", "overlap",
    "record_activations", "save_compact", "save_specialized", "select_neurons", "specialize", "unspecialize",
    "use_direction", "use_directions",
}  # fmt: skip
"""What must have one; others may."""


def names(folder: Path) -> dict[str, Any]:
    model = build_family("m2m100")
    batches = [ns.Batch(direction, padded_inputs(model)) for direction in ("en-de", "de-en")]
    acts = ns.record_activations(model, batches)
    masks = ns.select_neurons(acts, ns.CumulativeActivation(0.9))
    return {
        "ns": ns, "torch": torch, "model": model, "batches": batches, "acts": acts, "masks": masks, "folder": folder,
    }  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_examples_run(name: str, tmp_path: Path) -> None:
    found = doctest.DocTestFinder().find(getattr(ns, name), name, globs={})
    examples = [test for test in found if test.examples]
    assert examples or name not in WITH_EXAMPLE, f"the docstring of {name} has no example"
    for test in examples:
        report: list[str] = []
        test.globs = names(tmp_path)
        doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
        assert not report, "".join(report)
