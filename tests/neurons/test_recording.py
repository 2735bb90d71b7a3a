"""Recording: equal to a naive loop over copied activations, for every family, and blind to padding."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tests.helpers.families import EACH, EOS, PAD, VOCABULARY, build_family, padded_inputs
from torch import nn

from neuronspec.core.direction import Direction
from neuronspec.core.errors import MaskError
from neuronspec.models.batch import Batch, MixedBatch
from neuronspec.models.compatibility import checkpoint_activations, why_not_computed
from neuronspec.models.sites import FFNSite, find_ffn_sites
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.recording import record_activations

Inputs = dict[str, torch.Tensor]


@contextmanager
def _copied(sites: list[FFNSite]) -> Iterator[dict[str, torch.Tensor]]:
    """What goes into every `down`, kept whole."""
    seen: dict[str, torch.Tensor] = {}
    handles = [
        site.down.register_forward_pre_hook(lambda _, args, name=site.name: seen.update({name: args[0].clone()}))
        for site in sites
    ]
    yield seen
    for handle in handles:
        handle.remove()


def _naive(model: nn.Module, batches: list[Batch]) -> dict[str, dict[str, tuple[list[int], list[float], int]]]:
    """Counts, magnitudes and tokens by direction and site, one position after the other."""
    sites = find_ffn_sites(model)
    totals: dict[str, dict[str, tuple[list[int], list[float], int]]] = {}
    for batch in batches:
        inputs = {name: tensor for name, tensor in batch.inputs.items() if name != "labels"}
        if not model.config.is_encoder_decoder and model.config.model_type != "bloom":
            inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        with torch.no_grad(), _copied(sites) as seen:
            model(**inputs)
        direction = totals.setdefault(str(batch.direction), {})
        for site in sites:
            mask = inputs["decoder_attention_mask" if site.name.startswith("decoder") else "attention_mask"]
            values = seen[site.name].reshape(*mask.shape, site.width)
            counts, sums, tokens = direction.get(site.name, ([0] * site.width, [0.0] * site.width, 0))
            for row in range(mask.shape[0]):
                for time in range(mask.shape[1]):
                    if mask[row, time]:
                        position = values[row, time].tolist()
                        counts = [count + (value > 0) for count, value in zip(counts, position, strict=True)]
                        sums = [total + abs(value) for total, value in zip(sums, position, strict=True)]
                        tokens += 1
            direction[site.name] = (counts, sums, tokens)
    return totals


def _batches(model: nn.Module) -> list[Batch]:
    directions = ("en-de", "de-en", "en-de", "en-fr")
    return [Batch(direction, padded_inputs(model, seed=seed)) for seed, direction in enumerate(directions)]


def _widened(inputs: Inputs, columns: int, left: bool) -> Inputs:
    """The same text with more padding."""
    filler = {"input_ids": PAD, "decoder_input_ids": PAD, "labels": -100}
    amounts = (columns, 0) if left else (0, columns)
    return {name: nn.functional.pad(tensor, amounts, value=filler.get(name, 0)) for name, tensor in inputs.items()}


def _assert_same(one: Activations, other: Activations) -> None:
    assert list(one.counts) == list(other.counts)
    assert one.info == other.info
    for direction in one.counts:
        assert one.tokens[direction] == other.tokens[direction]
        for site in one.sites:
            assert torch.equal(one.counts[direction][site], other.counts[direction][site]), (direction, site)
            torch.testing.assert_close(
                one.magnitudes[direction][site], other.magnitudes[direction][site], rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("family", EACH)
def test_equals_a_naive_loop_over_copied_activations(family: str) -> None:
    model = build_family(family)
    batches = _batches(model)
    acts = record_activations(model, batches)
    naive = _naive(model, batches)
    assert list(acts.counts) == ["de-en", "en-de", "en-fr"]
    assert list(acts.sites) == [site.name for site in find_ffn_sites(model)]
    for direction, sites in naive.items():
        for site, (counts, sums, tokens) in sites.items():
            assert acts.counts[direction][site].tolist() == counts
            assert acts.counts[direction][site].dtype == torch.int64
            assert acts.tokens[direction][site] == tokens
            expected = torch.tensor(sums, dtype=torch.float64)
            torch.testing.assert_close(acts.magnitudes[direction][site], expected, rtol=1e-5, atol=1e-7)


def test_accelerators_count_without_taking_rows_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way to leave padding out, NaN there included."""
    model = build_family("m2m100")
    inputs = padded_inputs(model, seed=2)
    _broken(model, find_ffn_sites(model)[-1], float("nan"), inputs["decoder_attention_mask"] == 0)
    expected = record_activations(model, [Batch("en-de", inputs)])
    monkeypatch.setattr("neuronspec.neurons.recorder._on_cpu", lambda values: False)
    _assert_same(record_activations(model, [Batch("en-de", inputs)]), expected)


