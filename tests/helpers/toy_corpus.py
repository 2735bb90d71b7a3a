"""A corpus in memory with the token store's interface, a tokenizer for it, and a model small enough to test with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import M2M100Config, M2M100ForConditionalGeneration, PreTrainedTokenizerFast

from neuronspec.core.direction import Direction
from neuronspec.corpus.mixture import Part
from neuronspec.models.frames import Sides, Tagged
from neuronspec.models.ragged import Ragged
from neuronspec.models.text_format import TextFormat

LANGUAGES = ("cs", "de", "en", "fr")
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
PIECES = 12
LAYOUT = Tagged({code: len(SPECIAL) + PIECES + place for place, code in enumerate(LANGUAGES)}, pad=1, eos=2)
FORMAT = TextFormat(LAYOUT)
EN_DE, DE_EN, EN_FR = Direction("en", "de"), Direction("de", "en"), Direction("en", "fr")


def toy_tokenizer() -> PreTrainedTokenizerFast:
    """Words `w0` ... and a tag for each of `LANGUAGES`, with the ids of `LAYOUT`."""
    words = [*SPECIAL, *(f"w{number}" for number in range(PIECES)), *(f"__{code}__" for code in LANGUAGES)]
    core = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=[f"__{code}__" for code in LANGUAGES],
    )


@dataclass
class ToyPairs:
    """Sentence pairs in lists."""

    pairs: list[tuple[np.ndarray, np.ndarray]]
    parts: Sequence[Part] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def source_lengths(self) -> np.ndarray:
        return np.array([len(source) for source, _ in self.pairs], dtype=np.int64)

    @property
    def target_lengths(self) -> np.ndarray:
        return np.array([len(target) for _, target in self.pairs], dtype=np.int64)

    def tokens(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pairs[index]

    def gather(self, indices: np.ndarray) -> Sides:
        chosen = [self.pairs[index] for index in indices.tolist()]
        return Ragged.of([source for source, _ in chosen]), Ragged.of([target for _, target in chosen])


class ToyStore:
    """A copying task: the target is the source, turned round where the target language is `de`."""

    def __init__(self, sizes: dict[Direction, int], *, longest: int = 6, valid: int = 6, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self._splits = {
            "train": {direction: self._make(random, direction, size, longest) for direction, size in sizes.items()},
            "valid": {direction: self._make(random, direction, valid, longest) for direction in sizes if valid},
        }

    @staticmethod
    def _make(random: np.random.Generator, direction: Direction, size: int, longest: int) -> ToyPairs:
        pairs = []
        for _ in range(size):
            source = random.integers(len(SPECIAL), len(SPECIAL) + PIECES, random.integers(1, longest + 1))
            pairs.append((source, source[::-1].copy() if direction.target == "de" else source))
        return ToyPairs(pairs)

    def directions(self, split: str) -> list[Direction]:
        return sorted(self._splits[split])

    def pairs(self, split: str, direction: Direction) -> ToyPairs:
        return self._splits[split][direction]


def toy_model(
    seed: int = 0, dropout: float = 0.1, dtype: torch.dtype = torch.float32
) -> M2M100ForConditionalGeneration:
    """One layer a side, 16 wide."""
    config = M2M100Config(
        vocab_size=len(SPECIAL) + PIECES + len(LANGUAGES), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_ffn_dim=24, decoder_ffn_dim=24, encoder_attention_heads=2, decoder_attention_heads=2,
        max_position_embeddings=32, dropout=dropout, attention_dropout=dropout, encoder_layerdrop=0.0,
        decoder_layerdrop=0.0, init_std=0.25, bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return M2M100ForConditionalGeneration(config).to(dtype)
