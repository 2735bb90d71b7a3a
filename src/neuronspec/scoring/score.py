"""What a metric is, and computing all metrics of a test set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from neuronspec.core.errors import EvaluationError
from neuronspec.scoring.registry import METRICS
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.scoring.statistics import Rows, Statistics, Values


@dataclass(frozen=True, slots=True)
class Score:
    """One score over one test set.

    Args:
        value: on the scale.
        signature: what exactly was computed, and by which version.
        n: sentences.
        scale: what the number means.
    """

    value: float
    signature: str
    n: int
    scale: str


@dataclass(frozen=True, slots=True)
class Lines:
    """What string metrics compare: the lines of a test set.

    Args:
        hypotheses: translations, one per sentence.
        references: as many.
        language: the code of both.
        uniform: score as version 0.1 did, whose TER was the same in all languages.
    """

    hypotheses: list[str]
    references: list[str]
    language: str
    uniform: bool = False


@dataclass(frozen=True, slots=True)
class Computed:
    """What a string metric computes over one test set.

    Args:
        value: the score.
        signature: what exactly was computed, and by which version.
        rows: `[sentences, columns]` statistics whose sums give the score; None if it can't be resampled.
    """

    value: float
    signature: str
    rows: Rows | None = None


class Metric:
    """A score of translations: what it is called and what it means. Its name is the one in the registry.

    A metric that is computed from hypotheses and references is a `StringMetric`.

    Attributes:
        label: its name in tables.
        digits: decimals that tables show.
        scale: what the number means, in a few words.
    """

    label: ClassVar[str]
    digits: ClassVar[int] = 1
    scale: ClassVar[str]

    @classmethod
    def resampled(cls) -> bool:
        """Whether the score of any resampled test set can be computed from statistics."""
        return cls.values is not Metric.values

    def values(self, sums: Rows) -> Values:
        """The score of each test set from its summed statistics.

        Args:
            sums: `[test sets, columns]`.

        Returns:
            `[test sets]`.
        """
        raise NotImplementedError(f"{type(self).__name__} can't be resampled")


class StringMetric(Metric, ABC):
    """A metric that is computed from hypotheses and references.

    A new one is a file with a subclass of this and a line in `METRICS`. Where a recipe names it (`scores.metrics`), or
    `wanted` says so, it appears in all result files and tables.
    """

    def wanted(self, settings: ScoreSettings) -> bool:
        """Whether it is computed although `scores.metrics` doesn't name it."""
        return False

    def check(self, languages: Sequence[str], settings: ScoreSettings) -> None:
        """Check, before the long work, that it can be computed for text in these languages.

        Raises:
            EvaluationError: something is missing; says what.
        """

    def why_not(self, language: str) -> str | None:
        """Why it says nothing about text in a language, and isn't computed for it; None if it does."""
        return None

    @abstractmethod
    def compute(self, lines: Lines, settings: ScoreSettings, before: Mapping[str, Computed]) -> Computed:
        """The score of a test set.

        Args:
            lines: of the test set.
            settings: how to score.
            before: the metrics that are earlier in the registry, by name.
        """


def scales() -> dict[str, str]:
    """What the numbers of each score mean."""
    return {name: METRICS.get(name).scale for name in METRICS}


def values_of(metric: str, sums: Rows) -> Values:
    """The scores of test sets by a metric, from their summed statistics: `[test sets, columns]` to `[test sets]`."""
    return METRICS.get(metric)().values(sums)


def string_metrics(settings: ScoreSettings) -> dict[str, StringMetric]:
    """The string metrics that the settings ask for, by name.

    Raises:
        EvaluationError: `scores.metrics` names a score that isn't computed from hypotheses and references.
    """
    made = {name: METRICS.get(name)() for name in METRICS}
    named = settings.metrics or []
    others = [name for name in named if not isinstance(made[name], StringMetric)]
    if others:
        raise EvaluationError(
            f"scores.metrics: {others[0]!r} isn't computed from hypotheses and references alone; leave it out "
            "(comet and off_target have settings of their own)"
        )
    return {
        name: one
        for name, one in made.items()
        if isinstance(one, StringMetric) and (name in named or one.wanted(settings))
    }


