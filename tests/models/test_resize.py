"""A model with fewer ids computes what the whole one does: tied or untied, with a bias of the logits or without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.families import PAD, VOCABULARY, build_family, padded_inputs
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GenerationConfig

from neuronspec.core.errors import ModelError
from neuronspec.models.id_map import IdMap
from neuronspec.models.resize import counted, resize

FAMILIES = ["m2m100", "mbart", "marian", "t5", "mt5", "llama", "qwen3", "gemma2", "gpt2"]
KEPT = [0, 1, 2, 5, 9, 10, 17, 18, 30, 31, 47]
"""Old ids, by new id."""


def kept_inputs(model: Any) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The same text for the whole model and for the one with the ids of KEPT."""
    old = padded_inputs(model)
    table = torch.tensor(KEPT)
    new = {}
    for name, value in old.items():
        if "mask" in name:
            new[name] = value
            continue
        special = (value == PAD) | (value < 0)
        chosen = torch.where(special, value.clamp(min=-100), 3 + value % (len(KEPT) - 3))
        new[name] = chosen
        old[name] = torch.where(special, value, table[chosen.clamp(min=0)])
    return old, new


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    model = build_family(request.param)
    if hasattr(model, "final_logits_bias"):
        model.final_logits_bias.normal_()
    return model


def test_what_is_kept_has_the_same_logits_and_hidden_states(model: Any) -> None:
    """The logits up to rounding: some processors add up a product of another width in another order."""
    old, new = kept_inputs(model)
    with torch.no_grad():
        before = model(**old, output_hidden_states=True)
        resize(model, IdMap(VOCABULARY, KEPT))
        after = model(**new, output_hidden_states=True)
    torch.testing.assert_close(after.logits, before.logits[..., KEPT], rtol=1e-6, atol=2e-6)
    name = "decoder_hidden_states" if model.config.is_encoder_decoder else "hidden_states"
    for one, other in zip(after[name], before[name], strict=True):
        assert torch.equal(one, other)


def test_a_new_id_starts_from_the_mean_of_others_and_trains(model: Any) -> None:
    ids = [*KEPT, (5,), (9, 17, 17)]
    tables = {"input": model.get_input_embeddings().weight, "output": model.get_output_embeddings().weight}
    whole = {name: table.detach().clone() for name, table in tables.items()}
    tied = tables["input"] is tables["output"]
    resize(model, IdMap(VOCABULARY, ids))
    made = {"input": model.get_input_embeddings().weight, "output": model.get_output_embeddings().weight}
    assert (made["input"] is made["output"]) == tied
    for name, table in made.items():
        assert torch.equal(table[-2], whole[name][5])
        assert torch.allclose(table[-1], (whole[name][9] + 2 * whole[name][17]) / 3)
    inputs = {name: value.clone() for name, value in padded_inputs(model).items()}
    for name in ("input_ids", "decoder_input_ids", "labels"):
        if name in inputs:
            inputs[name] = torch.where(inputs[name] > PAD, len(ids) - 1, inputs[name])
    model(**inputs).loss.backward()
    assert made["input"].grad is not None and bool(made["input"].grad[-1].any())


def test_it_is_saved_and_loaded_as_any_model(model: Any, tmp_path: Path) -> None:
    before = model.num_parameters(), sum(each.nbytes for each in model.parameters())
    change = IdMap(VOCABULARY, KEPT)
    resize(model, change)
    counts = counted(model, change)
    assert (counts.parameters[0], counts.bytes[0]) == before
    assert counts.parameters[1] == model.num_parameters() < before[0]
    model.save_pretrained(tmp_path)
    auto: Any = AutoModelForSeq2SeqLM if model.config.is_encoder_decoder else AutoModelForCausalLM
    again, report = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    _, new = kept_inputs(model)
    with torch.no_grad():
        assert torch.equal(again.eval()(**new).logits, model(**new).logits)
    assert again.config.get_text_config().vocab_size == len(KEPT)


def test_the_ids_of_the_configuration_are_the_new_ones() -> None:
    model = build_family("m2m100")
    model.config.decoder_start_token_id = 9
    model.generation_config = GenerationConfig(
        eos_token_id=[2, 17, 40], forced_bos_token_id=33, decoder_start_token_id=9, suppress_tokens=[30, 44],
        pad_token_id=PAD,
    )  # fmt: skip
    resize(model, IdMap(VOCABULARY, KEPT))
    given = model.generation_config
    assert (model.config.decoder_start_token_id, given.decoder_start_token_id) == (4, 4)
    assert (given.eos_token_id, given.suppress_tokens, given.forced_bos_token_id) == ([2, 6], [8], None)
    assert model.config.vocab_size == len(KEPT)


def test_generation_is_the_same_where_the_whole_model_is_held_to_the_kept_ids() -> None:
    model = build_family("mbart")
    old, new = kept_inputs(model)
    gone = [[one] for one in range(VOCABULARY) if one not in KEPT]
    common = {"max_new_tokens": 12, "num_beams": 1, "do_sample": False}  # beams compare probabilities, of all ids
    before = model.generate(
        input_ids=old["input_ids"], attention_mask=old["attention_mask"], bad_words_ids=gone, **common
    )
    resize(model, IdMap(VOCABULARY, KEPT))
    after = model.generate(input_ids=new["input_ids"], attention_mask=new["attention_mask"], **common)
    assert torch.equal(torch.tensor(KEPT)[after], before)


def test_a_change_for_another_vocabulary_is_refused() -> None:
    with pytest.raises(ModelError, match="50 rows of embeddings, and its vocabulary was changed for 51"):
        resize(build_family("m2m100"), IdMap(51, KEPT))


def test_positions_that_depend_on_padding_are_not_shifted() -> None:
    with pytest.raises(ModelError, match="the positions of a M2M100ForConditionalGeneration depend on the id of pad"):
        resize(build_family("m2m100"), IdMap(VOCABULARY, [0, 2, 1]))


def test_a_vocabulary_of_sources_apart_is_refused() -> None:
    model: Any = build_family("marian")
    model.get_decoder().embed_tokens = nn.Embedding(VOCABULARY + 1, 8)
    with pytest.raises(ModelError, match="51 rows"):
        resize(model, IdMap(VOCABULARY, KEPT))
