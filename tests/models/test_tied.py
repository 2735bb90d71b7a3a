"""Models whose encoder has embeddings of its own: built, saved, opened here and by stock transformers, resized."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.helpers.toy_corpus import EN_DE, FORMAT, ToyStore, toy_tokenizer
from transformers import AutoModelForSeq2SeqLM

from neuronspec.models.dimensions import Dimensions
from neuronspec.models.id_map import IdMap
from neuronspec.models.load import build_model, load_model, outline_model
from neuronspec.models.resize import resize
from neuronspec.models.settings import ModelSettings
from neuronspec.training.trained import tables_of

SHAPE: dict[str, Any] = {"preset": "tiny", "d_model": 16, "encoder_layers": 1, "decoder_layers": 2}
SETTINGS = ModelSettings(**SHAPE, share_embeddings="decoder")
EVERYTHING_SHARED = ModelSettings(**SHAPE)


def inputs() -> dict[str, torch.Tensor]:
    pairs = ToyStore({EN_DE: 5}).pairs("train", EN_DE)
    return FORMAT.pieces([EN_DE] * 5, pairs.gather(np.arange(5)))


def tables(model: Any) -> tuple[torch.Tensor, ...]:
    return (
        model.model.encoder.embed_tokens.weight,
        model.model.decoder.embed_tokens.weight,
        model.model.shared.weight,
        model.lm_head.weight,
    )


def assert_separate(model: Any) -> None:
    encoder, *others = tables(model)
    assert len({id(table) for table in others}) == 1
    assert encoder is not others[0]


@pytest.fixture
def model() -> Any:
    """With another table in the encoder, as training makes it."""
    model = build_model(SETTINGS, toy_tokenizer(), seed=1).eval()
    torch.nn.init.normal_(model.model.encoder.embed_tokens.weight)
    return model


def test_a_new_model_has_two_tables() -> None:
    model, whole = (build_model(one, toy_tokenizer(), seed=1) for one in (SETTINGS, EVERYTHING_SHARED))
    assert_separate(model)
    assert len(tables_of(model)) == 2
    assert model.num_parameters() - whole.num_parameters() == whole.lm_head.weight.numel()
    expected = Dimensions.of_settings(SETTINGS, model.config.vocab_size)
    assert expected.parameters == model.num_parameters()
    assert Dimensions.of_config(model.config.to_dict()) == expected


def test_nothing_changes_without_the_key() -> None:
    model = build_model(EVERYTHING_SHARED, toy_tokenizer(), seed=1)
    assert "share_embeddings" not in model.config.to_dict()
    assert len({id(table) for table in tables(model)}) == 1


def test_the_tables_train_apart(model: Any) -> None:
    model(**inputs()).logits.square().sum().backward()
    encoder, decoder, *_ = tables(model)
    assert encoder.grad is not None
    assert decoder.grad is not None
    assert not torch.equal(encoder.grad, decoder.grad)


@pytest.mark.parametrize("equal", [False, True])
def test_saved_and_opened(model: Any, tmp_path: Path, equal: bool, caplog: pytest.LogCaptureFixture) -> None:
    if equal:
        model.model.encoder.embed_tokens.weight.data.copy_(model.lm_head.weight.data)
    model.save_pretrained(tmp_path)
    transformers_logger = logging.getLogger("transformers")
    transformers_logger.addHandler(caplog.handler)
    try:
        opened: Any = load_model(tmp_path, "cpu")
    finally:
        transformers_logger.removeHandler(caplog.handler)
    assert "encoder.embed_tokens" not in caplog.text
    assert_separate(opened)
    opened.tie_weights()
    assert_separate(opened)
    assert_separate(outline_model(tmp_path))
    with torch.no_grad():
        expected = model(**inputs()).logits
        stock = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
        for other in (opened, stock):
            torch.testing.assert_close(other(**inputs()).logits, expected)
    opened.save_pretrained(tmp_path / "again")
    assert_separate(load_model(tmp_path / "again", "cpu"))


def test_a_changed_vocabulary_keeps_them_apart(model: Any) -> None:
    kept = [0, 1, 2, 3, 5, 7, 16, 17, 18, 19]
    before = [table.detach()[kept] for table in tables(model)]
    resize(model, IdMap(model.config.vocab_size, kept))
    assert_separate(model)
    for old, new in zip(before, tables(model), strict=True):
        assert torch.equal(old, new)


def test_fairseq_weights() -> None:
    model: Any = build_model(ModelSettings(**SHAPE, init="fairseq"), toy_tokenizer(), seed=1)
    layer = model.model.decoder.layers[1]
    heads = layer.encoder_attn
    bounds = {
        heads.q_proj.weight: (6 / 32) ** 0.5 * 2**-0.5,
        heads.out_proj.weight: (6 / 32) ** 0.5,
        layer.fc1.weight: 16**-0.5,
        layer.fc1.bias: 16**-0.5,
        layer.fc2.weight: 512**-0.5,
    }
    for weight, bound in bounds.items():
        assert 0.9 * bound < weight.abs().max() <= bound
    assert not heads.out_proj.bias.any()
    assert heads.q_proj.bias.abs().max() <= 0.25
    normal: Any = build_model(EVERYTHING_SHARED, toy_tokenizer(), seed=1)
    assert torch.equal(model.lm_head.weight, normal.lm_head.weight)
    assert not torch.equal(layer.fc1.weight, normal.model.decoder.layers[1].fc1.weight)


@pytest.mark.parametrize("field", [{"share_embeddings": "decoder"}, {"init": "fairseq"}])
def test_a_pretrained_model_is_as_it_is(field: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(field))} is of a new model"):
        ModelSettings(pretrained="some/model", **field)
