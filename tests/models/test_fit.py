"""Folders whose tokenizer is missing, cut or foreign are refused: a wrong tokenizer gives wrong text and no error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.toy_corpus import toy_model, toy_tokenizer
from transformers import M2M100Config, M2M100ForConditionalGeneration

import neuronspec as ns
from neuronspec.core.errors import NeuronspecError
from neuronspec.models.load import load_model, load_with_tokenizer
from neuronspec.models.settings import TokenizerSettings
from neuronspec.models.tokenizer import load_tokenizer, train_tokenizer

SENTENCES = ["one two three house and tree", "eins zwei drei Haus und Baum"] * 30


def model_for(ids: int) -> M2M100ForConditionalGeneration:
    with torch.random.fork_rng(devices=[]):
        return M2M100ForConditionalGeneration(
            M2M100Config(
                vocab_size=ids, d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
                encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=32, bos_token_id=0,
                pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
            )
        )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit") / "model"
    tokenizer = train_tokenizer(SENTENCES, TokenizerSettings(vocabulary=125), ["en", "de"])
    tokenizer.save_pretrained(folder)
    model_for(len(tokenizer)).save_pretrained(folder)
    return folder


def changed(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


def removed(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def folder_in_its_place(folder: Path) -> None:
    removed(folder)
    (folder / "tokenizer.json").mkdir()


def foreign(folder: Path) -> None:
    toy_tokenizer().save_pretrained(folder)


def foreign_and_larger(folder: Path) -> None:
    train_tokenizer(SENTENCES, TokenizerSettings(vocabulary=140), ["en", "de"]).save_pretrained(folder)


CASES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no vocabulary": (removed, "tokenizer.json is missing.*copy it again"),
    "a folder": (folder_in_its_place, "tokenizer.json can't be read: it is a folder"),
    "Bert's class": (changed("tokenizer_config.json", tokenizer_class="BertTokenizer"), "BertTokenizer, which cuts"),
    "GPT's class": (changed("tokenizer_config.json", tokenizer_class="GPT2Tokenizer"), "GPT2Tokenizer, which cuts"),
    "T5's class": (changed("tokenizer_config.json", tokenizer_class="T5Tokenizer"), "can't be (read|loaded)"),
    "M2M100's class": (changed("tokenizer_config.json", tokenizer_class="M2M100Tokenizer"), "can't be (read|loaded)"),
    "fewer ids": (foreign, "the tokenizer has [0-9]+ ids and the model"),
    "more ids": (foreign_and_larger, "the tokenizer has [0-9]+ ids and the model"),
    "other ids": (changed("tokenizer_config.json", pad_token="<s>"), "pad_token_id is 0 in the tokenizer and 1"),
    "a text": (changed("tokenizer_config.json", model_max_length="x"), "model_max_length is 'x', no number"),
    "cut": (written("generation_config.json", '{"num_be'), "generation_config.json is damaged"),
    "a list": (written("generation_config.json", "[1]"), "generation_config.json is damaged"),
    "start": (changed("generation_config.json", decoder_start_token_id=9999), "decoder_start_token_id is 9999"),
    "word": (changed("generation_config.json", eos_token_id=["two"]), "eos_token_id is 'two'"),
}


@pytest.mark.parametrize(("damage", "message"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_refused(
    whole: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    damage(folder)
    with pytest.raises(NeuronspecError, match=message):
        ns.Translator(folder)
    with pytest.raises(NeuronspecError, match=message):
        load_with_tokenizer(folder), load_tokenizer(folder)


def test_what_fits_is_read(whole: Path) -> None:
    model, tokenizer = load_with_tokenizer(whole)
    assert model.config.vocab_size == len(tokenizer) == len(load_tokenizer(whole))
    assert ns.Translator(whole)("one two", "en-de") is not None


def test_a_model_may_have_some_more_ids_and_no_generation_config(whole: Path, tmp_path: Path) -> None:
    """As M2M100 has: its embeddings are padded to a round number."""
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    model_for(len(load_tokenizer(whole)) + 8).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    assert load_with_tokenizer(folder)


def test_the_end_of_a_sentence_is_known_without_the_generation_config(whole: Path, tmp_path: Path) -> None:
    expected = ns.Translator(whole)("one two", "en-de")
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    (folder / "generation_config.json").write_text('{"decoder_start_token_id": 2}')
    assert ns.Translator(folder)("one two", "en-de") == expected


def test_toy_models_of_the_tests_fit(tmp_path: Path) -> None:
    toy_model().save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    assert load_model(tmp_path).config.vocab_size == len(load_tokenizer(tmp_path))
