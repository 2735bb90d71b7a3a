"""The fingerprint: the same for the same neurons, another for others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.families import build_family

from neuronspec.models.fingerprint import model_fingerprint
from neuronspec.models.sites import find_ffn_sites


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "gpt2"])
def test_survives_saving_wrapping_and_widening(family: str, tmp_path: Path) -> None:
    model = build_family(family, dtype=torch.bfloat16)
    expected = model_fingerprint(model)
    assert len(expected) == 32
    model.save_pretrained(tmp_path)
    assert model_fingerprint(type(model).from_pretrained(tmp_path)) == expected
    assert model_fingerprint(torch.compile(model, backend="eager")) == expected
    assert model_fingerprint(model.float()) == expected
    assert model_fingerprint(build_family(family, dtype=torch.bfloat16)) == expected


def test_tells_models_apart() -> None:
    model = build_family("m2m100")
    seen = {model_fingerprint(model), model_fingerprint(build_family("m2m100", seed=1)),
            model_fingerprint(build_family("pegasus"))}  # fmt: skip
    for site in find_ffn_sites(model):
        for parameter in (site.ups[0].weight, site.ups[0].bias, site.down.weight, site.down.bias):
            with torch.no_grad():
                parameter.view(-1)[0] += 0.25
            seen.add(model_fingerprint(model))
    assert len(seen) == 3 + 4 * 5


def test_other_parameters_do_not_matter() -> None:
    model = build_family("m2m100")
    expected = model_fingerprint(model)
    with torch.no_grad():
        model.model.shared.weight.add_(1.0)
    assert model_fingerprint(model) == expected
