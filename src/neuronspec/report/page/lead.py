"""How a report opens: three sentences and one chart."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, trained_directions
from neuronspec.report.data import ReportData
from neuronspec.report.gains import Gain, gain_of, gains_over
from neuronspec.report.numbers import Numbers
from neuronspec.report.page.summary import SIGNIFICANT, against, course


def lead_sentences(data: ReportData, numbers: Numbers) -> list[str]:
    """What was run; what wins, and how sure that is; what the neurons show."""
    return [
        *([data.about] if data.about else []),
        *(_outcome(data.results) if data.results is not None else ()),
        _neurons(data, numbers),
    ]


def _outcome(results: Results) -> Iterator[str]:
    if results.adapted and (told := _adapted(results)):
        yield told
        return
    directions = trained_directions(results)
    means = {arm: average(scores, directions, "chrf++").value for arm, scores in results.arms.items()}
    known = {arm: mean for arm, mean in means.items() if mean is not None}
    arms = {arm: mean for arm, mean in known.items() if arm != "copy"}
    if not arms:
        return
    best = max(arms, key=lambda arm: arms[arm])
    rest = ", ".join(
        f"{name} {known[arm]:.1f}" for arm, name in (("base", "base"), ("copy", "copying the source")) if arm in known
    )
    text = f"{_start(best)} scores best on average: chrF++ {arms[best]:.1f}" + (f" ({rest})" if rest else "")
    compared = [
        _compared(gain, other)
        for other in ("dense", "random")
        if (gain := gain_of(results, "specialized", other)) is not None
    ]
    if compared:
        text += f"; specialized is {', and '.join(compared)}"
    elif best != "base" and (gain := gain_of(results, best, "base")) is not None:
        text += f"; that is {_compared(gain, 'base')}"
    if {"base", "copy"} <= known.keys() and known["base"] <= known["copy"]:
        text += "; the baseline is too little trained for a verdict, as it is no better than copying"
    yield f"{text}. This is one training seed."


def _compared(gain: Gain, other: str) -> str:
    sure = f" ({gain.sure})" if gain.sure else " (not tested)"
    return f"{against(gain.value, other)}{sure}"


def _adapted(results: Results) -> str:
    """The arm that gains most where it was trained, and its change elsewhere."""
    gains = gains_over(results, "base", "adapted")
    if not gains:
        return ""
    best = max(gains, key=lambda gain: gain.value)
    other = gain_of(results, best.arm, "base", "others")
    elsewhere = ""
    if other is not None:
        elsewhere = f", and changes the others by {other.value:+.2f}{f' ({other.sure})' if other.sure else ''}"
    return (
        f"{_start(best.arm)} gains most in the adapted directions ({', '.join(results.adapted)}): {best.value:+.2f} "
        f"chrF++ over base{f' ({best.sure})' if best.sure else ''}{elsewhere}. This is one training seed."
    )


def _start(arm: str) -> str:
    """An arm's name at the start of a sentence."""
    return f"The arm {arm}"


def _neurons(data: ReportData, numbers: Numbers) -> str:
    told = [f"a {_task(data)} uses {1 - data.masks.sparsity():.0%} of the feed-forward neurons on average"]
    overlaps = list(_overlaps(numbers))
    if overlaps:
        told.append(f"from the first layer to the last the overlap between {_task(data)}s {' and '.join(overlaps)}")
    tested = [site for site in numbers.sites if site.adjusted is not None]
    if tested:
        found = sum(site.adjusted is not None and site.adjusted < SIGNIFICANT for site in tested)
        told.append(f"languages of one family share more than others in {found} of {len(tested)} layers (p < 0.05)")
    told += list(_causes(data))
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def _task(data: ReportData) -> str:
    return "direction" if data.pivot else "task"


def _overlaps(numbers: Numbers) -> Iterator[str]:
    for side in numbers.sides:
        own = [row.mean for row in numbers.progression if row.site.startswith(f"{side}.") and row.mean is not None]
        if len(own) > 1:
            where = "" if side == "layers" else f" in the {side}"
            yield f"{course(own[0], own[-1])}{where} ({own[0]:.2f} to {own[-1]:.2f})"


def _causes(data: ReportData) -> Iterator[str]:
    """What turning off a direction's own neurons costs more than another's."""
    parts = []
    for ablation in data.findings.ablation if data.findings else ():
        mean, interval = ablation.above_others()
        bounds = "" if interval is None else f", 95% {interval.low:+.3f} to {interval.high:+.3f}"
        where = "" if ablation.side == "layers" else f" in the {ablation.side}"
        parts.append(f"{mean:+.3f} nats{where}{bounds}")
    if parts:
        yield f"turning off its own neurons costs a {_task(data)} more than another's: {'; '.join(parts)}"
