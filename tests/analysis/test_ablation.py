"""The causal check: neurons that are off give nothing, and the loss is that of the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from scipy import stats
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import random_masks
from torch.nn import functional

from neuronspec.analysis.ablation import Ablation, ablate, ablation_matrices, ablation_steps
from neuronspec.analysis.sharing import characteristic_neurons
from neuronspec.core.errors import MaskError, ModelError
from neuronspec.core.progress import Progress, Task
from neuronspec.models.batch import Batch
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction
from neuronspec.training.loss import batch_loss, sentence_nats, target_tokens

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
    found = ablation_matrices(model, acts, batches, pivot="en", share=0.25, progress=progress)
    assert progress.done == progress.total == ablation_steps(acts, DIRECTIONS, "en")
    assert [ablation.side for ablation in found] == sides
    sites = find_ffn_sites(model)
    for ablation in found:
        expected_rows = {"encoder": ["de-en", "fr-en"], "decoder": ["en-de", "en-fr"], "layers": list(DIRECTIONS)}
        assert ablation.rows == expected_rows[ablation.side] and ablation.columns == list(DIRECTIONS)
        assert ablation.dense == pytest.approx([loss_of(model, batches[name][0]) for name in DIRECTIONS], rel=1e-4)
        own = [site for site in sites if site.name.startswith(f"{ablation.side}.")]
        assert ablation.neurons == {site.name: round(0.25 * site.width) for site in own}
        off = {}
        for site in own:
            neurons = characteristic_neurons(acts, site.name, ablation.rows, ablation.neurons[site.name])[0]
            off[site.name] = torch.zeros(site.width, dtype=torch.bool).index_fill(0, neurons, True)
        with ablate(model, off):
            assert ablation.loss[0] == pytest.approx(
                [loss_of(model, batches[name][0]) for name in DIRECTIONS], rel=1e-4
            )
        assert len(ablation.random) == 10 and all(math.isfinite(value) for row in ablation.random for value in row)
    assert loss_of(model, batches["en-de"][0]) == pytest.approx(found[0].dense[1], rel=1e-4), "all neurons are on again"


def neurons(width: int, *indices: int) -> torch.Tensor:
    return torch.tensor([index in indices for index in range(width)])


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama", "gpt2"])
def test_ablation_is_undone_exactly_also_after_an_error_and_nests(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    sites = find_ffn_sites(model)
    one, two = ({site.name: neurons(site.width, *chosen) for site in sites} for chosen in ((1, 4), (4, 7)))
    before, hooks = model(**inputs).logits, [len(site.down._forward_pre_hooks) for site in sites]
    with ablate(model, {name: one[name] | two[name] for name in one}):
        both = model(**inputs).logits
    with ablate(model, one), ablate(model, two):
        nested = model(**inputs).logits
    assert torch.equal(nested, both) and not torch.equal(both, before)
    with pytest.raises(RuntimeError, match="inside"), ablate(model, one):
        raise RuntimeError("inside")
    assert torch.equal(model(**inputs).logits, before)
    assert [len(site.down._forward_pre_hooks) for site in sites] == hooks


def test_gradients_of_neurons_that_are_off_are_zero() -> None:
    model = build_family("m2m100")
    site = next(site for site in find_ffn_sites(model) if site.name == "decoder.1")
    with ablate(model, {"decoder.1": neurons(site.width, 2, 5)}):
        model(**padded_inputs(model)).loss.backward()
    gradient = site.down.weight.grad
    assert gradient[:, [2, 5]].eq(0).all() and gradient.ne(0).any()
    assert site.ups[0].bias.grad[[2, 5]].eq(0).all()


@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_it_composes_with_masks_of_a_specialized_model(semantics: str) -> None:
    """A neuron that the direction's mask leaves out gives 0 too, not its constant."""
    model = build_family("m2m100")
    inputs, masks = padded_inputs(model), random_masks(model)
    off = {site.name: neurons(site.width, *range(6)) for site in find_ffn_sites(model)}
    expected = []
    for method in ("rows", "auto"):
        specialize(model, masks, semantics=semantics, method=method)
        with use_direction(model, "en-de"), torch.no_grad():
            with ablate(model, off):
                expected.append(model(**inputs).logits)
            dense = model(**inputs).logits
        unspecialize(model)
    assert torch.allclose(*expected, atol=1e-6) and not torch.allclose(expected[0], dense, atol=1e-3)
    with torch.no_grad():
        for site in find_ffn_sites(model):
            site.down.weight[:, :6] = 0
    specialize(model, masks, semantics=semantics, method="rows")
    with use_direction(model, "en-de"), torch.no_grad():
        assert torch.allclose(model(**inputs).logits, expected[0], atol=1e-6)


