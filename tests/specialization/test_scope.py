"""The direction scope: nesting, errors, threads, hooks, kept weights, dropout, precision."""

from __future__ import annotations

import threading
from itertools import permutations

import pytest
import torch
from tests.helpers.families import PAD, build_family, padded_inputs
from tests.helpers.masked import naive, random_masks
from torch import nn
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.models.linear import weight_of
from neuronspec.models.sites import find_ffn_sites
from neuronspec.specialization import model_state
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.compact import compact, compact_report
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.scope import serve, use_direction, use_directions
from neuronspec.specialization.selected import Selection


def _logits(model: nn.Module, inputs: dict) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


def _specialized(family: str = "m2m100", **options: object) -> tuple[nn.Module, dict, dict[str, torch.Tensor]]:
    """A model, inputs, and what it should give in each direction and densely."""
    model = build_family(family)
    inputs, masks = padded_inputs(model), random_masks(model)
    expected = {}
    with torch.no_grad():
        expected["dense"] = model(**inputs).logits
        for direction, by_site in masks.items():
            expected[direction] = naive(model, by_site, "weight", inputs).logits
    specialize(model, masks, **options)
    return model, inputs, expected


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, atol=2e-5)


def test_scopes_nest_and_restore_also_after_an_exception() -> None:
    model, inputs, expected = _specialized()
    assert not _same(expected["en-de"], expected["de-en"])
    assert not _same(expected["en-de"], expected["dense"])
    assert _same(_logits(model, inputs), expected["dense"])
    with use_direction(model, "en-de"):
        assert _same(_logits(model, inputs), expected["en-de"])
        with use_direction(model, Direction("de", "en")):
            assert _same(_logits(model, inputs), expected["de-en"])
        assert _same(_logits(model, inputs), expected["en-de"])
        with pytest.raises(KeyError), use_direction(model, "de-en"):
            raise KeyError
        assert _same(_logits(model, inputs), expected["en-de"])
    assert _same(_logits(model, inputs), expected["dense"])


def test_directions_without_masks_are_refused_and_the_scope_around_stays() -> None:
    model, inputs, expected = _specialized()
    with use_direction(model, "en-de"):
        with (
            pytest.raises(DirectionError, match=r"no masks for direction en-dd.*did you mean 'en-de'\? Valid: en-de, "),
            use_direction(model, "en-dd"),
        ):
            pass
        assert _same(_logits(model, inputs), expected["en-de"])
    with pytest.raises(DirectionError, match="en-dd"), use_directions(model, ["en-de", "en-dd"]):
        pass
    with pytest.raises(DirectionError, match="no directions"), use_directions(model, []):
        pass
    with pytest.raises(DirectionError, match="no masks for direction english"), use_direction(model, "english"):
        pass


def test_a_dense_model_has_no_directions() -> None:
    with (
        pytest.raises(ModelError, match="isn't specialized: call specialize"),
        use_direction(build_family("t5"), "en-de"),
    ):
        pass


def test_scopes_that_cross_are_an_error_not_a_wrong_result() -> None:
    model, inputs, expected = _specialized()
    first, second = use_direction(model, "en-de"), use_direction(model, "de-en")
    first.__enter__()
    second.__enter__()
    with pytest.raises(DirectionError, match="ended inside of another"):
        first.__exit__(None, None, None)
    with pytest.raises(DirectionError, match="ended inside of another"):
        second.__exit__(None, None, None)
    assert _same(_logits(model, inputs), expected["dense"])


def test_a_second_thread_is_told_to_wait_and_sees_the_open_direction_in_its_forward() -> None:
    """A thread that only calls the model (as streaming generation does) computes the direction of the open block."""
    model, inputs, expected = _specialized()
    seen: list[object] = []

    def enter() -> None:
        seen.append(_logits(model, inputs))
        try:
            with use_direction(model, "de-en"):
                seen.append("entered")
        except DirectionError as error:
            seen.append(str(error))

    with use_direction(model, "en-de"):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert _same(_logits(model, inputs), expected["en-de"])
    assert _same(seen[0], expected["en-de"])
    assert "used for en-de by another thread" in seen[1]
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen[-1] == "entered"


def test_a_batch_that_does_not_fit_the_directions_is_refused() -> None:
    for family in ("m2m100", "opt"):  # OPT flattens [rows, time], which 2 divides
        model, inputs, _ = _specialized(family)
        wrong = pytest.raises(DirectionError, match="3 rows with 2 directions")
        with use_directions(model, ["en-de", "de-en"]), wrong:
            model(**inputs)
        model(**inputs)
    encoder = build_family("m2m100")
    specialize(encoder, random_masks(encoder))
    with (
        use_directions(encoder, ["en-de", "de-en"]),
        pytest.raises(DirectionError, match="batch of 3 rows doesn't fit"),
    ):
        encoder.get_encoder()(padded_inputs(encoder)["input_ids"])


