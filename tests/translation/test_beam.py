"""Beam search: the translations of Hugging Face's own, with fewer rows computed."""

from __future__ import annotations

import inspect
from collections import Counter
from functools import wraps
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.families import BOS, EOS, PAD, VOCABULARY, build_family
from tests.helpers.waits import Waits
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel

from neuronspec.models.compatibility import cache_argument
from neuronspec.translation import beam
from neuronspec.translation.beam import beam_search, beam_search_n_best

TAG = 7
FAMILIES = ["m2m100", "marian", "mbart", "pegasus", "t5"]


class EndsSometimes(LogitsProcessor):
    """Makes `</s>` likelier with every token, by an amount that depends on the tokens; and no padding inside."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        length = input_ids.shape[1]
        if length < 2:
            return scores  # the tag is forced
        scores = scores.index_fill(1, torch.tensor([PAD]), -torch.inf)
        if length == 2:
            return scores
        scores[:, EOS] = scores.amax(1) - 4 + 0.3 * (1 + input_ids.sum(1) % 5) * (length - 2)
        return scores


def some_sources(rows: int, longest: int, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (rows,), generator=generator).tolist()
    return [torch.randint(3, VOCABULARY, (length,), generator=generator) for length in lengths]


def theirs(model: PreTrainedModel, source: torch.Tensor, limit: int, **settings: Any) -> list[int]:
    """One sentence by Hugging Face's own beam search, without padding."""
    if settings["num_beams"] > 1:
        settings["early_stopping"] = True
    else:
        settings.pop("length_penalty", None)
    output = model.generate(
        input_ids=source[None], attention_mask=torch.ones_like(source)[None], do_sample=False,
        forced_bos_token_id=TAG, forced_eos_token_id=None, max_length=limit + 1, min_length=0,
        logits_processor=LogitsProcessorList([EndsSometimes()]), **settings,
    )  # fmt: skip
    return without_padding(output)[0]


def ours(model: PreTrainedModel, sources: list[torch.Tensor], limits: list[int], **settings: Any) -> list[list[int]]:
    """All sentences in one padded batch."""
    input_ids = torch.nn.utils.rnn.pad_sequence(sources, True, PAD)
    lengths = torch.tensor([len(source) for source in sources])
    prompt = torch.tensor([[model.config.decoder_start_token_id, TAG]]).expand(len(sources), 2)
    output = model.generate(
        input_ids=input_ids, attention_mask=(torch.arange(input_ids.shape[1]) < lengths[:, None]).long(),
        decoder_input_ids=prompt, do_sample=False, forced_eos_token_id=None, max_length=max(limits) + 1, min_length=0,
        custom_generate=beam_search, limits=torch.tensor(limits),
        logits_processor=LogitsProcessorList([EndsSometimes()]), **settings,
    )  # fmt: skip
    return without_padding(output)


def without_padding(rows: torch.Tensor) -> list[list[int]]:
    """Without the start token and what follows the last written token."""
    return [[token for token in row[1:] if token != PAD] for row in rows.tolist()]


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_same_as_hugging_face_for_every_family(beams: int) -> None:
    assert BOS != TAG
    written = []
    for family in FAMILIES:
        model = build_family(family, seed=3)
        sources = some_sources(9, 8, seed=beams)
        limits = [3 + 2 * len(source) for source in sources]
        found = ours(model, sources, limits, num_beams=beams)
        expected = [theirs(model, *pair, num_beams=beams) for pair in zip(sources, limits, strict=True)]
        assert found == expected, family
        written += found
    assert all(row[0] == TAG for row in written)
    assert len({len(row) for row in written}) > 2, "lengths differ"
    assert {row[-1] == EOS for row in written} == {True, False}, "some end, some are cut"


