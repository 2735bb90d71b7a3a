"""The causal check: neurons that are off give nothing, and the loss is that of the model."""

from __future__ import annotations

import math

import pytest
import torch
from tests.helpers.families import build_family, padded_inputs
from torch.nn import functional

from neuronspec.analysis.ablation import Ablation, ablate, ablation_steps, turned_off
from neuronspec.analysis.sharing import characteristic_neurons
from neuronspec.core.errors import MaskError
from neuronspec.core.progress import Progress, Task
from neuronspec.models.batch import Batch
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.recording import record_activations

DIRECTIONS = ("de-en", "en-de", "en-fr", "fr-en")


def batches_of(model: torch.nn.Module) -> dict[str, list[Batch]]:
    return {name: [Batch(name, padded_inputs(model, seed=seed))] for seed, name in enumerate(DIRECTIONS)}


class Counting(Progress, Task):
    """Counts what is done."""

    done, total = 0.0, None

    def task(self, title: str, total: float | None = None) -> Task:
        self.total = total
        return self

    def advance(self, amount: float = 1, facts: str = "") -> None:
        self.done += amount


def loss_of(model: torch.nn.Module, batch: Batch) -> float:
    inputs = dict(batch.inputs)
    labels = inputs.pop("labels")
    with torch.no_grad():
        logits = model(**inputs).logits
    if not model.config.is_encoder_decoder:
        logits, labels = logits[:, :-1], labels[:, 1:]
    return float(functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100))


@pytest.mark.parametrize(
    ("family", "sides"),
    [("m2m100", ["encoder", "decoder"]), ("t5-gated", ["encoder", "decoder"]), ("llama", ["layers"])],
)
def test_losses_are_those_of_the_model_with_neurons_off(family: str, sides: list[str]) -> None:
    model = build_family(family)
    batches = batches_of(model)
    acts = record_activations(model, (batch for part in batches.values() for batch in part))
    progress = Counting()
    found = ablate(model, acts, batches, pivot="en", share=0.25, progress=progress)
    assert progress.done == progress.total == ablation_steps(acts, DIRECTIONS, "en")
    assert [ablation.side for ablation in found] == sides
    sites = find_ffn_sites(model)
    for ablation in found:
        expected_rows = {"encoder": ["de-en", "fr-en"], "decoder": ["en-de", "en-fr"], "layers": list(DIRECTIONS)}
        assert ablation.rows == expected_rows[ablation.side] and ablation.columns == list(DIRECTIONS)
        assert ablation.dense == pytest.approx([loss_of(model, batches[name][0]) for name in DIRECTIONS], rel=1e-4)
        own = [site for site in sites if site.name.startswith(f"{ablation.side}.")]
        assert ablation.neurons == {site.name: round(0.25 * site.width) for site in own}
        off = [
            (site, characteristic_neurons(acts, site.name, ablation.rows, ablation.neurons[site.name])[0])
            for site in own
        ]
        with turned_off(off):
            assert ablation.loss[0] == pytest.approx(
                [loss_of(model, batches[name][0]) for name in DIRECTIONS], rel=1e-4
            )
        assert len(ablation.random) == 10 and all(math.isfinite(value) for row in ablation.random for value in row)
    assert loss_of(model, batches["en-de"][0]) == pytest.approx(found[0].dense[1], rel=1e-4), "all neurons are on again"


def test_neurons_off_are_columns_of_down_that_do_not_count() -> None:
    model = build_family("m2m100")
    batch = Batch("en-de", padded_inputs(model))
    site = next(site for site in find_ffn_sites(model) if site.name == "decoder.1")
    with turned_off([(site, torch.tensor([2, 5]))]):
        off = loss_of(model, batch)
    with torch.no_grad():
        site.down.weight[:, [2, 5]] = 0
    assert off == pytest.approx(loss_of(model, batch), rel=1e-5)


def test_summaries_of_a_matrix() -> None:
    ablation = Ablation("decoder", {"decoder.0": 2}, ["en-de", "en-fr"], ["de-en", "en-de", "en-fr"], [1.0, 2.0, 3.0],
                        [[1.0, 2.5, 3.1], [1.0, 2.2, 4.0]], [[1.0, 2.1, 3.0], [1.0, 2.3, 3.2]], 20)  # fmt: skip
    assert ablation.own() == pytest.approx([0.5, 1.0])
    assert ablation.others() == pytest.approx([0.2, 0.1])
    assert ablation.by_chance() == pytest.approx([0.2, 0.1])


def test_text_with_labels_is_needed() -> None:
    model = build_family("m2m100")
    batches = batches_of(model)
    acts = record_activations(model, (batch for part in batches.values() for batch in part))
    with pytest.raises(MaskError, match="needs text"):
        ablate(model, acts, {"en-de": []}, pivot="en")
    bare = {
        name: [Batch(name, {k: v for k, v in part[0].inputs.items() if k != "labels"})]
        for name, part in batches.items()
    }
    with pytest.raises(MaskError, match="has no labels"):
        ablate(model, acts, bare, pivot="en")
