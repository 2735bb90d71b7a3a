"""Time of the significance tests: ours, and sacreBLEU's own, taking turns on the same made-up test sets.

    python benchmarks/significance.py

Four arms (six pairs) translate test sets of 2,009 sentences, the size of FLORES-200 dev+devtest. Both sides test BLEU
and chrF++ with 1,000 resamples and 10,000 trials. sacreBLEU tests three arms against one baseline a direction; ours is
timed on the same three pairs of one direction, and on all pairs of 24 directions. The sentence statistics are computed
beforehand on our side (evaluation caches them) and timed apart, as `statistics`.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable

from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.significance import PairedTest

from machine import write_result
from neuronspec.scoring.pairwise import arms_significance
from neuronspec.scoring.resampling import PairedTests
from neuronspec.scoring.score import score_with_statistics
from neuronspec.scoring.settings import ScoreSettings

ARMS = {"base": 0.35, "specialized": 0.33, "dense": 0.34, "random": 0.345}
SETTINGS = ScoreSettings(ter=False)


def make_texts(sentences: int) -> tuple[list[str], dict[str, list[str]]]:
    """References of random words, and each arm's copy of them with a share of the words replaced."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(3000)]
    references = [" ".join(draw.choices(words, k=draw.randint(8, 36))) for _ in range(sentences)]

    def damaged(share: float) -> list[str]:
        return [
            " ".join(draw.choice(words) if draw.random() < share else word for word in line.split())
            for line in references
        ]

    return references, {arm: damaged(share) for arm, share in ARMS.items()}


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentences", type=int, default=2009)
    parser.add_argument("--directions", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    references, arms = make_texts(arguments.sentences)
    rows = {}
    statistics_time = seconds(
        lambda: rows.update({a: score_with_statistics(t, references, "en", SETTINGS)[1] for a, t in arms.items()})
    )
    pairs = [(arm, "base") for arm in ARMS if arm != "base"]

    def theirs() -> None:
        for kind in ("bs", "ar"):
            metrics = {"BLEU": BLEU(force=True), "chrF": CHRF(word_order=2)}
            PairedTest(list(arms.items()), metrics, [references], test_type=kind)()

    def ours() -> None:
        PairedTests(rows).compare(pairs)

    names = [f"en-x{index}" for index in range(arguments.directions)]
    everything = {arm: dict.fromkeys(names, found) for arm, found in rows.items()}
    times: dict[str, list[float]] = {"sacrebleu": [], "ours": [], "all": []}
    for _ in range(arguments.rounds):
        times["sacrebleu"].append(seconds(theirs))
        times["ours"].append(seconds(ours))
        times["all"].append(seconds(lambda: arms_significance(everything, names, {"average": names}, SETTINGS)))
    medians = {name: statistics.median(values) for name, values in times.items()}
    write_result(
        "significance",
        {
            "sentences": arguments.sentences,
            "one direction, 3 pairs, sacreBLEU (with its statistics), seconds": round(medians["sacrebleu"], 2),
            "one direction, 3 pairs, ours (statistics cached), seconds": round(medians["ours"], 2),
            "statistics of one direction and 4 arms, seconds": round(statistics_time, 2),
            "sacreBLEU over ours with statistics, times": round(
                medians["sacrebleu"] / (medians["ours"] + statistics_time), 1
            ),
            f"{arguments.directions} directions, 6 pairs, ours, seconds": round(medians["all"], 2),
        },
    )


if __name__ == "__main__":
    main()
