"""The tokens that fire a neuron, against values looked up in a plain forward pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import PAD, build_family, padded_inputs

from neuronspec.analysis.examine import firings
from neuronspec.analysis.tokens import top_tokens
from neuronspec.core.direction import Direction
from neuronspec.core.errors import MaskError
from neuronspec.models.batch import Batch
from neuronspec.models.sites import find_ffn_sites


class Letters:
    """A tokenizer of 50 letters."""

    def convert_ids_to_tokens(self, token: int) -> str:
        return f"\u2581t{token}"

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return " ".join(f"t{token}" for token in ids if not (skip_special_tokens and token == PAD))


def values_of(model: Any, site: str, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The input of `down` at a site: `[batch, time, width]`."""
    seen: list[torch.Tensor] = []
    found = next(item for item in find_ffn_sites(model) if item.name == site)
    handle = found.down.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.no_grad():
        model(**inputs)
    handle.remove()
    return seen[0].reshape(*inputs["decoder_input_ids" if site.startswith("decoder") else "input_ids"].shape, -1)


@pytest.mark.parametrize(("family", "site"), [("m2m100", "encoder.1"), ("m2m100", "decoder.0"), ("llama", "layers.2")])
def test_firings_are_the_greatest_values_of_real_tokens(family: str, site: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    found = top_tokens(model, [Batch("en-de", inputs)], {site: [3, 7]}, Letters(), number=4)
    decoder = site.startswith("decoder")
    ids = inputs["decoder_input_ids" if decoder else "input_ids"]
    real = inputs["decoder_attention_mask" if decoder else "attention_mask"] == 1
    for neuron in (3, 7):
        values = values_of(model, site, inputs)[..., neuron]
        best: dict[str, float] = {}
        for token, value, counts in zip(ids.flatten(), values.flatten(), real.flatten(), strict=True):
            if counts and value > 0:
                best[f"t{int(token)}"] = max(best.get(f"t{int(token)}", 0.0), float(value))
        expected = sorted(best.items(), key=lambda item: -item[1])[:4]
        firings = found[site][neuron]
        assert [firing.token for firing in firings] == [token for token, _ in expected]
        assert [firing.value for firing in firings] == pytest.approx([value for _, value in expected], abs=1e-3)
        assert all(firing.direction == "en-de" for firing in firings)


def test_the_context_stands_around_the_token() -> None:
    model = build_family("m2m100")
    ids = torch.tensor([[5, 6, 7, 8]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "decoder_input_ids": ids, "labels": ids}
    found = top_tokens(model, [Batch("en-de", inputs)], {"encoder.0": list(range(12))}, Letters())
    texts = {
        firing.before + firing.token + firing.after for firings in found["encoder.0"].values() for firing in firings
    }
    assert texts == {"t5 t6 t7 t8"}


def test_unknown_sites_and_neurons_are_errors() -> None:
    model = build_family("m2m100")
    with pytest.raises(MaskError, match=r"no FFN site 'encoder.9'; did you mean"):
        top_tokens(model, [], {"encoder.9": [0]}, Letters())
    with pytest.raises(MaskError, match="neurons 0 to 11, not 12"):
        top_tokens(model, [], {"encoder.0": [12]}, Letters())


def test_tokens_are_of_the_directions_that_a_site_is_compared_in() -> None:
    model = build_family("m2m100")
    directions = [Direction.parse(name) for name in ("de-en", "en-de", "en-fr", "fr-en")]
    batches = {str(name): [Batch(name, padded_inputs(model, seed=seed))] for seed, name in enumerate(directions)}
    featured = {site: {"one language": list(range(12))} for site in ("encoder.0", "decoder.0")}
    found = firings(model, Letters(), batches, featured, directions, "en")
    seen = {site: {one.direction for some in found[site].values() for one in some} for site in featured}
    assert seen == {"encoder.0": {"de-en", "fr-en"}, "decoder.0": {"en-de", "en-fr"}}