def test_compact_is_refused_for_mixed_batches_and_used_where_all_rows_agree() -> None:
    model, inputs, expected = _specialized(method="compact")
    with pytest.raises(DirectionError, match="one direction at a time"), use_directions(model, ["en-de", "de-en"]):
        pass
    with use_directions(model, ["en-de"] * 3):
        assert _same(_logits(model, inputs), expected["en-de"])


def test_hooks_on_down_see_every_neuron() -> None:
    model, inputs, expected = _specialized()
    widths: list[int] = []
    site = find_ffn_sites(model)[-1]
    with use_direction(model, "en-de"):
        assert _same(_logits(model, inputs), expected["en-de"])
        handle = site.down.register_forward_pre_hook(lambda module, args: widths.append(args[0].shape[-1]))
        assert _same(_logits(model, inputs), expected["en-de"])
        handle.remove()
    assert widths == [site.width]


def _width_computed(model: nn.Module, rows: int, gradients: bool) -> int:
    """The width that the first encoder layer computes for `rows` rows of 6 tokens."""
    seen: list[int] = []
    site = find_ffn_sites(model)[0]
    handle = site.activation.register_forward_hook(lambda module, args, out: seen.append(out.shape[-1]))
    with torch.set_grad_enabled(gradients), use_direction(model, "en-de"):
        model(**padded_inputs(model, rows=rows))
    handle.remove()
    return seen[0]


def test_auto_is_compact_where_it_pays() -> None:
    """In training with many tokens, without gradients always; 50 of 100 neurons are padded to 64."""
    config = M2M100Config(
        vocab_size=50, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=100, decoder_ffn_dim=100,
        encoder_attention_heads=2, decoder_attention_heads=2, pad_token_id=PAD, max_position_embeddings=64,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config).eval()
    half = torch.arange(100) < 50
    specialize(model, {"en-de": {"encoder.0": half, "decoder.0": half}})
    assert _width_computed(model, rows=2, gradients=True) == 100
    assert _width_computed(model, rows=20, gradients=True) == 64
    assert _width_computed(model, rows=2, gradients=False) == 64
    unspecialize(model)
    almost = torch.arange(100) < 99
    specialize(model, {"en-de": {"encoder.0": almost, "decoder.0": almost}})
    assert _width_computed(model, rows=2, gradients=False) == 100


