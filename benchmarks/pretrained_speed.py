"""Fine-tuning of a model with NLLB's vocabulary: neuronspec against Seq2SeqTrainer, side by side.

    python benchmarks/pretrained_speed.py [--quick] [--rounds 3] [--updates 3] [--d-model 256] [--smoothing 0]

An M2M100 with NLLB's 256,206 pieces, one table for all embeddings, dropout 0.1 and random weights is trained on
synthetic text of 8 directions, about 4,096 target tokens an update, by fused AdamW with clipping, in bf16 where the
machine has it in hardware and in float32 elsewhere, on both sides alike. Sentences have the lengths of real pairs
(`length_pairs.json`); pieces follow Zipf's law over the 30,000 that occur. Width and layers are shrunk to what two
cores can train: of NLLB-600M's multiplications per token 43% are the vocabulary's, of this shape's 86%, so that the
vocabulary counts for more here.

- neuronspec: `neuronspec.training.train`, an update in 4 micro-batches.
- neuronspec trimmed: the same with a table of the 32,000 pieces that the text needs, as `model.trim_vocabulary` gives.
- Seq2SeqTrainer: `DataCollatorForSeq2Seq` with the model, batches grouped by length, `adamw_torch_fused`, `sdpa`, no
  evaluation; an update in 4 micro-batches, and again in 16, which takes less memory and more time. (A batch is a number
  of sentences there: one that is an update on average has three times as many tokens where sentences are long, and the
  logits of all positions, several times over, are more than these machines hold.)

Every measurement is a process of its own, which warms up for an update, trains for some, and ends. A round is one of
each arm, in an order that changes by round; medians over rounds. Rates count real target tokens, without padding and
language tags, by wall time and by CPU time of the process, which is disturbed less by other work. Memory is the peak
of the whole process (CPU), or of torch on the device (GPU); beside it what `neuronspec.models.footprint` computes for
neuronspec, added to what the process held before there was a model (CPU).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    PreTrainedTokenizerFast,
    Seq2SeqTrainingArguments,
    TrainerCallback,
)

from machine import write_result
from neuronspec.core.direction import Direction
from neuronspec.models.dimensions import Dimensions
from neuronspec.models.footprint import Plan, footprint
from neuronspec.models.frames import Tagged
from neuronspec.models.load import placed
from neuronspec.models.precision import resolve_precision
from neuronspec.models.text_format import TextFormat
from neuronspec.training.memory import peak_memory
from neuronspec.training.projected_loss import LOGITS_HELD
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.train import train
from speed import shapes
from speed.ours import TargetTokens
from speed.seq2seq import Counted, InRandomOrder, read_dataset

HERE = Path(__file__).resolve()
LENGTHS = HERE.parent / "length_pairs.json"
LANGUAGES = ("en", "de", "fr", "es", "ru")
DIRECTIONS = [Direction(*pair) for code in LANGUAGES[1:] for pair in (("en", code), (code, "en"))]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
NLLB_VOCABULARY, TRIMMED_VOCABULARY, USED_PIECES = 256_206, 32_000, 30_000
PAIRS = 6000
"""Of each direction."""

OURS, TRIMMED = "neuronspec", "neuronspec trimmed"
OUR_MICRO_BATCHES = 4
MICRO_BATCHES = {"Seq2SeqTrainer 4 micro-batches": 4, "Seq2SeqTrainer 16 micro-batches": 16}
THEIRS, THEIRS_SPLIT = MICRO_BATCHES
ARMS = (OURS, THEIRS, TRIMMED, THEIRS_SPLIT)
WARM_UP = 1


class Pairs:
    """Synthetic pairs of a direction: the ids of source and target pieces."""

    def __init__(self, lengths: np.ndarray, vocabulary: int, seed: int, count: int) -> None:
        random = np.random.default_rng(seed)
        chosen = lengths[random.integers(0, len(lengths), count)]
        self.source_lengths, self.target_lengths = chosen[:, 0], chosen[:, 1]
        # The pieces that occur lie anywhere in a table of 256,206 rows, and make up a trimmed one.
        places = np.random.default_rng(0).permutation(vocabulary - len(SPECIAL) - len(LANGUAGES))[:USED_PIECES]
        shares = 1 / (np.arange(len(places)) + 2.7)
        shares /= shares.sum()
        self._pieces = len(SPECIAL) + places[random.choice(len(places), int(chosen.sum()), p=shares)]
        self._ends = chosen.sum(1).cumsum()

    def __len__(self) -> int:
        return len(self._ends)

    def tokens(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        start = self._ends[index] - self.source_lengths[index] - self.target_lengths[index]
        middle = start + self.source_lengths[index]
        return self._pieces[start:middle], self._pieces[middle : self._ends[index]]


class Store:
    """The text of all directions, with what training needs of a token store."""

    def __init__(self, vocabulary: int, count: int) -> None:
        lengths = np.array(json.loads(LENGTHS.read_text())["pairs"])
        self.tokenizer = tokenizer_of(vocabulary)
        self._train = {
            direction: Pairs(lengths if direction.source == "en" else lengths[:, ::-1], vocabulary, seed, count)
            for seed, direction in enumerate(DIRECTIONS)
        }
        self._valid = {DIRECTIONS[0]: Pairs(lengths, vocabulary, 99, 4)}

    def directions(self, split: str) -> list[Direction]:
        return sorted(self._train if split == "train" else self._valid)

    def pairs(self, split: str, direction: Direction) -> Pairs:
        return (self._train if split == "train" else self._valid)[direction]

    @property
    def longer_side(self) -> float:
        """Tokens of the longer side for each target token that takes loss."""
        longer = sum(int((np.maximum(p.source_lengths, p.target_lengths) + 2).sum()) for p in self._train.values())
        return longer / sum(int((p.target_lengths + 1).sum()) for p in self._train.values())


def tokenizer_of(vocabulary: int) -> PreTrainedTokenizerFast:
    """A tokenizer of the size, with a tag for each language."""
    tags = [f"__{code}__" for code in LANGUAGES]
    words = [*SPECIAL, *(f"w{place}" for place in range(vocabulary - len(SPECIAL) - len(tags))), *tags]
    core = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=tags,
    )  # fmt: skip


def build(vocabulary: int, d_model: int, layers: int) -> M2M100ForConditionalGeneration:
    config = M2M100Config(
        vocab_size=vocabulary, d_model=d_model, encoder_layers=layers, decoder_layers=layers,
        encoder_ffn_dim=4 * d_model, decoder_ffn_dim=4 * d_model, encoder_attention_heads=d_model // 64,
        decoder_attention_heads=d_model // 64, dropout=0.1, attention_dropout=0.1, encoder_layerdrop=0.0,
        decoder_layerdrop=0.0, scale_embedding=True, tie_word_embeddings=True, bos_token_id=0, pad_token_id=1,
        eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    torch.manual_seed(1)
    return M2M100ForConditionalGeneration(config)


class Clock:
    """Measures some updates after a warm-up, prints what they took, and ends the process."""

    def __init__(self, updates: int, before: int) -> None:
        self._updates, self._before, self._count = updates, before, 0
        self._start = 0.0, 0.0, 0

    def update(self, tokens: int, model: torch.nn.Module) -> None:
        """An update starts; `tokens` target tokens have been trained on since the worker began."""
        self._count += 1
        if self._count == 1 + WARM_UP:
            self._start = time.perf_counter(), time.process_time(), tokens
        if self._count == 1 + WARM_UP + self._updates:
            wall, cpu, first = self._start
            facts = {
                "seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "tokens": tokens - first,
                "memory": peak_memory(model), "before": self._before,
            }  # fmt: skip
            print(json.dumps(facts), flush=True)
            os._exit(0)


def work(arm: str, folder: str, options: argparse.Namespace) -> None:
    """What a worker's process does."""
    torch.set_num_threads(options.threads)
    vocabulary = TRIMMED_VOCABULARY if arm == TRIMMED else NLLB_VOCABULARY
    store = Store(vocabulary, options.pairs)
    before = peak_memory(torch.nn.Linear(1, 1))
    model = build(vocabulary, options.d_model, options.layers)
    clock = Clock(options.updates, before)
    if arm in (OURS, TRIMMED):
        work_ours(store, model, options, Path(folder), clock)
    else:
        work_theirs(store, model, options, folder, clock, MICRO_BATCHES[arm])


