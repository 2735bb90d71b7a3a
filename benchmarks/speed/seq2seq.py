"""The worker of `transformers.Seq2SeqTrainer`, set up as well as its arguments allow."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import (
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)
from transformers.models.m2m_100.modeling_m2m_100 import shift_tokens_right

from neuronspec.corpus.store import TokenStore
from neuronspec.models.frames import Tagged
from neuronspec.models.load import build_model
from neuronspec.models.text_format import TextFormat
from speed import shapes
from speed.pairs import some_pairs
from speed.turns import Turns


class Counted(DataCollatorForSeq2Seq):
    """The usual collator, which also keeps how many target tokens each batch has (without the language tag).

    With label smoothing the trainer hides the labels from the model, so that the decoder's input must be in the batch.
    """

    def __call__(self, features: Any, return_tensors: str | None = None) -> Any:
        self.__dict__.setdefault("tokens", []).append(sum(len(one["labels"]) - 1 for one in features))
        batch = super().__call__([{k: one[k] for k in ("input_ids", "labels")} for one in features], return_tensors)
        config = self.model.config
        batch["decoder_input_ids"] = shift_tokens_right(
            batch["labels"], config.pad_token_id, config.decoder_start_token_id
        )
        return batch


class InRandomOrder(Seq2SeqTrainer):
    """Its batches in random order: it would begin with fifty batches from the longest sentences down."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        order = list(super()._get_train_sampler(train_dataset))
        size = self.args.per_device_train_batch_size
        batches = [order[first : first + size] for first in range(0, len(order) - size + 1, size)]
        random.Random(1).shuffle(batches)
        return [index for batch in batches for index in batch]


class TakeTurns(TrainerCallback):
    def __init__(self, turns: Turns, collator: Counted) -> None:
        self._turns, self._collator = turns, collator

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._turns.update(sum(self._collator.tokens[: state.global_step]))


def read_dataset(store: TokenStore, frame: Tagged) -> Dataset:
    """Training pairs of all directions, tagged, with their lengths: those of the longer side."""
    columns: dict[str, list[Any]] = {"input_ids": [], "labels": [], "length": []}
    for direction, source, target in some_pairs(store):
        columns["input_ids"].append([frame.tags[direction.source], *source.tolist(), frame.eos])
        columns["labels"].append([frame.tags[direction.target], *target.tolist(), frame.eos])
        columns["length"].append(max(len(source), len(target)) + 2)
    return Dataset.from_dict(columns)


def work(data: Path, size: str, batch_tokens: int, folder: Path, turns: Turns, attention: str, precision: str) -> None:
    """Train until there are no more turns."""
    store = TokenStore.open(data)
    tokenizer = store.tokenizer
    model = build_model(shapes.SIZES[size], tokenizer, seed=1)
    model.set_attn_implementation(attention)
    frame = TextFormat.of(tokenizer, store.directions("train")).frame
    assert isinstance(frame, Tagged)
    dataset = read_dataset(store, frame)
    collator = Counted(tokenizer, model=model)
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder), max_steps=10**6, bf16=precision == "bf16", use_cpu=not torch.cuda.is_available(),
        optim="adamw_torch_fused", learning_rate=shapes.RATE, warmup_steps=shapes.WARMUP,
        lr_scheduler_type="inverse_sqrt", adam_beta1=shapes.BETAS[0], adam_beta2=shapes.BETAS[1],
        adam_epsilon=shapes.EPSILON, max_grad_norm=shapes.CLIP, label_smoothing_factor=shapes.SMOOTHING,
        per_device_train_batch_size=max(1, round(batch_tokens / float(np.mean(dataset["length"])))),
        train_sampling_strategy="group_by_length", length_column_name="length", logging_steps=100,
        save_strategy="no", report_to=[], disable_tqdm=True, seed=1,
    )  # fmt: skip
    trainer = InRandomOrder(
        model=model, args=arguments, train_dataset=dataset, data_collator=collator, processing_class=tokenizer,
        callbacks=[TakeTurns(turns, collator)],
    )  # fmt: skip
    trainer.train()