def test_auto_is_decided_once_per_scope() -> None:
    """At the first forward pass with gradients, of the model or of what it hands to its head."""
    model, seen = build_family("m2m100").eval(), list[int]()
    sites = find_ffn_sites(model)
    half = {site.name: torch.arange(site.width) < site.width // 2 for site in sites}
    specialize(model, {"en-de": half, "de-en": half})
    full = sites[1].width

    def see(module: nn.Module, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> None:
        if out.dim() > 1:  # else the constants of unselected neurons
            seen.append(out.shape[-1])

    sites[1].activation.register_forward_hook(see)
    few, many = padded_inputs(model, rows=1), padded_inputs(model, rows=40)
    del few["labels"], many["labels"]
    with use_direction(model, "en-de"):
        model(**few)
        model(**many)
        with use_direction(model, "de-en"):
            model.base_model(**many)
        model(**many)
        with torch.no_grad():
            model(**few)
    assert [width == full for width in seen] == [True, True, False, True, False]
    assert specialization_of(model).places[1].selection is None
    with use_direction(model, "en-de"):
        sites[1].ups[0](torch.zeros(1, weight_of(sites[1].ups[0]).shape[1]))  # called by itself, it decides for itself
        assert specialization_of(model).active.compact == [None] * len(sites)


def test_kept_weights_follow_the_parameters() -> None:
    """Without gradients gathered weights are kept in a scope; any change of a parameter makes them anew."""
    model, inputs, _ = _specialized()
    masks = specialization_of(model).masks
    with torch.no_grad(), use_direction(model, "en-de"):
        first = model(**inputs).logits
        kept = specialization_of(model).active.weights
        assert len(kept) == 2 * len(find_ffn_sites(model))
        weights = {layer: entry[1][0] for layer, entry in kept.items()}
        assert torch.equal(model(**inputs).logits, first)
        assert all(kept[layer][1][0] is weight for layer, weight in weights.items())
        bias = model.model.encoder.layers[0].fc1.bias
        bias.add_(0.5)
        changed = model(**inputs).logits
        model.load_state_dict(build_family("m2m100", seed=5).state_dict())
        loaded = model(**inputs).logits
    assert not _same(changed, first)
    other = build_family("m2m100", seed=5)
    assert _same(loaded, naive(other, masks["en-de"], "weight", inputs).logits)


@pytest.mark.parametrize("semantics", ["weight", "neuron"])
def test_dropout_on_neurons_drops_constants_of_unselected_ones_too(semantics: str) -> None:
    """With the same random numbers, auto equals masked weights in training; compact says that it can't."""
    model = build_family("m2m100").train()
    inputs, masks = padded_inputs(model), random_masks(model)
    for site in find_ffn_sites(model):
        site.block.activation_dropout = 0.5
    torch.manual_seed(3)
    expected = naive(model, masks["en-de"], semantics, inputs).logits
    for method in ("auto", "rows"):
        specialize(model, masks, semantics=semantics, method=method)
        torch.manual_seed(3)
        with use_direction(model, "en-de"):
            assert _same(model(**inputs).logits, expected)
        unspecialize(model)
    specialize(model, masks, semantics=semantics, method="compact")
    with use_direction(model, "en-de"):
        if semantics == "neuron":
            model(**inputs)
        else:
            with pytest.raises(ModelError, match="encoder.0 drops out neurons.*method='auto'"):
                model(**inputs)
        model.eval()
        model(**inputs)


@pytest.mark.parametrize("family", ["m2m100", "t5-gated", "llama-bias", "gpt2"])
@pytest.mark.parametrize("method", ["compact", "rows"])
def test_autocast_in_bfloat16(family: str, method: str) -> None:
    model, inputs, expected = _specialized(family, method=method)
    scale = expected["en-de"].abs().max()
    with torch.autocast("cpu", torch.bfloat16), use_direction(model, "en-de"):
        model(**inputs).loss.backward()
    with torch.autocast("cpu", torch.bfloat16), use_direction(model, "en-de"):
        run = model(**inputs)
    run.loss.backward()
    with torch.autocast("cpu", torch.bfloat16), use_direction(model, "en-de"):
        without_gradients = _logits(model, inputs)
        again = _logits(model, inputs)
    assert all(parameter.grad is None or parameter.grad.dtype == torch.float32 for parameter in model.parameters())
    for logits in (run.logits, without_gradients, again):
        assert (logits.float() - expected["en-de"]).abs().max() < 0.1 * scale
    site = find_ffn_sites(model)[0]
    assert site.down.weight.grad.abs().sum() > 0


def test_a_model_in_bfloat16() -> None:
    model, inputs, _ = _specialized(method="compact")
    model.bfloat16()
    with use_direction(model, "en-de"):
        run = model(**inputs)
        run.loss.backward()
        assert run.logits.dtype == torch.bfloat16
        assert _logits(model, inputs).dtype == torch.bfloat16


def test_masks_with_the_codes_of_nllb() -> None:
    model, inputs, expected = _specialized()
    masks = random_masks(model)
    unspecialize(model)
    specialize(model, {"eng_Latn-deu_Latn": masks["en-de"], "deu_Latn-eng_Latn": masks["de-en"]})
    for spelled in ("eng_Latn-deu_Latn", "en-de", "EN-de-AT"):
        with use_direction(model, spelled):
            assert _same(_logits(model, inputs), expected["en-de"])


def test_directions_in_any_spelling() -> None:
    model, inputs, expected = _specialized()
    for spelled in ("EN-de", "eng_Latn-deu_Latn", "en-US-DE", Direction("EN", "ger")):
        with use_direction(model, spelled):
            assert _same(_logits(model, inputs), expected["en-de"])
    small = compact(model, "ENG-de")
    assert compact_report(small).direction == "en-de"
    assert torch.allclose(_logits(small, inputs), expected["en-de"], atol=1e-5)
    for wrong in (None, 7, b"en-de", ["en-de"]):
        with pytest.raises(DirectionError, match="a direction is a str such as 'en-de' or a Direction, not"):
            use_direction(model, wrong).__enter__()  # type: ignore[arg-type]


def test_many_composed_directions_have_their_own_neurons(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU a selection holds a copy of its mask; a mask that nobody holds leaves its id to another one."""

    class OnDevice(Selection):
        def __init__(self, mask: torch.Tensor, device: torch.device) -> None:
            super().__init__(mask, device)
            self.mask = mask.clone()

    monkeypatch.setattr(model_state, "Selection", OnDevice)
    languages = ["de", "fr", "cs", "it", "es"]
    model = build_family("m2m100")
    trained = [f"{way[0]}-{way[1]}" for one in languages for way in (("en", one), (one, "en"))]
    specialize(model, random_masks(model, tuple(trained)))
    state = specialization_of(model)
    composed = [f"{source}-{target}" for source, target in permutations(languages, 2)]
    for direction in (*trained, *composed):
        serve(model, Direction.parse(direction), "en")
        with use_direction(model, direction):
            for place in state.places:
                assert torch.equal(place.selection.mask, state.masks[direction][place.site.name]), direction


def test_a_copy_that_was_made_in_a_scope_is_free_of_it() -> None:
    model, inputs, expected = _specialized()
    rows = len(inputs["input_ids"])
    with use_directions(model, ["en-de", "de-en"] * rows):
        small = compact(model, "en-de")
    torch.testing.assert_close(_logits(small, inputs), expected["en-de"], rtol=1e-4, atol=1e-5)