@pytest.mark.parametrize("family", EACH)
def test_padding_never_counts(family: str) -> None:
    """More columns of padding (left in decoder-only models) change nothing."""
    model = build_family(family)
    if reason := why_not_computed(model.config):
        pytest.skip(reason)
    inputs = padded_inputs(model)
    wider = _widened(inputs, 3, left=not model.config.is_encoder_decoder)
    plain = record_activations(model, [Batch("en-de", inputs)])
    _assert_same(record_activations(model, [Batch("en-de", wider)]), plain)
    masks = {"encoder": "attention_mask", "decoder": "decoder_attention_mask", "layers": "attention_mask"}
    for site, tokens in plain.tokens["en-de"].items():
        assert tokens == int(inputs[masks[site.split(".")[0]]].sum())


@pytest.mark.parametrize("family", ["m2m100", "llama"])
def test_padding_counts_where_the_papers_scripts_are_followed(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    acts = record_activations(model, [Batch("en-de", inputs)], count_padding=True)
    assert acts.info.count_padding
    sites = find_ffn_sites(model)
    plain = {name: value for name, value in inputs.items() if name != "labels"}
    if not model.config.is_encoder_decoder:
        plain["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
    with torch.no_grad(), _copied(sites) as seen:
        model(**plain)
    for site in sites:
        values = seen[site.name].reshape(-1, site.width)
        assert acts.tokens["en-de"][site.name] == len(values)
        assert torch.equal(acts.counts["en-de"][site.name], (values > 0).sum(0))
    without = record_activations(model, [Batch("en-de", inputs)])
    assert not without.info.count_padding
    with pytest.raises(MaskError, match="their count_padding differ"):
        _ = acts + without


@pytest.mark.parametrize("family", ["m2m100", "t5", "opt"])
def test_positions_are_told_without_masks(family: str) -> None:
    """Padding is found in the tokens where the batch brings no masks, also behind a -100 on the first label."""
    model = build_family(family, dtype=torch.float64)
    inputs = padded_inputs(model)
    inputs["labels"][:, 0] = -100
    expected = record_activations(model, [Batch("en-de", inputs)])
    for dropped in (
        {"attention_mask", "decoder_attention_mask"},
        {"attention_mask", "decoder_attention_mask", "labels"},
    ):
        bare = {name: tensor for name, tensor in inputs.items() if name not in dropped}
        _assert_same(record_activations(model, [Batch("en-de", bare)]), expected)


@pytest.mark.parametrize("family", ["m2m100", "bart", "t5-gated"])
def test_labels_alone_make_the_decoder_inputs(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    start = model.config.decoder_start_token_id
    shifted = inputs["labels"].roll(1, dims=1).masked_fill(inputs["labels"].roll(1, dims=1) == -100, PAD)
    shifted[:, 0] = start
    alone = {name: inputs[name] for name in ("input_ids", "attention_mask", "labels")}
    given = alone | {"decoder_input_ids": shifted}
    _assert_same(record_activations(model, [Batch("en-de", alone)]), record_activations(model, [Batch("en-de", given)]))


def test_order_and_shards_of_the_batches_do_not_matter() -> None:
    model = build_family("m2m100")
    batches = _batches(model)
    whole = record_activations(model, batches)
    _assert_same(record_activations(model, reversed(batches)), whole)
    first, second = (record_activations(model, part) for part in (batches[:1], batches[1:]))
    _assert_same(first + second, whole)
    _assert_same(second + first, whole)


def test_bf16_autocast_counts_exactly() -> None:
    """More than 256 positions at which a neuron fires: bf16 itself can't count that far."""
    model = build_family("m2m100")
    with torch.no_grad():
        for site in find_ffn_sites(model):
            site.ups[0].bias[0] = 50.0
    batch = Batch("en-de", padded_inputs(model, rows=100))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        acts = record_activations(model, [batch])
        naive = _naive(model, [batch])["en-de"]
    for site, (counts, sums, tokens) in naive.items():
        assert acts.counts["en-de"][site].tolist() == counts
        assert acts.counts["en-de"][site][0] == tokens > 256
        torch.testing.assert_close(acts.magnitudes["en-de"][site], torch.tensor(sums).double(), rtol=1e-5, atol=0)


def test_the_precision_is_chosen_and_told() -> None:
    model = build_family("m2m100")
    batches = _batches(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        callers = record_activations(model, batches)
    chosen, exact = record_activations(model, batches, precision="bf16"), record_activations(model, batches)
    _assert_same(chosen, callers)
    _assert_same(record_activations(model, batches, precision="auto"), exact)  # on a CPU
    assert (callers.info.precision, chosen.info.precision, exact.info.precision) == ("bf16", "bf16", "float32")
    assert any(not chosen.magnitudes["en-de"][s].equal(exact.magnitudes["en-de"][s]) for s in exact.widths)


def test_models_in_half_precision() -> None:
    model = build_family("llama", dtype=torch.bfloat16)
    batches = _batches(model)
    acts, naive = record_activations(model, batches), _naive(model, batches)
    assert all(acts.counts[d][s].tolist() == naive[d][s][0] for d in naive for s in naive[d])


def test_the_model_is_left_as_it_was() -> None:
    """Modes, hooks and gradients are restored, and gradient checkpointing or dropout changes nothing."""
    model = build_family("m2m100")
    batches = _batches(model)
    expected = record_activations(model, batches)
    checkpoint_activations(model, True)
    model.train()
    model.model.encoder.eval()
    for layer in model.model.decoder.layers:
        layer.dropout = 0.5
    modes = [module.training for module in model.modules()]
    _assert_same(record_activations(model, batches), expected)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    "bad", [{"input_ids": torch.full((2, 6), VOCABULARY)}, {"decoder_input_ids": torch.full((2, 5), VOCABULARY)}]
)
def test_the_model_is_left_as_it_was_after_an_error(bad: Inputs) -> None:
    model = build_family("m2m100").train()
    inputs = padded_inputs(model, rows=2)
    with pytest.raises(IndexError):
        record_activations(model, [Batch("en-de", inputs), Batch("en-de", inputs | bad)])
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    "compiled",
    [lambda model: torch.compile(model, backend="eager"), lambda model: model.compile(backend="eager") or model],
    ids=["wrapped", "in place"],
)
def test_compiled_models_are_recorded_too(compiled: Callable[[nn.Module], nn.Module]) -> None:
    model = build_family("m2m100")
    batches = _batches(model)
    expected = record_activations(model, batches)
    _assert_same(record_activations(compiled(model), batches), expected)


def test_no_logits_are_computed() -> None:
    """The output layer projects one position of each row, and all of them again afterwards."""
    model = build_family("m2m100")
    inputs = padded_inputs(model)
    shapes: list[tuple[int, ...]] = []
    handle = model.lm_head.register_forward_hook(lambda _, args, output: shapes.append(tuple(output.shape)))
    record_activations(model, [Batch("en-de", inputs)])
    model(**inputs)
    handle.remove()
    assert shapes == [(3, 1, VOCABULARY), (3, 5, VOCABULARY)]


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_prompt_and_continuation_of_decoder_only_models(family: str) -> None:
    model = build_family(family)
    inputs = padded_inputs(model)
    inputs["labels"][:, :4] = -100
    batch = Batch("en-de", inputs)
    both, prompt, continuation = (
        record_activations(model, [batch], positions=chosen) for chosen in ("both", "prompt", "continuation")
    )
    expected = int((inputs["labels"] != -100).sum())
    for site in both.sites:
        assert continuation.tokens["en-de"][site] == expected > 0
        assert torch.equal(
            both.counts["en-de"][site], prompt.counts["en-de"][site] + continuation.counts["en-de"][site]
        )
        assert both.tokens["en-de"][site] == prompt.tokens["en-de"][site] + expected
    with pytest.raises(MaskError, match="positions differ"):
        prompt + continuation


def test_recording_some_sites_alone() -> None:
    model = build_family("m2m100")
    batches = _batches(model)
    sites = [site for site in find_ffn_sites(model) if site.name.startswith("encoder")]
    acts = record_activations(model, batches, sites=sites)
    assert acts.sites == ("encoder.0", "encoder.1")
    whole = record_activations(model, batches)
    assert torch.equal(acts.counts["en-de"]["encoder.1"], whole.counts["en-de"]["encoder.1"])


def _broken(model: nn.Module, site: FFNSite, value: float, where: torch.Tensor) -> None:
    def spoil(_: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (args[0].masked_fill(where[:, :, None], value), *args[1:])

    site.down.register_forward_pre_hook(spoil)


def test_nan_counts_at_text_is_an_error_and_at_padding_is_not() -> None:
    model = build_family("m2m100")
    inputs = padded_inputs(model, seed=2)
    expected = record_activations(model, [Batch("en-de", inputs)])
    last = find_ffn_sites(model)[-1]
    padding = inputs["decoder_attention_mask"] == 0
    assert padding.any()
    _broken(model, last, float("nan"), padding)
    _assert_same(record_activations(model, [Batch("en-de", inputs)]), expected)
    _broken(model, last, float("nan"), ~padding)
    with pytest.raises(MaskError, match=r"en-de at decoder\.2 aren't finite"):
        record_activations(model, [Batch("en-de", inputs)])


def _without(*names: str) -> Callable[[Inputs], Inputs]:
    return lambda inputs: {name: tensor for name, tensor in inputs.items() if name not in names}


@pytest.mark.parametrize(
    ("family", "change", "positions", "message"),
    [
        ("m2m100", _without("labels", "decoder_input_ids", "decoder_attention_mask"), "both", "no decoder_input_ids"),
        ("m2m100", _without(), "prompt", "for decoder-only models"),
        ("llama", _without("labels"), "prompt", "needs labels"),
        ("llama", _without(), "promt", "did you mean 'prompt'"),
        ("llama", lambda inputs: inputs | {"attention_mask": torch.ones(3, 1, 6, 6)}, "both", "expected .batch, time"),
    ],
)
def test_inputs_that_do_not_say_what_counts(
    family: str, change: Callable[[Inputs], Inputs], positions: str, message: str
) -> None:
    model = build_family(family)
    with pytest.raises(MaskError, match=message):
        record_activations(model, [Batch("en-de", change(padded_inputs(model)))], positions=positions)


def test_padding_that_looks_like_the_end_needs_an_attention_mask() -> None:
    model = build_family("llama")
    model.config.pad_token_id = EOS
    with pytest.raises(MaskError, match="batch of en-de: .* add attention_mask"):
        record_activations(model, [Batch("en-de", {"input_ids": torch.tensor([[5, 6, EOS]])})])


def test_a_batch_of_several_directions_is_not_counted_for_one() -> None:
    model, (german, french) = build_family("m2m100"), (Direction.parse("en-de"), Direction.parse("en-fr"))
    inputs = padded_inputs(model)
    rows = len(inputs["input_ids"])
    with pytest.raises(MaskError, match=r"rows of several directions \(en-de, en-fr\): give each batch rows of one"):
        record_activations(model, [MixedBatch(german, inputs, None, (german,) * (rows - 1) + (french,))])
    alike = MixedBatch(german, inputs, None, (german,) * rows)
    assert list(record_activations(model, [alike]).counts) == ["en-de"]


def test_no_batches() -> None:
    with pytest.raises(MaskError, match="no batches"):
        record_activations(build_family("m2m100"), [])


def test_sites_of_another_model() -> None:
    model, other = build_family("m2m100"), build_family("m2m100", seed=5)
    with pytest.raises(MaskError, match="took no part"):
        record_activations(model, _batches(model), sites=find_ffn_sites(other))


def test_positions_that_never_reach_the_ffn() -> None:
    model = build_family("opt")
    model.model.decoder.layers[0].fc2.register_forward_pre_hook(lambda _, args: (args[0][1:],))
    with pytest.raises(MaskError, match=r"layers\.0: 17 positions reached the FFN where the batch of en-de has 18"):
        record_activations(model, [Batch("en-de", padded_inputs(model))])


def test_two_processes_record_what_one_does(tmp_path: Path) -> None:
    """Uneven shards with different directions; every process ends with the sum."""
    command = [sys.executable, "-m", "tests.helpers.record_in_two_processes"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), tmp_path], stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    model = build_family("m2m100")
    expected = record_activations(model, _batches(model))
    for rank in range(2):
        _assert_same(Activations.load(tmp_path / f"{rank}.safetensors"), expected)
