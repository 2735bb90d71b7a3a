"""How fast a whole test set is translated: both engines against plain `generate`, all directions of a run, beam 5.

    python benchmarks/decoding_speed.py RUN [--sentences 60] [--rounds 3] [--threads 2]

RUN is a finished run (`make demo`). Arms, taken in turn within a round, each over all directions:

- `plain`: the specialized model's `generate` on the sentences in the given order, in padded batches of 32;
- `transformers`: our engine on the same model; `transformers, dense`: on the model without masks;
- `ctranslate2 float32` and `int8`: each direction's compact model; `dense`: the shared model without masks.

Conversion to CTranslate2 is timed apart. Numbers are medians over the rounds; ratios are medians of the ratios within a
round. Sentences that one arm cuts at its limit are cut by all: the limit is the same. With `--cpu-time`
and one thread the numbers hold on a machine that others use, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from machine import write_result
from neuronspec.core.direction import Direction
from neuronspec.deploy.opening import open_specialized
from neuronspec.evaluation.evaluate import read_test_set
from neuronspec.models.tokenizer import tag_id
from neuronspec.specialization.apply import unspecialize
from neuronspec.specialization.compact import compact
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import use_direction
from neuronspec.translation.conversion import convert, vocabulary_of
from neuronspec.translation.ctranslate2_engine import CTranslate2Engine, load_translator
from neuronspec.translation.engine import EXTRA_TOKENS, make_engine
from neuronspec.translation.settings import EvaluationSettings

PLAIN_BATCH = 32
clock = time.perf_counter
Tests = dict[Direction, list[str]]
Arm = Callable[[Direction, list[str]], tuple[list[str], int]]


class Loaded:
    """Translators made beforehand, by direction; one for all where there is one."""

    def __init__(self, translators: dict[str, Any]) -> None:
        self._translators = translators

    def translator(self, direction: Direction) -> Any:
        return self._translators.get(str(direction)) or self._translators[""]

    def origin(self, direction: Direction) -> None:
        return None


def plain(model: Any, tokenizer: Any, settings: EvaluationSettings) -> Arm:
    """What a user would write: the given order, batches of 32, padding to the longest."""

    def run(direction: Direction, sources: list[str]) -> tuple[list[str], int]:
        lines, tokens = [], 0
        source_tag = tag_id(tokenizer, direction.source)
        with use_direction(model, direction):
            for first in range(0, len(sources), PLAIN_BATCH):
                pieces = tokenizer(sources[first : first + PLAIN_BATCH], add_special_tokens=False)["input_ids"]
                rows = [[source_tag, *ids, tokenizer.eos_token_id] for ids in pieces]
                inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
                limit = min(
                    int(settings.max_length_ratio * max(map(len, pieces))) + EXTRA_TOKENS, settings.max_new_tokens
                )
                output = model.generate(
                    **inputs, num_beams=settings.beam, early_stopping=True, do_sample=False, max_length=limit + 1,
                    forced_bos_token_id=tag_id(tokenizer, direction.target),
                )  # fmt: skip
                special = torch.tensor(tokenizer.all_special_ids)
                tokens += int((~torch.isin(output, special)).sum())
                lines += tokenizer.batch_decode(output, skip_special_tokens=True)
        return lines, tokens

    return run


def engine_arm(engine: Any) -> Arm:
    def run(direction: Direction, sources: list[str]) -> tuple[list[str], int]:
        found = engine.translate(sources, direction)
        return list(found), found.tokens

    return run


def converted(model: Any, tokenizer: Any, directions: list[str], settings: EvaluationSettings, folder: Path) -> Any:
    """Translators of the directions' compact models, or of the dense one; and the seconds it took to make one."""
    start = clock()
    made = {}
    for name in directions:
        small = compact(model, name) if name else model
        place = folder / (name or "dense") / str(settings.quantization)
        place.mkdir(parents=True)
        convert(small, tokenizer, place, str(settings.quantization))
        made[name] = load_translator(place, "cpu", str(settings.quantization))
    vocabulary = vocabulary_of(tokenizer, model.config.vocab_size)
    longest = model.config.max_position_embeddings - 2
    engine = CTranslate2Engine(tokenizer, settings, Loaded(made), vocabulary, longest)
    return engine, (clock() - start) / len(directions)


