"""Whether tests find what isn't there, and whether intervals hold what they say: simulations with a known truth.

    python benchmarks/calibration.py

Three kinds of numbers, each for the functions that neuronspec ships:

- `size`: how often a test at 0.05 rejects although there is no difference; should be 0.05;
- `family_wise_error`: how often any of 18 or 60 directions without a difference is marked `**`; should be at most 0.05;
- `coverage`: how often a 95% interval holds the truth, for 3, 6, 18, 44 and 60 directions; should be 0.95.

`before` has the same for the methods that they replaced, which live on in this file alone. 2,000 simulations have a
standard error of 0.005. One core, less than an hour.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from machine import write_result
from neuronspec.analysis.overlap import above_chance, chance_overlap, most_active_overlap, overlap
from neuronspec.analysis.permutation import family_test
from neuronspec.evaluation.seeds import summarize_seeds
from neuronspec.neurons.activations import Activations, RecordingInfo, SiteInfo
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.scoring.joint import JointSamples
from neuronspec.scoring.pairwise import compare_systems, mean_difference
from neuronspec.scoring.resampling import holm
from neuronspec.scoring.significance import LEVEL
from neuronspec.scoring.statistics import Statistics
from neuronspec.sweep.differences import group_difference

DIRECTIONS = (3, 6, 18, 44, 60)
TESTED = (18, 60)
METRIC = "comet"
"""The mean of sentence scores: the cheapest metric that there is."""
SENTENCES = 100
SEEDS, BASES = 3, 3
SENTENCE, DIRECTION, TRAINING, INTERACTION, BASE = 3.0, 0.3, 0.15, 0.1, 0.3
"""Standard deviations: of a sentence's difference (0.3 for the mean of 100), of directions, seeds, both, baselines."""

Names = list[str]
Table = dict[str, Any]


