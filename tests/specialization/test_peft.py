"""LoRA of PEFT on specialized models: before and after, on attention and on the specialized layers themselves."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.helpers.families import build_family, padded_inputs
from tests.helpers.masked import Double, Masks, random_masks
from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.models.batch import Batch
from neuronspec.models.compatibility import checkpoint_activations
from neuronspec.models.sites import find_ffn_sites, unwrap
from neuronspec.neurons.recording import record_activations
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.compact import compact
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.save import load
from neuronspec.specialization.scope import use_direction, use_directions

peft = pytest.importorskip("peft", reason="the baselines extra is not installed")

TARGETS = {
    "attention": ["q_proj", "v_proj"],
    "feed-forward": ["fc1", "fc2"],
    "all": ["q_proj", "v_proj", "fc1", "fc2"],
}


def adapted(model: nn.Module, targets: list[str], **options: Any) -> Any:
    """The model in a `PeftModel`, with LoRA that changes what it computes."""
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=targets, lora_dropout=0.0, **options)
    made = peft.get_peft_model(model, config).to(next(model.parameters()).dtype)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return made


def naive_loss(model: Any, masks: Masks, semantics: str, direction: str, inputs: dict[str, Any]) -> torch.Tensor:
    """The loss of a plain model whose weights are `m * (W + s B A)`, with the parameters of a `PeftModel`."""
    plain, replaced = build_family("m2m100", dtype=torch.float64), {}
    layers = dict(unwrap(model).named_modules())
    ups = {up: (site.name, site) for site in find_ffn_sites(plain) for up in site.ups}
    with ExitStack() as stack:
        for name, layer in plain.named_modules():
            if not isinstance(layer, nn.Linear):
                continue
            weight, theirs = layer.weight, layers[name]
            if isinstance(theirs, peft.tuners.lora.LoraLayer):
                low = theirs.lora_B["default"].weight @ theirs.lora_A["default"].weight
                weight = weight + theirs.scaling["default"] * low
            if layer in ups and semantics == "weight":
                weight = masks[direction][ups[layer][0]][:, None] * weight
            replaced[f"{name}.weight"] = weight
        for site in find_ffn_sites(plain) if semantics == "neuron" else []:
            mask = masks[direction][site.name].double()
            stack.callback(site.down.register_forward_pre_hook(lambda _, args, mask=mask: (args[0] * mask,)).remove)
        return torch.func.functional_call(plain, replaced, kwargs=inputs).loss


def low_rank_gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    parameters = {name: each for name, each in model.named_parameters() if "lora_" in name}
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    pairs = zip(parameters.items(), found, strict=True)
    return {name: torch.zeros_like(each) if gradient is None else gradient for (name, each), gradient in pairs}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("semantics", ["weight", "neuron"])
@pytest.mark.parametrize("method", ["auto", "rows", "compact"])
def test_lora_and_masks_are_masked_sums_of_weights(order: str, targets: str, semantics: str, method: str) -> None:
    dense = build_family("m2m100", dtype=torch.float64)
    masks = random_masks(dense)
    on_neurons = targets != "attention"
    if order == "before":
        model = adapted(dense, TARGETS[targets])
        if method == "compact" and on_neurons:
            with pytest.raises(ModelError, match="method='compact' needs plain linear layers.*merge it first"):
                specialize(model, masks, semantics, method=method)
            return
        specialize(model, masks, semantics, method=method)
    else:
        model = adapted(specialize(dense, masks, semantics, method=method), TARGETS[targets])
        if method == "compact" and on_neurons:
            with pytest.raises(ModelError, match="needs plain linear layers"), use_direction(model, "en-de"):
                pass
            return
    inputs = padded_inputs(unwrap(model), rows=32)
    losses = []
    for direction in ("en-de", "de-en"):
        expected = naive_loss(model, masks, semantics, direction, inputs)
        with use_direction(model, direction):
            loss = model(**inputs).loss
        torch.testing.assert_close(loss, expected)
        theirs, ours = low_rank_gradients(model, expected), low_rank_gradients(model, loss)
        assert any(gradient.abs().max() > 1e-4 for gradient in theirs.values())
        for name, gradient in theirs.items():
            torch.testing.assert_close(ours[name], gradient, atol=1e-10, rtol=1e-7, msg=name)
        losses.append(loss)
    assert losses[0] != losses[1]


def test_rows_of_a_batch_in_their_directions() -> None:
    dense = build_family("m2m100")
    masks = random_masks(dense)
    model = adapted(specialize(dense, masks), TARGETS["all"])
    inputs = padded_inputs(dense, rows=4)
    with torch.no_grad(), use_directions(model, ["en-de", "de-en", "en-de", "de-en"]):
        mixed = model(**inputs).logits
    for direction, first in (("en-de", 0), ("de-en", 1)):
        with torch.no_grad(), use_direction(model, direction):
            assert torch.allclose(model(**inputs).logits[first::2], mixed[first::2], atol=1e-5)


@pytest.mark.parametrize("wrap", ["compile", "ddp"])
def test_other_wrappers_around_it(wrap: str) -> None:
    model = adapted(specialize(build_family("m2m100"), random_masks(build_family("m2m100"))), TARGETS["all"])
    wrapped = torch.compile(model) if wrap == "compile" else nn.parallel.DistributedDataParallel.__new__(
        nn.parallel.DistributedDataParallel
    )  # fmt: skip
    if wrap == "ddp":
        nn.Module.__init__(wrapped)
        wrapped.module = model
    assert unwrap(wrapped) is model.get_base_model()
    with use_direction(wrapped, "en-de"):
        assert specialization_of(model).active is not None


@pytest.mark.parametrize("backend", [pytest.param("eager", marks=pytest.mark.slow), "aot_eager"])
def test_compiled(backend: str) -> None:
    torch._dynamo.reset()
    dense = build_family("m2m100")
    model = adapted(specialize(dense, random_masks(dense)), TARGETS["all"])
    compiled, inputs = torch.compile(model, backend=backend), padded_inputs(dense)
    for direction in ("en-de", "de-en"):
        with use_direction(model, direction):
            expected = low_rank_gradients(model, model(**inputs).loss)
        with use_direction(compiled, direction):
            found = low_rank_gradients(model, compiled(**inputs).loss)
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_gradient_checkpointing() -> None:
    dense = build_family("m2m100")
    model = adapted(specialize(dense, random_masks(dense)), TARGETS["all"]).train()
    inputs = padded_inputs(dense)
    with use_direction(model, "en-de"):
        expected = low_rank_gradients(model, model(**inputs).loss)
    dense.enable_input_require_grads()
    checkpoint_activations(dense, True)
    with use_direction(model, "en-de"):
        loss = model(**inputs).loss
    found = low_rank_gradients(model, loss)  # outside of the direction, as Trainer does it
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


def test_recording_sees_the_neurons_that_lora_makes() -> None:
    model = adapted(build_family("m2m100"), TARGETS["all"])
    batches = [Batch("en-de", padded_inputs(unwrap(model), rows=8))]  # type: ignore[arg-type]
    found = record_activations(model, batches)
    merged = record_activations(model.merge_and_unload(), batches)
    for site, counts in merged.counts["en-de"].items():
        assert torch.equal(found.counts["en-de"][site], counts)


def test_trainer_saves_adapters_and_masks_in_its_checkpoints(tmp_path: Path) -> None:
    build_family("m2m100").save_pretrained(tmp_path / "base")
    dense = type(build_family("m2m100")).from_pretrained(tmp_path / "base")
    model = adapted(specialize(dense, random_masks(dense)), TARGETS["all"])

    class InDirection(transformers.Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
            with use_direction(model, "en-de"):
                return super().compute_loss(model, inputs, *args, **options)

    inputs = padded_inputs(dense, rows=4)
    rows = [{name: tensor[row] for name, tensor in inputs.items()} for row in range(4)]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "out"), max_steps=2, save_steps=1, per_device_train_batch_size=2, report_to=[], use_cpu=True
    )
    InDirection(model, arguments, train_dataset=rows).train()
    again = load(tmp_path / "out" / "checkpoint-2", "cpu")
    with torch.no_grad(), use_direction(model.eval(), "en-de"), use_direction(again, "en-de"):
        assert torch.allclose(again(**inputs).logits, model(**inputs).logits, atol=1e-5)


def test_merged_lora_stays_masked_and_can_be_made_compact() -> None:
    dense = build_family("m2m100")
    masks = random_masks(dense)
    model = adapted(specialize(dense, masks), TARGETS["all"])
    inputs = padded_inputs(dense)
    with torch.no_grad(), use_direction(model, "en-de"):
        expected = model(**inputs).logits
    with pytest.raises(ModelError, match=r"compact model needs plain linear layers.*merge_and_unload\(\)"):
        compact(unwrap(model), "en-de")
    model.merge_adapter()
    with torch.no_grad(), use_direction(model, "en-de"):
        assert torch.allclose(model(**inputs).logits, expected, atol=1e-5)
    model.unmerge_adapter()
    merged = model.merge_and_unload()
    with torch.no_grad(), use_direction(merged, "en-de"):
        assert torch.allclose(merged(**inputs).logits, expected, atol=1e-5)
    small = compact(merged, "en-de")
    assert torch.allclose(small(**inputs).logits, expected, atol=1e-5)
    unspecialize(merged)
    assert all("forward" not in vars(module) for module in merged.modules())


def test_a_copy_with_lora_is_specialized_on_its_own() -> None:
    dense = build_family("m2m100")
    model = adapted(specialize(dense, random_masks(dense)), TARGETS["all"])
    twin, inputs = copy.deepcopy(model), padded_inputs(dense)
    with torch.no_grad(), use_direction(twin, "en-de"), use_direction(model, "en-de"):
        assert torch.equal(twin(**inputs).logits, model(**inputs).logits)
    unspecialize(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with torch.no_grad(), use_direction(twin, "en-de"):
        assert twin(**inputs).logits.abs().max() > 0


def test_adapters_that_cannot_be_masked_are_refused() -> None:
    model = adapted(build_family("m2m100"), ["fc1"], bias="none", lora_bias=True)
    with pytest.raises(ModelError, match="without lora_bias"):
        specialize(model, random_masks(build_family("m2m100")))
    scaled = peft.get_peft_model(
        build_family("m2m100"), peft.IA3Config(target_modules=["fc2"], feedforward_modules=["fc2"])
    )
    with pytest.raises(ModelError, match="encoder.0 has a Linear: only plain"):
        specialize(scaled, random_masks(build_family("m2m100")))


def test_neurons_that_lora_stands_in_for_cannot_be_updated() -> None:
    masks = random_masks(build_family("m2m100"))
    with pytest.raises(ModelError, match="encoder.0 has LoRA in place of them: merge it first"):
        specialize(adapted(build_family("m2m100"), ["fc1"]), masks, "gradient")
    specialize(adapted(build_family("m2m100"), ["q_proj"]), masks, "gradient")
    later = adapted(specialize(build_family("m2m100"), masks, "gradient"), ["fc2"])
    with pytest.raises(ModelError, match="has LoRA in place of them"), use_direction(later, "en-de"):
        pass


def test_adapters_that_come_later_and_cannot_be_masked_are_refused() -> None:
    for config in (
        peft.IA3Config(target_modules=["fc2"], feedforward_modules=["fc2"]),
        peft.LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["fc1"]),
    ):
        dense = build_family("m2m100")
        model = peft.get_peft_model(specialize(dense, random_masks(dense)), config)
        with pytest.raises(ModelError, match="only plain linear layers"), use_direction(model, "en-de"):
            pass


def test_a_wrapper_that_calls_the_layer_as_it_is_changes_nothing() -> None:
    class Wrapper(nn.Module):
        def __init__(self, inside: nn.Module) -> None:
            super().__init__()
            self.inside = inside

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inside(x)

    model = build_family("m2m100")
    specialize(model, random_masks(model))
    inputs = padded_inputs(model)
    with torch.no_grad(), use_direction(model, "en-de"):
        expected = model(**inputs).logits
    layer = model.model.encoder.layers[0]
    layer.fc1 = Wrapper(layer.fc1)
    with torch.no_grad(), use_direction(model, "en-de"):
        assert torch.equal(model(**inputs).logits, expected)


@pytest.mark.parametrize(
    ("family", "targets"),
    [
        ("t5-gated", ["q", "wi_0", "wi_1", "wo"]),
        ("llama", ["q_proj", "gate_proj", "up_proj", "down_proj"]),
        ("gpt2", ["c_attn", "c_fc", "c_proj"]),
        ("opt", ["fc1", "fc2"]),
    ],
)
@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_other_families_compute_as_if_merged(family: str, targets: list[str], semantics: str) -> None:
    dense = build_family(family, dtype=torch.float64)
    masks = random_masks(dense)
    model = adapted(specialize(dense, masks, semantics), targets, fan_in_fan_out=family == "gpt2")
    inputs = padded_inputs(dense)
    found = {}
    with torch.no_grad(), Double():
        for direction in masks:
            with use_direction(model, direction):
                found[direction] = model(**inputs).logits
        unspecialize(model)
        merged = specialize(model.merge_and_unload(), masks, semantics)
        for direction, logits in found.items():
            with use_direction(merged, direction):
                torch.testing.assert_close(merged(**inputs).logits, logits)


@pytest.mark.parametrize("targets", TARGETS)
def test_a_saved_peft_model_keeps_the_masks(targets: str, tmp_path: Path) -> None:
    build_family("m2m100").save_pretrained(tmp_path / "base")
    dense = type(build_family("m2m100")).from_pretrained(tmp_path / "base")
    masks = random_masks(dense)
    model = adapted(specialize(dense, masks), TARGETS[targets])
    inputs = padded_inputs(dense)
    with torch.no_grad(), use_direction(model, "en-de"):
        expected = model(**inputs).logits
    model.save_pretrained(tmp_path / "adapters")
    again = load(tmp_path / "adapters", "cpu")
    assert isinstance(again, peft.PeftModel)
    with torch.no_grad(), use_direction(again, "en-de"):
        assert torch.allclose(again(**inputs).logits, expected, atol=1e-5)
    again.save_pretrained(tmp_path / "twice")
    assert (tmp_path / "twice" / "neuron_masks.safetensors").is_file()
    unspecialize(model)
    model.save_pretrained(tmp_path / "dense")
    assert not (tmp_path / "dense" / "neuron_masks.safetensors").exists()


def test_the_model_inside_is_not_saved_as_if_it_were_plain(tmp_path: Path) -> None:
    dense = build_family("m2m100")
    model = adapted(specialize(dense, random_masks(dense)), TARGETS["attention"])
    with pytest.raises(ModelError, match="it has layers of PEFT; save the PeftModel"):
        model.get_base_model().save_pretrained(tmp_path / "model")
    model.merge_and_unload().save_pretrained(tmp_path / "model")
    load(tmp_path / "model")


def test_adapters_of_transformers_itself_are_saved_with_the_masks(tmp_path: Path) -> None:
    build_family("m2m100").save_pretrained(tmp_path / "base")
    model = type(build_family("m2m100")).from_pretrained(tmp_path / "base")
    specialize(model, random_masks(model))
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["fc1", "q_proj"], init_lora_weights=False))
    inputs = padded_inputs(model)
    with torch.no_grad(), use_direction(model, "en-de"):
        expected = model(**inputs).logits
    model.save_pretrained(tmp_path / "adapters")
    again = load(tmp_path / "adapters", "cpu")
    with torch.no_grad(), use_direction(again, "en-de"):
        assert torch.allclose(again(**inputs).logits, expected, atol=1e-5)
    with pytest.raises(ModelError, match="save_peft_format=False"):
        model.save_pretrained(tmp_path / "other", save_peft_format=False)
