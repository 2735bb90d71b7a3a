"""Translating lines: order, counts, tags, limits, truncation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.toy_corpus import toy_model, toy_tokenizer
from transformers import M2M100ForConditionalGeneration, PreTrainedTokenizerFast

from neuronspec.core.errors import DirectionError, EvaluationError
from neuronspec.models.tokenizer import tag_id
from neuronspec.translation.beam import beam_search_n_best
from neuronspec.translation.engine import Translations
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.transformers_engine import TransformersEngine

WORDS = [f"w{number}" for number in range(12)]


def translate(
    model: M2M100ForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    sources: Sequence[str],
    direction: str,
    settings: EvaluationSettings,
    progress: Callable[[int], None] | None = None,
) -> Translations:
    return TransformersEngine(model, tokenizer, settings).translate(sources, direction, progress=progress)


def lively_model(dropout: float = 0.0) -> M2M100ForConditionalGeneration:
    """A random model whose translations depend on the source and on both tags, and end here and there."""
    model = toy_model(seed=1, dropout=dropout)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layers" in name and parameter.dim() == 2:
                parameter.mul_(4)
    return model


MODEL = lively_model().eval()
TOKENIZER = toy_tokenizer()
SENTENCES = st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=12)


def by_hand(model: M2M100ForConditionalGeneration, source: str, target: str, beam: int, most: int) -> str:
    """One sentence through `generate`, tags and all, without padding."""
    pieces = TOKENIZER(source, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[tag_id(TOKENIZER, "en"), *pieces, TOKENIZER.eos_token_id]])
    found = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), num_beams=beam, do_sample=False,
        decoder_input_ids=torch.tensor([[2, tag_id(TOKENIZER, target)]]), max_length=most + 1,
        custom_generate=beam_search_n_best, limits=torch.tensor([min(most, 2 * len(pieces) + 10)]), avoid_empty=True,
    )  # fmt: skip
    return TOKENIZER.decode(found[0][0][1], skip_special_tokens=True)


@given(SENTENCES, st.sampled_from(["de", "fr"]), st.integers(2, 4), st.sampled_from([1, 12, 30, 1000]))
@settings(max_examples=15)
def test_lines_come_back_in_order_as_each_alone_is_translated(
    sources: list[str], target: str, beam: int, batch_tokens: int
) -> None:
    options = EvaluationSettings(beam=beam, batch_tokens=batch_tokens, max_new_tokens=14)
    found = translate(MODEL, TOKENIZER, sources, f"en-{target}", options)
    assert len(found) == len(sources)
    for source, line in zip(sources, found, strict=True):
        assert line == (by_hand(MODEL, source, target, beam, 14) if source else "")
    assert found.truncated == 0


def test_the_target_language_changes_the_translation() -> None:
    sources = [" ".join(WORDS[start : start + 3]) for start in range(8)]
    options = EvaluationSettings(beam=2)
    assert translate(MODEL, TOKENIZER, sources, "en-de", options) != translate(
        MODEL, TOKENIZER, sources, "en-fr", options
    )
    assert translate(MODEL, TOKENIZER, sources, "en-de", options) != translate(
        MODEL, TOKENIZER, sources, "cs-de", options
    )


def test_it_is_the_same_every_time_and_leaves_the_model_as_it_was() -> None:
    model = lively_model(dropout=0.5).train()
    sources = [" ".join(WORDS[: number + 1]) for number in range(6)]
    first = translate(model, TOKENIZER, sources, "en-de", EvaluationSettings())
    assert model.training
    assert translate(model, TOKENIZER, sources, "en-de", EvaluationSettings()) == first


def test_empty_lines_and_no_lines() -> None:
    done: list[int] = []
    found = translate(MODEL, TOKENIZER, ["", "w1 w2", "  ", "w3"], "en-de", EvaluationSettings(), progress=done.append)
    assert len(found) == 4 and found[0] == found[2] == ""
    assert found[1] and found[3]
    assert sum(done) == 2
    assert translate(MODEL, TOKENIZER, [], "en-de", EvaluationSettings()) == []
    assert translate(MODEL, TOKENIZER, ["", ""], "en-de", EvaluationSettings()) == ["", ""]


def test_sources_are_cleaned_as_training_text_was() -> None:
    settings = EvaluationSettings(beam=2)
    variants = ["w1 w2", " w1\u00a0 w2\t", "w\u00ad1 w2\u200b", "\ufeffw1\u202fw2"]
    assert len(set(translate(MODEL, TOKENIZER, variants, "en-de", settings))) == 1
    assert list(translate(MODEL, TOKENIZER, ["\u200b", "\u00a0", "\u200d"], "en-de", settings)) == ["", "", ""]


def test_too_long_sources_are_cut_and_counted() -> None:
    longest = MODEL.config.max_position_embeddings - 2
    fits = " ".join(["w1", "w2"] * (longest // 2))
    found = translate(MODEL, TOKENIZER, [fits, fits + " w3 w4", "w5", fits + " w7"], "en-de", EvaluationSettings())
    assert found.truncated == 2
    assert found[1] == found[3] == found[0]


@pytest.mark.parametrize(("most", "longest"), [(3, 1), (6, 4)])
def test_translations_are_not_longer_than_asked(most: int, longest: int) -> None:
    never_ends = toy_model(seed=1).eval()
    with torch.no_grad():
        never_ends.get_input_embeddings().weight[2] = 0.0
    sources = ["w1 w2 w3 w4 w5 w6", "w3"]
    found = translate(never_ends, TOKENIZER, sources, "en-de", EvaluationSettings(beam=2, max_new_tokens=most))
    # The tag takes one of the tokens, and </s> may take another.
    assert all(len(line.split()) <= most - 1 for line in found)
    assert any(len(line.split()) >= longest for line in found)


def test_no_line_break_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = PreTrainedTokenizerFast.batch_decode

    def breaking(*args: Any, **kwargs: Any) -> list[str]:
        return [f" one\u2028two\r\nthree\x85{text}\n" for text in decode(*args, **kwargs)]

    monkeypatch.setattr(PreTrainedTokenizerFast, "batch_decode", breaking)
    found = translate(MODEL, TOKENIZER, ["w1", "w2 w3"], "en-de", EvaluationSettings())
    assert all(line.startswith("one two three") and len(line.splitlines()) == 1 for line in found)


def test_a_language_without_a_tag_is_refused() -> None:
    with pytest.raises(DirectionError, match="no tag for language 'it'"):
        translate(MODEL, TOKENIZER, ["w1"], "en-it", EvaluationSettings())


def test_a_diverged_model_is_an_error_not_a_traceback() -> None:
    model = toy_model()
    with torch.no_grad():
        model.get_input_embeddings().weight.fill_(torch.nan)
    with pytest.raises(EvaluationError, match="did it diverge"):
        translate(model, TOKENIZER, ["w1"], "en-de", EvaluationSettings())