def work_ours(store: Store, model: Any, options: argparse.Namespace, folder: Path, clock: Clock) -> None:
    tokens, micro_batches = TargetTokens(placed(model)), 0

    @contextmanager
    def update(direction: Direction) -> Iterator[None]:
        nonlocal micro_batches
        if micro_batches % OUR_MICRO_BATCHES == 0:
            clock.update(tokens.seen, model)
        micro_batches += 1
        yield

    settings = TrainingSettings(
        updates=10**6, batch_tokens=round(options.target_tokens / OUR_MICRO_BATCHES * store.longer_side),
        accumulation=OUR_MICRO_BATCHES, temperature=1,
        learning_rate=shapes.RATE, warmup=shapes.WARMUP, label_smoothing=options.smoothing, adam_betas=shapes.BETAS,
        adam_epsilon=shapes.EPSILON, clip_norm=shapes.CLIP, validate_every=10**6, save_every=10**6,
        validation_sentences=1,
    )  # fmt: skip
    train(model, store.tokenizer, store, settings, directions=DIRECTIONS, seed=1, folder=folder, in_direction=update)


class Count(TrainerCallback):
    """Tells the clock of each update of Seq2SeqTrainer."""

    def __init__(self, clock: Clock, collator: Counted, micro_batches: int) -> None:
        self._clock, self._collator, self._micro_batches = clock, collator, micro_batches

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        done = state.global_step * self._micro_batches
        self._clock.update(sum(self._collator.tokens[:done]), kwargs["model"])


