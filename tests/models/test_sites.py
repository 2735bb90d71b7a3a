"""FFN sites: one per layer, and they are where the model computes."""

from __future__ import annotations

import pytest
import torch
import transformers
from tests.helpers.families import FAMILIES, PAD, WIDTH, build_family, expected_layers, padded_inputs
from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.models.patterns import FFN_PATTERNS, register_ffn_pattern
from neuronspec.models.sites import find_ffn_sites

GATED = {"t5-gated", "mt5", "umt5", "llama", "llama-bias", "qwen3", "gemma", "gemma2", "gemma3", "mistral",
         "cohere", "olmo2", "madlad", "qwen2"}  # fmt: skip


def _logits(model: nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("family", FAMILIES)
def test_one_site_per_layer_in_order(family: str) -> None:
    model = build_family(family)
    sites = find_ffn_sites(model)
    assert len(sites) == expected_layers(model)
    if model.config.is_encoder_decoder:
        decoder = [f"decoder.{layer}" for layer in range(expected_layers(model) - 2)]
        assert [site.name for site in sites] == ["encoder.0", "encoder.1", *decoder]
    else:
        assert [site.name for site in sites] == ["layers.0", "layers.1", "layers.2"]
    assert all(len(site.ups) == (2 if family in GATED else 1) for site in sites)
    assert all(site.width in (WIDTH, WIDTH + 4, 32) for site in sites)


@pytest.mark.parametrize("family", FAMILIES)
def test_down_of_the_activation_of_the_ups_is_what_the_layer_computes(family: str) -> None:
    """Gate and up are told apart, and nothing else stands between them and `down`."""
    model = build_family(family)
    sites = find_ffn_sites(model)
    seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}
    for site in sites:
        for layer in (*site.ups, site.down):
            layer.register_forward_hook(lambda module, args, out: seen.__setitem__(module, (args[0], out)))
    _logits(model, padded_inputs(model))
    for site in sites:
        value = site.activation(seen[site.ups[0]][1])
        for up in site.ups[1:]:
            value = value * seen[up][1]
        assert torch.allclose(value, seen[site.down][0], atol=1e-6), site.name
        assert value.shape[-1] == site.width


@pytest.mark.parametrize("family", FAMILIES)
def test_perturbing_one_neuron_changes_the_output(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    before = _logits(model, inputs)
    for site in find_ffn_sites(model):

        def perturb(module: nn.Module, args: tuple[torch.Tensor], width: int = site.width) -> tuple[torch.Tensor]:
            value = args[0].clone()
            value[..., width - 1] += 3.0
            return (value,)

        handle = site.down.register_forward_pre_hook(perturb)
        after = _logits(model, inputs)
        handle.remove()
        assert (after - before).abs().max() > 1e-4, site.name
    assert torch.equal(_logits(model, inputs), before)


def test_sites_of_a_base_model_without_head_and_of_wrapped_models() -> None:
    model = build_family("m2m100")
    names = [site.name for site in find_ffn_sites(model)]
    assert [site.name for site in find_ffn_sites(model.model)] == names
    assert [site.name for site in find_ffn_sites(torch.compile(model, backend="eager"))] == names


def test_dropout_on_neurons_is_seen() -> None:
    model = build_family("m2m100")
    site = find_ffn_sites(model)[0]
    assert not site.drops_out
    site.block.activation_dropout = 0.1
    assert not site.drops_out
    model.train()
    assert site.drops_out
    gated = build_family("t5-gated").train()
    site = find_ffn_sites(gated)[0]
    assert not site.drops_out
    site.block.dropout.p = 0.2
    assert site.drops_out


def test_mixture_of_experts_is_refused_by_name() -> None:
    config = transformers.MixtralConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=2,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'mixtral'.*mixture-of-experts"):
        find_ffn_sites(transformers.MixtralForCausalLM(config))


def test_switch_transformers_is_refused() -> None:
    config = transformers.SwitchTransformersConfig(
        vocab_size=20, d_model=8, d_kv=4, d_ff=8, num_layers=2, num_heads=2, num_experts=2,
        num_sparse_encoder_layers=1, num_sparse_decoder_layers=1,
    )  # fmt: skip
    with pytest.raises(ModelError, match="mixture-of-experts"):
        find_ffn_sites(transformers.SwitchTransformersForConditionalGeneration(config))


def test_unknown_model_says_how_to_register() -> None:
    config = transformers.Phi3Config(
        vocab_size=20,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=PAD,
    )
    with pytest.raises(ModelError, match=r"'phi3'.*register_ffn_pattern"):
        find_ffn_sites(transformers.Phi3ForCausalLM(config))


def test_a_block_with_something_between_up_and_down_is_refused() -> None:
    config = transformers.BitNetConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, pad_token_id=PAD,
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"'bitnet'.*ffn_sub_norm"):
        find_ffn_sites(transformers.BitNetForCausalLM(config))