def make_arms(opened: Any, tests: Tests, folder: Path) -> tuple[dict[str, Arm], dict[str, float]]:
    model, tokenizer = opened.model, opened.tokenizer
    dense = open_specialized(opened.path).model
    unspecialize(dense)
    names, own = list(map(str, tests)), EvaluationSettings()
    arms = {
        "plain": plain(model, tokenizer, own),
        "transformers": engine_arm(make_engine(model, tokenizer, own)),
        "transformers, dense": engine_arm(make_engine(dense, tokenizer, own)),
    }
    seconds = {}
    for quantization in ("float32", "int8"):
        settings = EvaluationSettings(engine="ctranslate2", quantization=quantization)
        for label, source, directions in (("", model, names), (", dense", dense, [""])):
            engine, taken = converted(source, tokenizer, directions, settings, folder / (label or "own"))
            arms[f"ctranslate2 {quantization}{label}"] = engine_arm(engine)
            seconds[f"{quantization}{label}"] = round(taken, 3)
    return arms, seconds


def main() -> None:
    from tempfile import TemporaryDirectory

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sentences", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="of the process, for a machine that others use, too")
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock = time.process_time
    torch.set_num_threads(options.threads)
    opened = open_specialized(options.run)
    directions = opened.store.directions("test")  # type: ignore[union-attr]
    tests = {d: read_test_set(opened.store, d, options.sentences).sources for d in directions}  # type: ignore[arg-type]
    with TemporaryDirectory() as folder:
        arms, conversion = make_arms(opened, tests, Path(folder))
        seconds, outputs, tokens = measure(arms, tests, options.rounds)
    number = sum(map(len, tests.values()))
    masks = attached(opened.model).masks  # type: ignore[union-attr]
    write_result(
        "decoding_speed",
        {
            "time": "CPU" if options.cpu_time else "wall",
            "directions": len(tests),
            "sentences": number,
            "beam": EvaluationSettings().beam,
            "sparsity": round(masks.sparsity(), 3),
            "sentences / s": {arm: round(number / statistics.median(t), 1) for arm, t in seconds.items()},
            "output tokens / s": {arm: round(tokens[arm] / statistics.median(t)) for arm, t in seconds.items()},
            "output tokens": tokens,
            "speed over plain": ratios(seconds, "plain"),
            "int8 specialized over int8 dense": ratios(seconds, "ctranslate2 int8, dense")["ctranslate2 int8"],
            "float32 specialized over float32 dense": ratios(seconds, "ctranslate2 float32, dense")[
                "ctranslate2 float32"
            ],
            "conversion and loading, s a model": conversion,
            "same hypotheses as transformers": {
                arm: round(sum(a == b for a, b in zip(lines, outputs["transformers"], strict=True)) / number, 4)
                for arm, lines in outputs.items()
                if "dense" not in arm
            },
        },
    )


def measure(
    arms: dict[str, Arm], tests: Tests, rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[str]], dict[str, int]]:
    seconds: dict[str, list[float]] = {arm: [] for arm in arms}
    outputs: dict[str, list[str]] = {}
    tokens: dict[str, int] = {}
    for run in arms.values():  # warm up
        first = next(iter(tests))
        run(first, tests[first][:8])
    for number in range(rounds):
        names = list(arms) if number % 2 == 0 else list(reversed(arms))
        for name in names:
            start = clock()
            results = [arms[name](direction, sources) for direction, sources in tests.items()]
            seconds[name].append(clock() - start)
            outputs[name] = [line for lines, _ in results for line in lines]
            tokens[name] = sum(count for _, count in results)
            print(f"round {number + 1}: {name}: {seconds[name][-1]:.1f} s", flush=True)
    return seconds, outputs, tokens


def ratios(seconds: dict[str, list[float]], reference: str) -> dict[str, float]:
    """How many times as fast as the reference, the median over the rounds."""
    return {
        arm: round(statistics.median(b / a for a, b in zip(taken, seconds[reference], strict=True)), 2)
        for arm, taken in seconds.items()
    }


if __name__ == "__main__":
    main()
