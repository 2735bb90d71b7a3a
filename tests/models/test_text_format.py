"""Sentence pairs as each kind of model reads them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.families import build_family
from tests.helpers.toy_corpus import DE_EN, EN_DE, LAYOUT, toy_tokenizer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, RecipeError
from neuronspec.models.frames import IGNORED, Tagged
from neuronspec.models.ragged import Ragged
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import load_tokenizer
from neuronspec.translation.sources import prepare_sources

WORDS = "<s> <pad> </s> <unk> a b c German English : translate to de en x y z French".split()  # noqa: SIM905
PAIRS = [("a b", "x"), ("a", "x y")]


def words_tokenizer(pad: str | None = "<pad>") -> Any:
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=pad, eos_token="</s>", unk_token="<unk>")


def text(tokenizer: Any, ids: torch.Tensor) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens([int(token) for token in ids if token >= 0]))


def test_t5_gets_its_prefix_and_a_prompt_of_ones_own() -> None:
    model, tokenizer = build_family("t5"), words_tokenizer()
    (batch,) = TextFormat.of_model(tokenizer, model).batches(Direction("de", "en"), PAIRS)
    assert text(tokenizer, batch.inputs["input_ids"][0]) == "translate German to <unk> a b"  # `English:`
    assert text(tokenizer, batch.inputs["labels"][0]) == "x </s>"
    assert batch.inputs["labels"][0].tolist()[2:] == [-100]
    assert batch.inputs["decoder_input_ids"].shape == batch.inputs["labels"].shape
    (batch,) = TextFormat.of_model(tokenizer, model, "{source_code} {target_code} : {text}").batches(
        Direction("de", "en"), PAIRS
    )
    assert text(tokenizer, batch.inputs["input_ids"][0]) == "de en : a b"


def test_a_decoder_only_model_reads_source_and_target_in_a_row() -> None:
    model, tokenizer = build_family("llama"), words_tokenizer(pad=None)
    (batch,) = TextFormat.of_model(tokenizer, model, "{source} : {text} {target} :").batches(
        Direction("de", "en"), PAIRS
    )
    ids, labels, mask = (batch.inputs[name] for name in ("input_ids", "labels", "attention_mask"))
    assert text(tokenizer, ids[0]) == "German : a b English : x </s>"
    assert text(tokenizer, labels[0]) == "x </s>" and text(tokenizer, labels[1]) == "x y </s>"
    assert mask.sum(1).tolist() == [8, 8]


def test_text_with_braces_stays_text() -> None:
    model, tokenizer = build_family("t5"), words_tokenizer()
    (batch,) = TextFormat.of_model(tokenizer, model, "{text}").batches(Direction("de", "en"), [("{source} a", "x")])
    assert text(tokenizer, batch.inputs["input_ids"][0]) == "<unk> a"


def test_tokenizers_with_languages_get_their_own_codes(finished_tokenizer: Any) -> None:
    model = build_family("m2m100")
    text_format = TextFormat.of_model(finished_tokenizer, model)
    (batch,) = text_format.batches(Direction("en", "de"), [("one two", "eins zwei")])
    first, last = batch.inputs["input_ids"][0][0], batch.inputs["input_ids"][0][-1]
    assert finished_tokenizer.convert_ids_to_tokens([int(first), int(last)]) == ["__en__", "</s>"]
    labels, read = batch.inputs["labels"][0], batch.inputs["decoder_input_ids"][0]
    assert finished_tokenizer.convert_ids_to_tokens(int(read[1])) == "__de__" and labels[0] == IGNORED
    assert read[2:].tolist() == labels[1:-1].tolist() and int(read[0]) == model.config.decoder_start_token_id
    with pytest.raises(DirectionError, match="no tag for language 'ru'"):
        list(text_format.batches(Direction("en", "ru"), [("one", "odin")]))


@pytest.fixture(scope="module")
def finished_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tokenizer of a prepared toy run."""
    from tests.helpers.synthetic import write_recipe

    from neuronspec.recipe import Recipe
    from neuronspec.runs.pipeline import Pipeline

    folder = tmp_path_factory.mktemp("toy")
    Pipeline(Recipe.load(write_recipe(folder)), folder / "run").execute("prepare")
    return load_tokenizer(folder / "run" / "data" / "tokenizer")


def test_wrong_prompts_are_errors() -> None:
    model, tokenizer = build_family("t5"), words_tokenizer()
    with pytest.raises(RecipeError, match=r"unknown place \{sourc\}; did you mean 'source'"):
        TextFormat.of_model(tokenizer, model, "{sourc}: {text}")
    with pytest.raises(RecipeError, match=r"no \{text\}"):
        TextFormat.of_model(tokenizer, model, "{source}: ")


def test_a_tokenizer_without_padding_or_end_is_refused() -> None:
    tokenizer = words_tokenizer(pad=None)
    tokenizer.eos_token = None
    model = build_family("llama")
    model.config.eos_token_id = None
    with pytest.raises(ModelError, match="neither a padding nor an end token"):
        TextFormat.of_model(tokenizer, model)


def test_layout_of_a_tokenizer() -> None:
    found = TextFormat.of(toy_tokenizer(), [EN_DE, DE_EN])
    assert found == TextFormat(Tagged({code: LAYOUT.tags[code] for code in ("de", "en")}, LAYOUT.pad, LAYOUT.eos))


def test_language_without_a_tag_is_named() -> None:
    with pytest.raises(DirectionError, match="uk"):
        TextFormat.of(toy_tokenizer(), [Direction("en", "uk")])


def test_text_is_framed_as_its_pieces() -> None:
    found = TextFormat.of(toy_tokenizer(), [EN_DE]).texts(EN_DE, ["w0 w1", "w2"], ["w3", ""])
    expected = TextFormat(LAYOUT).pieces([EN_DE, EN_DE], (Ragged.of([[4, 5], [6]]), Ragged.of([[7], []])))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_tokenizer_that_normalises_gets_text_as_it_is_written() -> None:
    plain, normalising = words_tokenizer(), words_tokenizer()
    normalising.backend_tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    line = "  a\u200e b\u00a0c  "
    for tokenizer, cleaning, seen in (
        (plain, "neuronspec", ["a", "b", "c"]),
        (normalising, "tokenizer", ["<unk>", "b", "c"]),
    ):
        assert TextFormat.of_model(tokenizer, build_family("llama")).cleaning == cleaning
        text_format = TextFormat.of_model(tokenizer, build_family("t5"), "{text}")
        (part,) = prepare_sources(text_format, [line, " \u200e"], None, "error", EN_DE).parts
        assert tokenizer.convert_ids_to_tokens(part.ids) == seen
    assert TextFormat.of(toy_tokenizer(), [EN_DE]).cleaning == "neuronspec"