class Counter:
    """How often something was so, by name and number of directions."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, name: str, happened: float, directions: int | str = "") -> None:
        """Count one simulation."""
        self._sums[name][str(directions)].append(float(happened))

    def rates(self) -> Table:
        """By name (and number of directions), the share of simulations in which it was so."""
        shares = {name: {key: _round(values) for key, values in found.items()} for name, found in self._sums.items()}
        return {name: found[""] if list(found) == [""] else found for name, found in shares.items()}


def calibrate(simulations: int, resamples: int, trials: int, directions: int = max(DIRECTIONS)) -> Table:
    """All simulations: `size`, `family_wise_error`, `coverage` and `before`.

    Args:
        simulations: of each kind.
        resamples: of the sentences.
        trials: of the approximate randomization.
        directions: the most that are simulated.
    """
    kinds = ("size", "family_wise_error", "coverage")
    now, before = ({kind: Counter() for kind in kinds} for _ in range(2))
    numbers = [count for count in DIRECTIONS if count <= directions]
    parts = {
        "tests by direction": lambda random: tests(random, now, before, directions, resamples, trials),
        "chrF++": lambda random: ratio_metric(random, now, before, resamples, trials),
        "one training": lambda random: one_training(random, now, before, numbers, resamples),
        "sweep": lambda random: sweeps(random, now, before, numbers, resamples),
        "families": lambda random: families(random, now, before),
    }
    for number, (name, simulate) in enumerate(parts.items()):
        for count in _told(name, simulations):
            simulate(np.random.default_rng([number, count]))
    return {
        **{kind: counter.rates() for kind, counter in now.items()},
        "before": {kind: counter.rates() for kind, counter in before.items()},
    }


def tests(random: np.random.Generator, now: Table, before: Table, directions: int, resamples: int, trials: int) -> None:
    """Two systems that are as good as each other in every direction."""
    names = _names(directions)
    skewed = random.gamma(1.0, 1.0, size=(2, directions, SENTENCES))
    systems = {
        system: {name: _rows(scores) for name, scores in zip(names, values, strict=True)}
        for system, values in zip(("one", "other"), skewed, strict=True)
    }
    pair = ("one", "other")
    found = compare_systems(systems, [pair], names, resamples=resamples, trials=trials)[pair][METRIC].directions
    p = {name: test.p for name, test in found.items() if test.p is not None}
    theirs = {name: test.sacrebleu_bootstrap_p for name, test in found.items()}
    now["size"].add("approximate randomization", np.mean([value < LEVEL for value in p.values()]))
    before["size"].add("sacreBLEU's bootstrap", np.mean([value < LEVEL for value in theirs.values()]))
    for count in (count for count in TESTED if count <= directions):
        few = names[:count]
        corrected = holm({name: p[name] for name in few})
        now["family_wise_error"].add("approximate randomization", min(corrected.values()) < LEVEL, count)
        corrected = holm({name: theirs[name] for name in few})
        before["family_wise_error"].add("sacreBLEU's bootstrap", min(corrected.values()) < LEVEL, count)
    interval = found[names[0]]
    now["coverage"].add("one direction, other sentences", interval.low <= 0 <= interval.high, 1)


def ratio_metric(random: np.random.Generator, now: Table, before: Table, resamples: int, trials: int) -> None:
    """The same in one direction with chrF++, a ratio of sums over sentences of different lengths."""
    lengths = random.integers(10, 80, size=SENTENCES)
    level = random.normal(0.4, 0.1, size=SENTENCES)

    def system() -> Statistics:
        matches = np.clip(lengths * (level + random.normal(0, 0.1, size=SENTENCES)), 0, lengths)
        return {"chrf++": np.stack([lengths, lengths, matches] * 8, axis=1).astype(np.float64)}

    pair = ("one", "other")
    systems = {name: {"en-de": system()} for name in pair}
    test = compare_systems(systems, [pair], ["en-de"], resamples=resamples, trials=trials)[pair]["chrf++"]
    found = test.directions["en-de"]
    now["size"].add("approximate randomization, chrF++", found.p is not None and found.p < LEVEL)
    before["size"].add("sacreBLEU's bootstrap, chrF++", found.sacrebleu_bootstrap_p < LEVEL)
    now["coverage"].add("one direction, other sentences, chrF++", found.low <= 0 <= found.high, 1)


def one_training(random: np.random.Generator, now: Table, before: Table, numbers: list[int], resamples: int) -> None:
    """Means over directions of two models: for other sentences, and for other directions of the kind."""
    count = max(numbers)
    names = _names(count)
    effects = random.normal(0, DIRECTION, size=count)
    for told, share in (("", None), (", sentences shared (r 0.3)", 0.3)):
        noise = _sentences(random, (count,), share or 0.0)
        scores = effects[:, None] + noise
        systems = {"one": {n: _rows(s) for n, s in zip(names, scores, strict=True)}, "other": _nothing(names)}
        apart = JointSamples(systems, resamples=resamples)
        together = JointSamples(systems, dict.fromkeys(names, np.arange(SENTENCES)), resamples=resamples)
        samples = apart if share is None else together
        drawn, drawn_apart = (
            np.stack([one.differences("one", "other", name, METRIC) for name in names]) for one in (samples, apart)
        )
        values = scores.mean(axis=1)
        for few in numbers:
            found = mean_difference(list(values[:few]), drawn[:few], samples, few)
            these, other = found.these_directions, found.other_directions
            assert these is not None and other is not None
            truth = effects[:few].mean()
            now["coverage"].add(f"these directions{told}", these.low <= truth <= these.high, few)
            now["coverage"].add(f"other directions{told}", other.low <= 0 <= other.high, few)
            low, high = hierarchical(random, drawn_apart[:few])
            before["coverage"].add(f"hierarchical bootstrap{told}", low <= 0 <= high, few)
        if share is not None:
            low, high = np.percentile(drawn_apart.mean(axis=0), [2.5, 97.5])
            truth = effects.mean()
            before["coverage"].add(f"these directions, drawn one by one{told}", low <= truth <= high, count)


def sweeps(random: np.random.Generator, now: Table, before: Table, numbers: list[int], resamples: int) -> None:
    """Means over directions of several trainings: over seeds on one baseline, and over baselines."""
    count = max(numbers)
    names = _names(count)
    ids = dict.fromkeys(names, np.arange(SENTENCES))
    for over, bases in (
        ("seeds", [0] * SEEDS),
        ("baselines", [base for base in range(1, BASES + 1) for _ in range(2)]),
    ):
        trainings = len(bases)
        of_base = random.normal(0, BASE, size=BASES + 1)
        fixed = of_base[0] if over == "seeds" else 0.0  # what this baseline does is part of the truth about it
        effects = random.normal(0, DIRECTION, size=count)
        by_training = of_base[bases] + random.normal(0, TRAINING, size=trainings)
        both = random.normal(0, INTERACTION, size=(trainings, count))
        noise = 0.8 * _sentences(random, (count,), 0.3)[None] + 0.6 * _sentences(random, (trainings, count), 0.1)
        scores = effects[None, :, None] + by_training[:, None, None] + both[:, :, None] + noise
        systems: dict[Any, dict[str, Statistics]] = {
            training: {name: _rows(scores[training, place]) for place, name in enumerate(names)}
            for training in range(trainings)
        }
        samples = JointSamples(systems, ids, resamples=resamples)
        drawn = np.stack([[samples.samples(each, name, METRIC) for name in names] for each in range(trainings)])
        values = scores.mean(axis=2)
        for few in numbers:
            found = group_difference(values[:, :few], drawn[:, :few], bases, samples, of=few)
            truths = {
                "these_trainings": _true_means(effects, by_training, both, bases)[:few].mean(),
                "other_trainings": effects[:few].mean() + fixed,
                "other_directions": fixed,
            }
            for name, truth in truths.items():
                bounds = getattr(found, name)
                held = bounds.low <= truth <= bounds.high
                now["coverage"].add(f"{name.replace('_', ' ')}, {over}", held, few)
            low, high = hierarchical(random, drawn[:, :few].mean(axis=0))
            before["coverage"].add(f"hierarchical bootstrap, {over}", low <= fixed <= high, few)
    _test_seeds(random, now, before)


def _test_seeds(random: np.random.Generator, now: Table, before: Table) -> None:
    """t-tests over trainings where there is no difference: for the baseline at hand, and for others."""
    for ratio in (0.5, 1.0, 2.0):
        seeds = random.normal(0, 1, size=(BASES, SEEDS))
        bases = random.normal(0, ratio, size=BASES)
        p = summarize_seeds([float(v) for v in (bases[:, None] + seeds).mean(axis=1)], test=True).p
        now["size"].add(f"t-test over baselines (their sd {ratio:g} x the seeds')", p is not None and p < LEVEL)
        p = summarize_seeds([float(v) for v in bases[0] + seeds[0]], test=True).p
        name = f"t-test over seeds, for other baselines (their sd {ratio:g} x the seeds')"
        before["size"].add(name, p is not None and p < LEVEL)
    p = summarize_seeds([float(v) for v in random.normal(0, 1, size=SEEDS)], test=True).p
    now["size"].add("t-test over seeds, given this baseline", p is not None and p < LEVEL)


def _true_means(effects: np.ndarray, by_training: np.ndarray, both: np.ndarray, bases: list[int]) -> np.ndarray:
    """By direction, the true mean over these trainings (of each baseline, then over baselines)."""
    true = effects[None] + by_training[:, None] + both
    return np.mean([true[np.array(bases) == base].mean(axis=0) for base in sorted(set(bases))], axis=0)


def families(random: np.random.Generator, now: Table, before: Table) -> None:
    """Neurons of languages whose families differ in the size of masks, and in nothing else."""
    width, groups = 256, [family for family in "abcd" for _ in range(3)]
    names = [f"en-l{place:02}" for place in range(len(groups))]
    activity = random.normal(size=width)[None] + random.normal(size=(len(names), width))
    counts = torch.from_numpy(np.round(1000 * np.exp(activity / 3))).long()
    site = "decoder.0"
    info = SiteInfo(name=site, width=width, activation="ReLU", gated=False, keeps_sign=True)
    acts = Activations(
        RecordingInfo(sites=(info,), fingerprint="simulated"),
        {name: {site: row} for name, row in zip(names, counts, strict=True)},
        {name: {site: row.double()} for name, row in zip(names, counts, strict=True)},
        {name: {site: 1000} for name in names},
    )
    for difference in (0.0, 0.03, 0.08):
        sizes = [round(width * (0.6 + difference * "abcd".index(family))) for family in groups]
        order = counts.sort(dim=1, descending=True, stable=True).indices
        masks = NeuronMasks.from_dict(
            {
                name: {site: torch.zeros(width, dtype=torch.bool).scatter(0, row[:size], True)}
                for name, row, size in zip(names, order, sizes, strict=True)
            }
        )
        told = f"family test, sizes differ by {difference:g}"
        alike = most_active_overlap(acts, site, names, round(sum(sizes) / len(sizes)))
        test = family_test(alike.numpy(), groups, permutations=199, seed=int(random.integers(1 << 30)))
        now["size"].add(told, test.p is not None and test.p <= LEVEL)
        above = above_chance(overlap(masks, site, names), chance_overlap(masks, site, names))
        test = family_test(above.numpy(), groups, permutations=199, seed=int(random.integers(1 << 30)))
        before["size"].add(f"{told}, on overlap above chance", test.p is not None and test.p <= LEVEL)


def hierarchical(random: np.random.Generator, samples: np.ndarray, draws: int = 1000) -> tuple[float, float]:
    """The superseded interval: directions are drawn with replacement, and for each one of its resamples."""
    count, resamples = samples.shape
    chosen = random.integers(count, size=(draws, count))
    low, high = np.percentile(
        samples[chosen, random.integers(resamples, size=(draws, count))].mean(axis=1), [2.5, 97.5]
    )
    return float(low), float(high)


def _sentences(random: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Heavy-tailed differences of sentences, `[*shape, SENTENCES]`; `share` of the variance is common to all."""
    spread = SENTENCE / (5 / 3) ** 0.5  # of Student's t with 5 degrees of freedom
    common = random.standard_t(5, size=SENTENCES)
    own = random.standard_t(5, size=(*shape, SENTENCES))
    return spread * (share**0.5 * common + (1 - share) ** 0.5 * own)


def _rows(scores: np.ndarray) -> Statistics:
    return {METRIC: np.stack([scores, np.ones(len(scores))], axis=1)}


def _nothing(names: Names) -> dict[str, Statistics]:
    return {name: _rows(np.zeros(SENTENCES)) for name in names}


def _names(count: int) -> Names:
    return [f"en-l{place:02}" for place in range(count)]


def _round(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


def _told(name: str, simulations: int) -> Iterator[int]:
    """Count simulations, and say how far they are."""
    begin = time.monotonic()
    for count in range(simulations):
        yield count
        if (count + 1) % max(1, simulations // 10) == 0:
            seconds = time.monotonic() - begin
            print(f"{name}: {count + 1} of {simulations}, {seconds:.0f} s", file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark and write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--trials", type=int, default=5000)
    arguments = parser.parse_args()
    found = calibrate(arguments.simulations, arguments.resamples, arguments.trials)
    facts = {"simulations": arguments.simulations, "resamples": arguments.resamples, "trials": arguments.trials}
    write_result("calibration", {**facts, "processor seconds": round(time.process_time()), **found})


if __name__ == "__main__":
    main()
