"""Models in half precision, among them T5's, whose `wo` stays float32 where the others are float16."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import naive, random_masks

from neuronspec.models.load import load_model
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("family", ["m2m100", "marian", "t5", "t5-gated", "mt5", "llama", "qwen3", "gemma2"])
@torch.no_grad()
def test_masked_layers_compute_what_masked_weights_do(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    build_family(family).save_pretrained(tmp_path)
    model = load_model(tmp_path, dtype=dtype)
    kept = torch.float32 if "t5" in family and dtype == torch.float16 else dtype
    assert {site.down.weight.dtype for site in find_ffn_sites(model)} == {kept}
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = naive(model, masks["en-de"], "weight", inputs).logits
    for method in ("rows", "compact"):
        specialize(model, masks, method=method)
        with use_direction(model, "en-de"):
            found = model(**inputs).logits
        unspecialize(model)
        if method == "rows":
            assert torch.equal(found, expected)
        # sums of fewer terms round otherwise, and an element of the largest is known to a part in 2^8 or 2^11
        assert (found - expected).abs().max() <= 8 * torch.finfo(dtype).eps * expected.abs().max()
