"""A small model trained for a few seconds on a task of three directions, with masks and without: its hypotheses have
clear scores, so that two engines must agree on them."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import lru_cache

import torch
from transformers import M2M100Config, M2M100ForConditionalGeneration

from neuronspec.core.direction import Direction
from neuronspec.specialization.apply import specialize, unspecialize
from neuronspec.specialization.scope import use_direction
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import LANGUAGES, LAYOUT, PIECES, SPECIAL

DIRECTIONS = [Direction.parse(name) for name in ("de-en", "en-de", "en-fr")]
LONGEST = 5
UPDATES = 300
RATE = 6e-3


def target_of(source: list[int], language: str) -> list[int]:
    """The task: turned round for de, each word the next one for fr, as it is for en."""
    if language == "de":
        return source[::-1]
    return [4 + (word - 3) % PIECES for word in source] if language == "fr" else source


def fresh_model() -> M2M100ForConditionalGeneration:
    config = M2M100Config(
        vocab_size=len(SPECIAL) + PIECES + len(LANGUAGES), d_model=48, encoder_layers=1, decoder_layers=1,
        encoder_ffn_dim=96, decoder_ffn_dim=96, encoder_attention_heads=4, decoder_attention_heads=4,
        max_position_embeddings=24, dropout=0.0, attention_dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0,
        init_std=0.15, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return M2M100ForConditionalGeneration(config)


def random_sources(number: int, seed: int, longest: int = LONGEST) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (number,), generator=generator).tolist()
    return [torch.randint(4, 4 + PIECES, (length,), generator=generator).tolist() for length in lengths]


def sentences(number: int, seed: int = 7, longest: int = LONGEST) -> list[str]:
    """Sources of the task as text."""
    return [" ".join(f"w{word - 4}" for word in source) for source in random_sources(number, seed, longest)]


def _padded(rows: list[list[int]], padding: int) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, padding)


def _step(model: M2M100ForConditionalGeneration, direction: Direction, seed: int) -> torch.Tensor:
    sources = random_sources(32, seed)
    source_tag, target_tag = LAYOUT.tags[direction.source], LAYOUT.tags[direction.target]
    inputs = _padded([[source_tag, *ids, LAYOUT.eos] for ids in sources], LAYOUT.pad)
    targets = [[target_tag, *target_of(ids, direction.target), LAYOUT.eos] for ids in sources]
    return model(input_ids=inputs, attention_mask=(inputs != LAYOUT.pad).long(), labels=_padded(targets, -100)).loss


@lru_cache
def _trained() -> M2M100ForConditionalGeneration:
    """Trained by turns with masks and without, so that it can do both."""
    model = fresh_model()
    specialize(model, random_masks(model, tuple(map(str, DIRECTIONS))))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, UPDATES)
    for update in range(UPDATES):
        for place, direction in enumerate(DIRECTIONS):
            with use_direction(model, direction) if update % 3 else nullcontext():
                _step(model, direction, 4 * update + place).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return model.eval()


def trained_model(specialized: bool = False) -> M2M100ForConditionalGeneration:
    """A copy of the trained model, dense or with random masks of half of the neurons."""
    model = copy.deepcopy(_trained())
    if not specialized:
        unspecialize(model)
    return model