def test_a_model_that_computes_selected_neurons_alone_is_refused() -> None:
    model = build_family("m2m100")
    masks = random_masks(model)
    specialize(model, masks, method="compact")
    with use_direction(model, "en-de"), ablate(model, masks["de-en"]), pytest.raises(ModelError, match="method='auto'"):
        model(**padded_inputs(model))


@pytest.mark.parametrize(
    ("masks", "fragment"),
    [
        ({"decoder.9": torch.ones(16, dtype=torch.bool)}, "no FFN site 'decoder.9'; did you mean"),
        ({"decoder.0": torch.ones(15, dtype=torch.bool)}, r"torch.bool \[15\]: expected a BoolTensor \[16\]"),
        ({"decoder.0": torch.ones(16)}, r"torch.float32 \[16\]"),
        ({"decoder.0": [2, 5]}, "is list: expected"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: dict[str, Any], fragment: str) -> None:
    with pytest.raises(MaskError, match=fragment), ablate(build_family("m2m100"), masks):
        pass


def test_masks_of_several_directions_leave_open_whose_neurons() -> None:
    model = build_family("m2m100")
    masks = NeuronMasks.from_dict(random_masks(model))
    with pytest.raises(MaskError, match=r"masks\['de-en'\] of de-en, en-de"), ablate(model, masks):
        pass
    own = NeuronMasks.from_dict({"en-de": masks["en-de"]})
    inputs = padded_inputs(model)
    with ablate(model, own):
        found = model(**inputs).logits
    with ablate(model, masks["en-de"]):
        assert torch.equal(model(**inputs).logits, found)


def test_neurons_off_are_columns_of_down_that_do_not_count() -> None:
    model = build_family("m2m100")
    batch = Batch("en-de", padded_inputs(model))
    site = next(site for site in find_ffn_sites(model) if site.name == "decoder.1")
    with ablate(model, {"decoder.1": neurons(site.width, 2, 5)}):
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


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama", "gemma2"])
def test_the_loss_of_each_sentence_is_that_of_its_row(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    found = sentence_nats(model, Batch("en-de", inputs))
    for row, nats in enumerate(found.tolist()):
        one = Batch("en-de", {name: tensor[row : row + 1] for name, tensor in inputs.items()})
        assert nats == pytest.approx(loss_of(model, one) * target_tokens(model, one), rel=1e-4)
    assert float(found.sum()) == pytest.approx(float(batch_loss(model, Batch("en-de", inputs)).nats), rel=1e-4)


def test_the_intervals_are_those_of_a_ratio_over_sentences() -> None:
    model = build_family("m2m100")
    batches = batches_of(model)
    acts = record_activations(model, (batch for part in batches.values() for batch in part))
    _, decoder = ablation_matrices(model, acts, batches, pivot="en", share=0.25)
    batch, off = batches["en-de"][0], {}
    for site in find_ffn_sites(model):
        if site.name.startswith("decoder."):
            chosen = characteristic_neurons(acts, site.name, decoder.rows, decoder.neurons[site.name])[0]
            off[site.name] = torch.zeros(site.width, dtype=torch.bool).index_fill(0, chosen, True)
    before = sentence_nats(model, batch).numpy()
    with ablate(model, off):
        rises = sentence_nats(model, batch).numpy() - before
    tokens = (batch.inputs["labels"] != -100).sum(1).numpy()
    ratio, number = rises.sum() / tokens.sum(), len(rises)
    assert decoder.own()[0] == pytest.approx(ratio, rel=1e-4)
    variance = ((rises - ratio * tokens) ** 2).sum() * number / (number - 1) / tokens.sum() ** 2
    expected = stats.t.ppf(0.975, number - 1) * variance**0.5
    assert decoder.errors[0][0] == pytest.approx(expected, rel=1e-3)
    assert [len(part) for part in decoder.errors] == [2, 2, 2] and min(map(min, decoder.errors)) > 0


def test_text_with_labels_is_needed() -> None:
    model = build_family("m2m100")
    batches = batches_of(model)
    acts = record_activations(model, (batch for part in batches.values() for batch in part))
    with pytest.raises(MaskError, match="needs text"):
        ablation_matrices(model, acts, {"en-de": []}, pivot="en")
    bare = {
        name: [Batch(name, {k: v for k, v in part[0].inputs.items() if k != "labels"})]
        for name, part in batches.items()
    }
    with pytest.raises(MaskError, match="has no labels"):
        ablation_matrices(model, acts, bare, pivot="en")
