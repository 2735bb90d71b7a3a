"""Batches for Hugging Face's `Trainer`: of one direction, and mixed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.families import build_family
from tests.helpers.toy_corpus import toy_tokenizer
from tests.models.test_text_format import words_tokenizer
from torch.utils.data import DataLoader
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import InputError, RecipeError
from neuronspec.models.text_format import TextFormat

SENTENCES = ["the cat sat on the mat", "a dog ran", "der Hund lief und die Katze", "le chat", "yes no maybe"] * 20
TEXT = [
    {"direction": "ro-de", "source": "the cat", "target": "der Hund lief"},
    {"direction": "de-ro", "source": "der Hund lief", "target": "a dog ran"},
    {"direction": Direction("ro", "de"), "source": "the dog ran on the mat", "target": "die Katze"},
]


@pytest.fixture(scope="module", params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = FAMILIES[request.param](tmp_path_factory.mktemp("checkpoint") / request.param, SENTENCES)
    return AutoModelForSeq2SeqLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def check_rows(model: Any, text_format: TextFormat, batch: dict[str, Any]) -> None:
    """Check that every row of a batch is what its pair alone would be, padded."""
    with torch.no_grad():
        logits = model(**{name: each for name, each in batch.items() if name != "directions"}).logits
    for row, feature in enumerate(TEXT):
        direction = Direction.parse(feature["direction"])
        alone = text_format.texts(direction, [feature["source"]], [feature["target"]])
        for name, tensor in alone.items():
            length = tensor.shape[1]
            assert torch.equal(batch[name][row, :length], tensor[0]), name
        takes_no_loss = batch["labels"][row, alone["labels"].shape[1] :]
        assert (takes_no_loss == -100).all()
        assert not batch["attention_mask"][row, alone["input_ids"].shape[1] :].any()
        with torch.no_grad():
            expected = model(**alone).logits[0]
        torch.testing.assert_close(logits[row, : len(expected)], expected, atol=1e-5, rtol=1e-4)


def test_a_mixed_batch_is_its_pairs_padded(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    batch = ns.DataCollator(tokenizer, model)(TEXT)
    assert batch["directions"] == ["ro-de", "de-ro", "ro-de"]
    check_rows(model, TextFormat.of_model(tokenizer, model), batch)


def test_ids_are_taken_as_the_tokenizer_gave_them(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    collator = ns.DataCollator(tokenizer, model)
    expected = collator(TEXT)
    ids = [
        {
            "direction": feature["direction"],
            "input_ids": expected["input_ids"][row][expected["attention_mask"][row] == 1].tolist(),
            "labels": [token for token in expected["labels"][row].tolist() if token != -100],
        }
        for row, feature in enumerate(TEXT)
    ]
    for given in (ids, [ids[0], TEXT[1], ids[2]]):
        batch = collator(given)
        for name in ("input_ids", "attention_mask", "directions"):
            assert torch.equal(torch.as_tensor(batch[name] == expected[name]).all(), torch.tensor(True)), name
        with torch.no_grad():
            loss, other = (
                model(
                    **{name: each for name, each in one.items() if name not in ("directions", "decoder_attention_mask")}
                )
                for one in (batch, expected)
            )
        if torch.equal(batch["labels"], expected["labels"]):
            torch.testing.assert_close(loss.loss, other.loss)


def test_ids_beside_text_leave_the_text_its_tag(checkpoint: tuple[Any, Any]) -> None:
    model, tokenizer = checkpoint
    collator = ns.DataCollator(tokenizer, model)
    expected = collator(TEXT[1:2])["decoder_input_ids"][0]
    batch = collator([{"direction": "ro-de", "input_ids": [4, 5, 2], "labels": [6, 7, 2]}, TEXT[1]])
    assert torch.equal(batch["decoder_input_ids"][1, : len(expected)], expected)
    assert batch["decoder_input_ids"][0, :3].tolist() == [model.config.decoder_start_token_id, 6, 7]


def test_models_that_are_trained_here_keep_their_tags() -> None:
    model, tokenizer = build_family("m2m100"), toy_tokenizer()
    model.resize_token_embeddings(len(tokenizer))
    features = [{"direction": "en-de", "source": "w1 w2", "target": "w2 w1"}]
    batch = ns.DataCollator(tokenizer, model)(features)
    expected = TextFormat.of(tokenizer, [Direction("en", "de")]).texts(Direction("en", "de"), ["w1 w2"], ["w2 w1"])
    assert all(torch.equal(batch[name], tensor) for name, tensor in expected.items())


def test_prompted_and_causal_models() -> None:
    for family, pad in (("t5", "<pad>"), ("llama", None)):
        model, tokenizer = build_family(family), words_tokenizer(pad)
        collator = ns.DataCollator(tokenizer, model, prompt="{source} : {text} {target} :")
        features = [
            {"direction": "de-en", "source": "a b c", "target": "x y"},
            {"direction": "en-de", "source": "a", "target": "x"},
        ]
        batch = collator(features)
        text_format = TextFormat.of_model(tokenizer, model, "{source} : {text} {target} :")
        for row, feature in enumerate(features):
            alone = text_format.texts(Direction.parse(feature["direction"]), [feature["source"]], [feature["target"]])
            assert torch.equal(batch["input_ids"][row][batch["attention_mask"][row] == 1], alone["input_ids"][0])
        assert torch.isfinite(model(**{name: each for name, each in batch.items() if name != "directions"}).loss)


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ({}, "feature 1 has no 'direction', only nothing.*remove_unused_columns=False"),
        ({"direction": "en-de", "source": "x"}, "feature 1 has no 'target', only direction, source"),
        ({"direction": "en-de", "input_ids": [1]}, "feature 1 has no 'source'"),
        ({"direction": "en-de", "source": "x", "target": None}, "feature 1: 'target' is None, and should be text"),
    ],
)
def test_features_that_lack_something_are_told(feature: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ns.DataCollator(words_tokenizer(), build_family("t5"))([TEXT[0], feature])
    with pytest.raises(InputError, match="no features"):
        ns.DataCollator(words_tokenizer(), build_family("t5"))([])


def test_the_sampler_groups_directions_and_leaves_none_out() -> None:
    directions = ["en-de"] * 7 + ["de-en"] * 5 + ["en-fr"] * 2
    sampler = ns.DirectionSampler(directions, batch_size=2, seed=3)
    assert len(sampler) == 14 and sorted(sampler) == list(range(14))
    batches = [{directions[place] for place in batch} for batch in DataLoader(range(14), 2, sampler=sampler)]  # type: ignore[arg-type,attr-defined]
    assert [len(names) for names in batches] == [1, 1, 1, 1, 1, 1, 2], "what is left over makes the last one"
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first and sorted(sampler) == sorted(first)
    with pytest.raises(RecipeError, match="batch_size is 0"):
        ns.DirectionSampler(directions, batch_size=0)
