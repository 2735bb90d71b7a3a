"""Presets, deterministic initialisation, and loading of folders whole and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from tests.helpers.families import build_family
from tests.helpers.toy_corpus import toy_model, toy_tokenizer

from neuronspec.core.errors import ModelError, RecipeError
from neuronspec.models.load import build_model, load_model, load_with_tokenizer
from neuronspec.models.presets import PRESETS
from neuronspec.models.settings import ModelSettings

SMALLEST = ModelSettings(preset="tiny", d_model=16, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=24)


def shape(preset: str) -> tuple[int, ...]:
    names = ("d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim")
    heads = ("encoder_attention_heads", "decoder_attention_heads")
    return tuple(PRESETS.get(preset)[name] for name in (*names, *heads))


def test_presets_of_the_paper() -> None:
    assert shape("small") == (512, 6, 6, 1024, 1024, 4, 4)
    assert shape("big") == (1024, 6, 6, 4096, 4096, 16, 16)
    assert set(PRESETS) == {"tiny", "small", "big"}


def test_settings_reach_the_model() -> None:
    tokenizer = toy_tokenizer()
    model = build_model(SMALLEST, tokenizer, seed=1)
    config = model.config
    assert (len(model.model.encoder.layers), len(model.model.decoder.layers)) == (1, 2)
    assert model.model.encoder.layers[0].fc1.out_features == 24
    assert model.model.decoder.layers[0].fc1.out_features == PRESETS.get("tiny")["decoder_ffn_dim"]
    assert (config.encoder_layerdrop, config.decoder_layerdrop) == (0, 0)
    assert config.vocab_size == len(tokenizer) == model.lm_head.out_features
    assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (0, 1, 2)
    assert config.decoder_start_token_id == 2
    assert config.max_position_embeddings >= 256 + 2
    generation = model.generation_config
    assert (generation.num_beams, generation.decoder_start_token_id) == (5, 2)
    assert generation.forced_bos_token_id is None


def test_embeddings_are_one_tensor_with_a_zero_padding_row() -> None:
    model = build_model(SMALLEST, toy_tokenizer(), seed=1)
    pointers = {
        module.weight.data_ptr()
        for module in (
            model.lm_head,
            model.model.shared,
            model.model.encoder.embed_tokens,
            model.model.decoder.embed_tokens,
        )
    }
    assert len(pointers) == 1
    assert not model.model.shared.weight[1].any()
    assert model.model.shared.weight.std().item() == pytest.approx(16**-0.5, rel=0.2)


def test_every_field_is_open() -> None:
    settings = ModelSettings(preset="tiny", d_model=16, dropout=0.3, activation_function="gelu", init_std=0.01)
    model = build_model(settings, toy_tokenizer(), seed=1)
    assert (model.config.dropout, model.config.activation_function) == (0.3, "gelu")
    assert model.lm_head.weight.std() < 0.02


def test_weights_depend_on_the_seed_alone_and_leave_the_random_state() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = build_model(SMALLEST, toy_tokenizer(), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    again, other = (build_model(SMALLEST, toy_tokenizer(), seed=seed) for seed in (1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


def test_heads_that_do_not_divide_the_width() -> None:
    message = "model.d_model 50 can't be divided among model.encoder_attention_heads 4; .* such as 48"
    with pytest.raises(ValidationError, match=message):
        ModelSettings(preset="tiny", d_model=50, decoder_attention_heads=5)
    with pytest.raises(ValidationError, match="too small for sinusoidal positions"):
        ModelSettings(preset="tiny", d_model=2, encoder_attention_heads=1, decoder_attention_heads=1)


def test_tokenizer_without_padding() -> None:
    tokenizer = toy_tokenizer()
    tokenizer.pad_token = None
    with pytest.raises(ModelError, match="no pad_token_id"):
        build_model(SMALLEST, tokenizer, seed=1)


def test_load_gives_back_what_was_saved(tmp_path: Path) -> None:
    model = toy_model()
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, "cpu")
    assert not loaded.training
    for (name, expected), (other, found) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(expected, found)
    assert loaded.lm_head.weight.data_ptr() == loaded.model.shared.weight.data_ptr()


def test_load_in_float32_whatever_was_saved(tmp_path: Path) -> None:
    toy_model(dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert {value.dtype for value in load_model(tmp_path).parameters()} == {torch.float32}


@pytest.mark.parametrize(
    "kind", ["absent", "empty", "config", "no weights", "cut off", "another shape", "tensor missing"]
)
def test_broken_folders_are_named(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "model"
    if kind != "absent":
        folder.mkdir()
    if kind not in ("absent", "empty"):
        toy_model().save_pretrained(folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if kind == "config":
        config.write_text("{not json")
    elif kind == "no weights":
        weights.unlink()
    elif kind == "cut off":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif kind == "another shape":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"encoder_ffn_dim": 40}))
    elif kind == "tensor missing":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"decoder_layers": 2}))
    with pytest.raises(ModelError, match=str(folder)) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 2000


def test_a_decoder_only_model_is_opened_too(tmp_path: Path) -> None:
    model = build_family("llama", dtype=torch.bfloat16)
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, "cpu")
    assert type(loaded) is type(model) and not loaded.training and loaded.dtype == torch.float32
    as_saved = load_model(tmp_path, "cpu", dtype="auto")
    assert as_saved.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), as_saved.parameters(), strict=True))


def test_umt5_where_transformers_computes_it_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its decoder isn't causal before 5.18."""
    build_family("umt5").save_pretrained(tmp_path)
    monkeypatch.setattr("neuronspec.models.compatibility.transformers.__version__", "5.18.0")
    load_model(tmp_path)
    monkeypatch.setattr("neuronspec.models.compatibility.transformers.__version__", "5.17.1")
    with pytest.raises(ModelError, match=r"in transformers 5\.17\.1 the decoder of UMT5.*install transformers 5\.18"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["runs/demo/bse", "./no-such", "../no/such", "/no/such", "no such"])