def work_theirs(
    store: Store, model: Any, options: argparse.Namespace, folder: str, clock: Clock, micro_batches: int
) -> None:
    frame = TextFormat.of(store.tokenizer, DIRECTIONS).frame
    assert isinstance(frame, Tagged)
    dataset = read_dataset(store, frame)  # type: ignore[arg-type]
    targets = float(np.mean([len(labels) - 1 for labels in dataset["labels"]]))
    collator = Counted(store.tokenizer, model=model)
    arguments = Seq2SeqTrainingArguments(
        output_dir=folder, max_steps=10**6, bf16=resolve_precision("auto", model) == "bf16",
        use_cpu=not torch.cuda.is_available(), optim="adamw_torch_fused", learning_rate=shapes.RATE,
        warmup_steps=shapes.WARMUP, lr_scheduler_type="inverse_sqrt", adam_beta1=shapes.BETAS[0],
        adam_beta2=shapes.BETAS[1], adam_epsilon=shapes.EPSILON, max_grad_norm=shapes.CLIP,
        label_smoothing_factor=options.smoothing, gradient_accumulation_steps=micro_batches,
        per_device_train_batch_size=max(1, round(options.target_tokens / micro_batches / targets)),
        train_sampling_strategy="group_by_length", length_column_name="length", logging_steps=10**6,
        save_strategy="no", eval_strategy="no", report_to=[], disable_tqdm=True, seed=1,
    )  # fmt: skip
    InRandomOrder(
        model=model, args=arguments, train_dataset=dataset, data_collator=collator, processing_class=store.tokenizer,
        callbacks=[Count(clock, collator, micro_batches)],
    ).train()  # fmt: skip


