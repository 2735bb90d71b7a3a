"""Models that accelerate spreads over main memory and the disk: recorded, measured and ablated as whole ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs

from neuronspec.analysis.ablation import ablate
from neuronspec.analysis.tokens import top_tokens
from neuronspec.core.errors import ModelError
from neuronspec.models.batch import Batch
from neuronspec.models.dispatch import is_dispatched
from neuronspec.models.load import load_model
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.recording import record_activations
from neuronspec.specialization.apply import specialize
from neuronspec.training.loss import batch_loss

ON_DISK = {"m2m100": "model.encoder.layers.1", "t5": "decoder.block.0", "llama": "model.layers.1",
           "gemma2": "model.layers.0", "marian": "model.decoder.layers.2"}  # fmt: skip


def device_map(model: torch.nn.Module, on_disk: str) -> dict[str, str]:
    """All modules without children of the same name, in main memory, and one layer on the disk."""
    names = {name for name, module in model.named_modules() if name and not list(module.children())}
    names |= {name for name, _ in model.named_buffers(recurse=False)}
    return {name: "cpu" for name in names if not name.startswith(f"{on_disk}.")} | {on_disk: "disk"}


class Words:
    """A tokenizer that knows numbers."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return " ".join(map(str, ids))

    def convert_ids_to_tokens(self, number: int) -> str:
        return str(number)


@pytest.mark.filterwarnings("ignore:The following device_map keys")
@pytest.mark.parametrize("family", ON_DISK)
def test_it_gives_what_the_whole_model_gives(family: str, tmp_path: Path) -> None:
    build_family(family).save_pretrained(tmp_path)
    whole = load_model(tmp_path)
    spread = load_model(tmp_path, device_map=device_map(whole, ON_DISK[family]))
    assert is_dispatched(spread) and not is_dispatched(whole)
    assert "meta" in {parameter.device.type for parameter in spread.parameters()}
    batches = [Batch("en-de", padded_inputs(whole)), Batch("de-en", padded_inputs(whole, seed=5))]
    expected, found = record_activations(whole, batches), record_activations(spread, batches)
    assert found.info == expected.info, "the fingerprint too"
    for name in expected.counts:
        for site in expected.sites:
            assert torch.equal(found.counts[name][site], expected.counts[name][site])
            assert torch.allclose(found.magnitudes[name][site], expected.magnitudes[name][site])
    site = find_ffn_sites(whole)[-1]
    off = {site.name: torch.arange(site.width) < 5}
    with torch.no_grad():
        for masks in ({}, off):
            with ablate(whole, masks), ablate(spread, masks):
                losses = [float(batch_loss(model, batches[0]).nats) for model in (whole, spread)]
            assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    tokens = [top_tokens(model, batches, {site.name: [0, 3]}, Words()) for model in (whole, spread)]
    assert tokens[0] == tokens[1]


def test_specializing_it_is_refused(tmp_path: Path) -> None:
    build_family("llama").save_pretrained(tmp_path)
    whole = load_model(tmp_path)
    spread = load_model(tmp_path, device_map=device_map(whole, ON_DISK["llama"]))
    masks = {"en-de": {site.name: torch.ones(site.width, dtype=torch.bool) for site in find_ffn_sites(whole)}}
    with pytest.raises(ModelError, match="accelerate's dispatch"):
        specialize(spread, masks)