def test_a_path_that_is_no_folder_is_not_looked_for_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", lambda *_, **__: pytest.fail("it was asked for"))
    with pytest.raises(ModelError, match=f"there is no folder {name} here, and models on the .* have names like user"):
        load_model(name)


def test_a_name_that_is_no_folder_is_one_of_the_hub() -> None:
    with pytest.raises(ModelError, match="no folder no/such here, and as a hub's name the model no/such can't"):
        load_model("no/such")


def test_a_missing_tokenizer_is_named(tmp_path: Path) -> None:
    build_family("llama").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"the model in {tmp_path} can't be loaded"):
        load_with_tokenizer(tmp_path)


def _saved(folder: Path) -> Path:
    build_family("m2m100").save_pretrained(folder)
    return folder


def _json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _json(folder / "config.json", encoder_layers=99_999), "encoder_layers is 99,999"),
        (lambda folder: _json(folder / "config.json", d_model=10**9), "d_model is 1,000,000,000, and no tensor"),
        (lambda folder: _json(folder / "config.json", max_position_embeddings=10**9), "max_position_embeddings is"),
        (lambda folder: _json(folder / "config.json", dropout=-1), "dropout is -1; a share is between 0 and 1"),
        (lambda folder: _json(folder / "config.json", decoder_layerdrop=1.5), "decoder_layerdrop is 1.5; a share"),
        (lambda folder: _json(folder / "config.json", encoder_layers="two"), "can't be loaded"),
        (lambda folder: _json(folder / "config.json", encoder_layers=[[]]), "can't be loaded"),
        (lambda folder: (folder / "config.json").write_text("[]"), r"config.json is damaged \(the whole is \[\]"),
        (lambda folder: (folder / "config.json").write_bytes(b"\xff"), r"config.json is damaged \(not UTF-8"),
        (lambda folder: (folder / "generation_config.json").write_text("{"), r"generation_config.json is damaged"),
        (
            lambda folder: _json(folder / "generation_config.json", eos_token_id=10**30),
            "eos_token_id is 1000",
        ),
        (
            lambda folder: _json(folder / "generation_config.json", pad_token_id="x"),
            "pad_token_id is .x.",
        ),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "/etc/passwd"}}'),
            r"index.json is damaged \(weight_map.*'/etc/passwd' is no file in the folder",
        ),
    ],
)
def test_files_of_the_wrong_type_or_size_are_named(tmp_path: Path, damage: Any, message: str) -> None:
    damage(_saved(tmp_path))
    with pytest.raises(ModelError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_that_would_run_code_are_refused_without_advice_to_let_them(tmp_path: Path) -> None:
    _saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()

    class Evil:
        def __reduce__(self) -> Any:
            return print, ("ran",)

    torch.save({"a": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="could run code when they are read; they were not read") as caught:
        load_model(tmp_path)
    assert "weights_only" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no CUDA GPU here; leave --device out"):
        load_model(_saved(tmp_path), "cuda")