@given(st.integers(0, 1000), st.integers(1, 6), st.floats(0.0, 2.0), st.integers(1, 12), st.integers(1, 14))
def test_same_as_hugging_face_whatever_the_settings(
    seed: int, beams: int, penalty: float, rows: int, limit: int
) -> None:
    model = build_family("m2m100", seed=seed % 5)
    sources = some_sources(rows, 6, seed)
    limits = [2 + (limit + place) % 14 for place in range(rows)]
    found = ours(model, sources, limits, num_beams=beams, length_penalty=penalty)
    for source, limit_of, row in zip(sources, limits, found, strict=True):
        assert row == theirs(model, source, limit_of, num_beams=beams, length_penalty=penalty)
        assert len(row) <= limit_of


def test_finished_sentences_are_not_computed_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_family("m2m100", seed=3)
    sources = some_sources(16, 6, seed=1)
    rows: list[int] = []
    forward = type(model).forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(kwargs["decoder_input_ids"]))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(type(model), "forward", counted)
    ours(model, sources, [4] * 12 + [14] * 4, num_beams=3)
    assert rows[0] == 16, "the first step needs one row a sentence"
    assert max(rows) == 16 * 3
    assert rows[-1] <= 4 * 3
    assert rows[1:] == sorted(rows[1:], reverse=True)


def test_the_cache_goes_by_the_name_that_models_give_it() -> None:
    for family in FAMILIES:
        assert cache_argument() in inspect.signature(build_family(family).forward).parameters, family


def test_a_step_reads_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU each read is a wait. What transformers does in a forward pass is counted apart."""
    model = build_family("m2m100", seed=3)
    counted, reads, steps, computed = Waits(), Counter[str](), 0, beam._next_log_probs

    def next_log_probs(*args: Any) -> torch.Tensor:
        nonlocal steps
        steps += 1
        with Waits() as inside:
            found = computed(*args)
        counted.seen.subtract(inside.seen)
        return found

    @wraps(beam_search)
    def search(*args: Any, **options: Any) -> Any:
        read = torch.Tensor.tolist
        with counted, monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "tolist", lambda tensor: reads.update(["read"]) or read(tensor))
            return beam_search(*args, **options)

    monkeypatch.setattr(beam, "_next_log_probs", next_log_probs)
    source = torch.randint(3, VOCABULARY, (12, 6), generator=torch.Generator().manual_seed(1))
    model.generate(
        input_ids=source, attention_mask=torch.ones_like(source), num_beams=3, do_sample=False, max_length=15,
        min_length=0, forced_bos_token_id=None, forced_eos_token_id=None, custom_generate=search,
        limits=torch.tensor([4] * 9 + [14] * 3),
    )  # fmt: skip
    assert steps == 14
    assert +counted.seen == {} and reads["read"] == steps + 1  # and the limits


def test_an_empty_translation_must_be_the_best_to_count() -> None:
    """`</s>` as a second choice of the first step takes a place in the beam, and is no hypothesis."""
    model = build_family("m2m100", seed=3)
    source = torch.tensor([[5, 6, 9, EOS]])
    prompt = torch.tensor([[model.config.decoder_start_token_id, TAG]])

    class Ends(LogitsProcessor):
        def __init__(self, rank: int) -> None:
            self.rank = rank

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            if input_ids.shape[1] == 2:
                scores[:, EOS] = scores.sort(-1, descending=True).values[:, self.rank] + 1e-3
            return scores

    def found(rank: int, avoid: bool) -> list[list[int]]:
        kept = model.generate(
            input_ids=source, attention_mask=torch.ones_like(source), decoder_input_ids=prompt, num_beams=4,
            do_sample=False, forced_eos_token_id=None, max_length=8, custom_generate=beam_search_n_best,
            limits=torch.tensor([7]), avoid_empty=avoid, logits_processor=LogitsProcessorList([Ends(rank)]),
        )  # fmt: skip
        assert [score for score, _ in kept[0]] == sorted((score for score, _ in kept[0]), reverse=True)
        return [row[2:].tolist() for _, row in kept[0]]

    assert [EOS] in found(0, True) and [EOS] in found(2, False)
    assert [EOS] not in found(2, True)