def skipped_metrics(languages: Sequence[str], settings: ScoreSettings) -> dict[str, str]:
    """The metrics that aren't computed for text in some of the languages, and why.

    Args:
        languages: that are translated into.
        settings: which metrics are asked for.
    """
    skipped = {}
    for name, metric in string_metrics(settings).items():
        reasons: dict[str, list[str]] = {}
        for language in sorted(set(languages)):
            if reason := metric.why_not(language):
                reasons.setdefault(reason, []).append(language)
        if reasons:
            skipped[name] = "; ".join(f"not into {', '.join(codes)}: {reason}" for reason, codes in reasons.items())
    return skipped


def check_metrics(languages: Sequence[str], settings: ScoreSettings) -> None:
    """Check that the string metrics can be computed for text in each of the languages.

    Raises:
        EvaluationError: a tokenizer or its model is missing, or a language is unknown.
    """
    for metric in string_metrics(settings).values():
        metric.check(languages, settings)


def score(
    hypotheses: Sequence[str], references: Sequence[str], language: str, settings: ScoreSettings | None = None
) -> dict[str, Score]:
    """The string metrics of one test set: `bleu`, `chrf++`, `length_ratio`, `empty`, and those the settings switch on.

    A metric that says nothing about the language is left out (`skipped_metrics`).

    Args:
        hypotheses: translations, one per sentence.
        references: as many.
        language: the code of both.
        settings: which metrics, and how.

    Raises:
        EvaluationError: as `check_lines` and `check_metrics`.

    Examples:
        >>> score(["The house stands."], ["The house stands."], "en")["chrf++"].value
        100.0
    """
    return score_with_statistics(hypotheses, references, language, settings or ScoreSettings())[0]


def score_with_statistics(
    hypotheses: Sequence[str],
    references: Sequence[str],
    language: str,
    settings: ScoreSettings,
    *,
    uniform: bool = False,
) -> tuple[dict[str, Score], Statistics]:
    """As `score`, with the statistics of each metric that can be resampled, `[sentences, columns]`.

    Args:
        hypotheses: translations, one per sentence.
        references: as many.
        language: the code of both.
        settings: which metrics, and how.
        uniform: see `Lines`.

    Raises:
        EvaluationError: as `check_lines` and `check_metrics`.
    """
    check_lines(hypotheses, references)
    check_metrics([language], settings)
    lines = Lines(list(hypotheses), list(references), language, uniform)
    found: dict[str, Computed] = {}
    scores = {}
    for name, metric in string_metrics(settings).items():
        if not uniform and metric.why_not(language):
            continue
        found[name] = metric.compute(lines, settings, found)
        scores[name] = Score(found[name].value, found[name].signature, len(references), metric.scale)
    return scores, {name: one.rows for name, one in found.items() if one.rows is not None}


def check_lines(hypotheses: Sequence[str], references: Sequence[str], names: tuple[str, str] = ("", "")) -> None:
    """Check that there is one reference per hypothesis, and that no reference is empty.

    Args:
        hypotheses: translations, one per sentence.
        references: what they are compared with.
        names: of the files, for the message.

    Raises:
        EvaluationError: their numbers differ, or a reference is missing or empty.
    """
    hypothesis, reference = (f" in {name}" if name else "" for name in names)
    if not any(line.strip() for line in references):
        what = f"all {len(references)} references are empty" if references else "there is no reference"
        raise EvaluationError(f"nothing to score against: {what}{reference}")
    if len(hypotheses) != len(references):
        raise EvaluationError(
            f"{len(hypotheses)} hypotheses{hypothesis} and {len(references)} references{reference}: each line needs "
            "its counterpart; an empty translation is an empty line"
        )
    empty = [number for number, line in enumerate(references, start=1) if not line.strip()]
    if empty:
        raise EvaluationError(
            f"line {empty[0]}{f' and {len(empty) - 1} more' if empty[1:] else ''} of the references{reference} is "
            "empty; leave such sentences out of source, hypotheses and references"
        )
