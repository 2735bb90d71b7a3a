"""Translations by the `transformers` engine are those of the stock `generate`, whatever the family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.masked import random_masks
from tests.helpers.prompted_checkpoints import PROMPTED
from tests.helpers.synthetic import write_table
from transformers import AutoTokenizer

from neuronspec.core.direction import Direction
from neuronspec.models.load import load_base, load_model
from neuronspec.models.pretrained import pretrained_tokenizer
from neuronspec.models.settings import ModelSettings
from neuronspec.specialization.apply import specialize
from neuronspec.translation.engine import ends_of
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.transformers_engine import TransformersEngine

EN_DE, DE_EN = Direction("en", "de"), Direction("de", "en")
SOURCES = ["one two three", "two", "", "three three one two one two", "one"]
LIMIT = 9


@pytest.fixture(scope="module", params=sorted(PROMPTED))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families")
    write_table(folder / "table.tsv", rows=200)
    lines = (folder / "table.tsv").read_text(encoding="utf-8").splitlines()[1:]
    made = PROMPTED[request.param](folder / request.param, [cell for line in lines for cell in line.split("\t")[1:]])
    model = load_model(made)
    torch.manual_seed(1)
    with torch.no_grad():  # so that what is written depends on what was read
        for name, weight in model.named_parameters():
            if weight.dim() == 2:  # large tied embeddings would repeat the last token
                weight.normal_(std=0.01 if request.param == "gemma2" and "embed" in name else 0.4)
    model.save_pretrained(made)
    return made


def opened(folder: Path) -> tuple[Any, Any]:
    settings = ModelSettings(pretrained=str(folder))
    tokenizer = pretrained_tokenizer(settings, [EN_DE, DE_EN])
    return load_base(settings, tokenizer), tokenizer


@pytest.mark.parametrize("beams", [1, 3])
def test_a_batch_is_translated_as_generate_translates_each_sentence(checkpoint: Path, beams: int) -> None:
    model, tokenizer = opened(checkpoint)
    settings = EvaluationSettings(beam=beams, max_new_tokens=LIMIT, max_length_ratio=20)
    engine = TransformersEngine(model, tokenizer, settings)
    found = engine.translate(SOURCES, EN_DE)
    frame = engine.text_format.frame
    assert len(set(found)) > 2
    for source, translation in zip(SOURCES, found, strict=True):
        if not source:
            assert translation == ""
            continue
        ids = torch.tensor(frame.sources([source], EN_DE))
        own = len(frame.start(EN_DE)) if not engine.text_format.is_causal else ids.shape[1]
        options = {} if engine.text_format.is_causal else {"decoder_input_ids": torch.tensor([frame.start(EN_DE)])}
        written = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), num_beams=beams, do_sample=False, early_stopping=True,
            max_length=own + LIMIT, eos_token_id=ends_of(model, engine.text_format), pad_token_id=frame.pad,
            forced_eos_token_id=None,
            **options,
        )[0, own:].tolist()  # fmt: skip
        ends = [place for place, token in enumerate(written) if token in ends_of(model, engine.text_format)]
        assert translation == frame.decode([written[: ends[0]] if ends else written])[0]


def test_a_specialized_model_translates_with_its_neurons(checkpoint: Path) -> None:
    """Its translations are another function's than the dense model's, and each direction's own."""
    model, tokenizer = opened(checkpoint)
    engine = TransformersEngine(model, tokenizer, EvaluationSettings(beam=2, max_new_tokens=LIMIT))
    before = engine.translate(SOURCES, EN_DE)
    specialize(model, random_masks(model), semantics="neuron")
    specialized, other_way = (engine.translate(SOURCES, direction) for direction in (EN_DE, DE_EN))
    assert specialized.nbest != before.nbest and specialized.nbest != other_way.nbest


def test_an_exported_tokenizer_opens_without_us(checkpoint: Path) -> None:
    """What is kept with the tokenizer hinders nobody."""
    _, tokenizer = opened(checkpoint)
    tokenizer.save_pretrained(checkpoint / "kept")
    stock = AutoTokenizer.from_pretrained(checkpoint / "kept")
    assert stock("one two")["input_ids"] == AutoTokenizer.from_pretrained(checkpoint)("one two")["input_ids"]
