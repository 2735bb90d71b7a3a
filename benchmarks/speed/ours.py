"""The worker of neuronspec's loop: `neuronspec.training.train`, as a user gets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuronspec.core.direction import Direction
from neuronspec.corpus.store import TokenStore
from neuronspec.models.load import build_model
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.train import train
from speed import shapes
from speed.turns import Turns


class TargetTokens:
    """Counts the real target tokens that a model reads, from now on."""

    def __init__(self, model: Any) -> None:
        self.seen = 0
        model.base_model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: Any, args: Any, inputs: dict[str, Any]) -> None:
        ids = inputs["decoder_input_ids"]
        self.seen += int((ids != module.config.pad_token_id).sum()) - len(
            ids
        )  # the decoder reads </s>, the tag and the pieces; the tag is no target


def work(data: Path, size: str, batch_tokens: int, folder: Path, turns: Turns, compiled: bool, precision: str) -> None:
    """Train until there are no more turns."""
    store = TokenStore.open(data)
    tokenizer = store.tokenizer
    model = build_model(shapes.SIZES[size], tokenizer, seed=1)
    tokens = TargetTokens(model)

    @contextmanager
    def update(direction: Direction) -> Iterator[None]:
        turns.update(tokens.seen)
        yield

    settings = TrainingSettings(
        updates=10**6, batch_tokens=batch_tokens, temperature=1, learning_rate=shapes.RATE, warmup=shapes.WARMUP,
        label_smoothing=shapes.SMOOTHING, adam_betas=shapes.BETAS, adam_epsilon=shapes.EPSILON,
        clip_norm=shapes.CLIP, precision=precision, validate_every=10**6, save_every=10**6, validation_sentences=1,
        compile=compiled,
    )  # fmt: skip
    directions = store.directions("train")
    train(model, tokenizer, store, settings, directions=directions, seed=1, folder=folder, in_direction=update)