class _Mine(nn.Module):
    def __init__(self, kinds: str = "aa") -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for kind in kinds:
            layer = nn.Module()
            layer.linear_in, layer.linear_out, layer.act = nn.Linear(4, 6), nn.Linear(6, 4), nn.Tanh()
            if kind == "b":
                del layer.linear_in
            self.layers.append(layer)


def test_a_registered_pattern_is_found_and_duplicates_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuronspec.models.sites.FFN_PATTERNS", patterns := dict(FFN_PATTERNS))
    monkeypatch.setattr("neuronspec.models.patterns.FFN_PATTERNS", patterns)
    with pytest.raises(ModelError, match="model _Mine: no known"):
        find_ffn_sites(_Mine())
    register_ffn_pattern("mine", ups=("linear_in",), down="linear_out", activation="act")
    assert [site.name for site in find_ffn_sites(_Mine())] == ["layers.0", "layers.1"]
    with pytest.raises(ModelError, match="layers 1 of layers have no known"):
        find_ffn_sites(_Mine("ab"))
    with pytest.raises(ModelError, match="registered already"):
        register_ffn_pattern("mine", ups=("a",), down="b", activation="c")
    with pytest.raises(ModelError, match="same layers as the registered pattern 'mine'"):
        register_ffn_pattern("other", ups=("linear_in",), down="linear_out", activation="act")
    with pytest.raises(ModelError, match="expected one name"):
        register_ffn_pattern("third", ups=(), down="b", activation="c")


def test_the_name_of_a_dropout_may_be_dotted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuronspec.models.sites.FFN_PATTERNS", patterns := dict(FFN_PATTERNS))
    monkeypatch.setattr("neuronspec.models.patterns.FFN_PATTERNS", patterns)
    register_ffn_pattern("mine", ups=("linear_in",), down="linear_out", activation="act", dropout="inner.drop")
    model = _Mine().train()
    site = find_ffn_sites(model)[0]
    assert not site.drops_out
    site.block.inner = nn.ModuleDict({"drop": nn.Dropout(0.5)})
    assert site.drops_out
    assert not find_ffn_sites(model.eval())[0].drops_out


def test_two_stacks_of_layers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuronspec.models.sites.FFN_PATTERNS", patterns := dict(FFN_PATTERNS))
    monkeypatch.setattr("neuronspec.models.patterns.FFN_PATTERNS", patterns)
    register_ffn_pattern("mine", ups=("linear_in",), down="linear_out", activation="act")
    both = nn.ModuleDict({"vision": _Mine(), "text": _Mine()})
    with pytest.raises(ModelError, match=r"vision\.layers\.0 and text\.layers\.0 would both be layers\.0"):
        find_ffn_sites(both)


def test_an_encoder_alone_of_an_encoder_decoder_is_refused() -> None:
    with pytest.raises(ModelError, match="pass the whole model"):
        find_ffn_sites(build_family("m2m100").get_encoder())