def measured(arm: str, options: argparse.Namespace) -> dict[str, float]:
    """Run a worker."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE), *sys.argv[1:], "--worker", arm, folder]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        raise SystemExit(f"{arm} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return dict(json.loads(lines[-1]))


def facts(found: dict[str, list[dict[str, float]]], clock: str) -> dict[str, Any]:
    """Medians of the rates by the clock, and of the ratios within a round, over either way to use Seq2SeqTrainer."""
    rates = {arm: [one["tokens"] / one[clock] for one in turns] for arm, turns in found.items()}
    return {
        "target tokens/s": {arm: round(statistics.median(values)) for arm, values in rates.items()},
        **{f"over {other}": ratios(rates, other) for other in (THEIRS, THEIRS_SPLIT)},
    }


def ratios(values: dict[str, list[float]], other: str) -> dict[str, float]:
    return {
        arm: round(statistics.median(a / b for a, b in zip(values[arm], values[other], strict=True)), 3)
        for arm in (OURS, TRIMMED)
    }


def computed(arm: str, options: argparse.Namespace, turns: list[dict[str, float]]) -> float:
    """The memory of our training as `neuronspec.models.footprint` has it, and on a CPU what there was before."""
    vocabulary, on_gpu = TRIMMED_VOCABULARY if arm == TRIMMED else NLLB_VOCABULARY, torch.cuda.is_available()
    with torch.device("meta"):
        config = build(vocabulary, options.d_model, options.layers).config
    shape = Dimensions.of_config(config.to_dict())
    assert shape is not None
    tokens = options.target_tokens // OUR_MICRO_BATCHES
    plan = Plan(tokens, bf16=on_gpu, logits=LOGITS_HELD["cuda" if on_gpu else "cpu"])
    return footprint(shape, plan).total + (0 if on_gpu else statistics.median(turn["before"] for turn in turns))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6, help="of the encoder, and as many of the decoder")
    parser.add_argument("--target-tokens", type=int, default=4096, help="of an update")
    parser.add_argument("--smoothing", type=float, default=0.0)
    parser.add_argument("--updates", type=int, default=3, help="of a measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of a direction")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round of one small update; writes no result")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.updates, options.target_tokens, options.layers, options.pairs = 1, 1, 256, 1, 100
    if options.worker:
        work(*options.worker, options)
        return
    found: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for number in range(options.rounds):
        first = number % len(ARMS)
        for arm in ARMS[first:] + ARMS[:first]:
            found[arm].append(measured(arm, options))
            print(f"round {number + 1} {arm}: {found[arm][-1]}", file=sys.stderr)
    memory = {arm: [turn["memory"] for turn in turns] for arm, turns in found.items()}
    result = {
        "d_model": options.d_model,
        "layers": [options.layers, options.layers],
        "vocabulary": {OURS: NLLB_VOCABULARY, TRIMMED: TRIMMED_VOCABULARY},
        "rounds": options.rounds,
        "updates a measurement": options.updates,
        "label smoothing": options.smoothing,
        "threads": options.threads,
        "target tokens an update": {
            arm: round(sum(turn["tokens"] for turn in turns) / len(turns) / options.updates)
            for arm, turns in found.items()
        },
        "wall": facts(found, "seconds"),
        "cpu": facts(found, "cpu"),
        "peak memory, GiB": {arm: round(statistics.median(values) / 2**30, 2) for arm, values in memory.items()},
        "before the model, GiB": round(statistics.median(turn["before"] for turn in found[OURS]) / 2**30, 2),
        "computed memory, GiB": {arm: round(computed(arm, options, found[arm]) / 2**30, 2) for arm in (OURS, TRIMMED)},
        **{f"memory over {other}": ratios(memory, other) for other in (THEIRS, THEIRS_SPLIT)},
    }
    if options.quick:
        print(json.dumps(result, indent=1))
    else:
        write_result("pretrained_speed", result)


if __name__ == "__main__":
    main()
