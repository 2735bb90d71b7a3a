"""The sections about arms: what they gain over the baseline, where they were adapted, over a pretrained checkpoint."""

from __future__ import annotations

from neuronspec.core.table import Table
from neuronspec.evaluation.adaptation import adaptation_table
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import average, gains_of, trained_directions
from neuronspec.report.colors import arm_colors
from neuronspec.report.data import ReportData
from neuronspec.report.figures.gains import adaptation_plane, gain_dots, gains_by_direction
from neuronspec.report.gains import gains_over
from neuronspec.report.page.blocks import Block, Section, figure_block, rounded
from neuronspec.report.page.summary import adaptation_told


def gain_block(data: ReportData) -> Block | None:
    """The first chart: what every arm gains over the baseline, and how sure that is. None without results of both."""
    results = data.results
    gains = gains_over(results) if results is not None else []
    if results is None or not gains:
        return None
    directions = trained_directions(results)
    kinds = {gain.kind for gain in gains if gain.bounds is not None}
    told = (
        f" Bars: 95% interval for {' or '.join(sorted(kinds))}; where it includes 0, chance may be all."
        if kinds
        else ""
    )
    return figure_block(
        "gain",
        f"Gain of the arms over base, mean of {len(directions)} directions",
        "All arms continue from base, with the same text and number of updates. Only a gain over dense and random says "
        f"something about specialization.{told}",
        gain_dots(gains, arm_colors(data.arms)),
        ["arm", "chrF++", "gain over base", "low", "high", "directions"],
        [
            [gain.arm, rounded(average(results.arms[gain.arm], directions, "chrf++").value, 2), rounded(gain.value, 3),
             rounded(gain.low, 3), rounded(gain.high, 3), f"{gain.n} of {gain.of}"]
            for gain in gains
        ],
    )  # fmt: skip


def adaptation_section(data: ReportData) -> Section | None:
    """Gain in the adapted directions against the change in the others; None where arms were trained on all."""
    results = data.results
    table = adaptation_table(results) if results is not None else None
    if results is None or table is None:
        return None
    adapted, others = gains_over(results, "base", "adapted"), gains_over(results, "base", "others")
    elsewhere = {gain.arm: gain for gain in others}
    blocks = []
    if adapted and others:
        blocks = [
            figure_block(
                "adaptation",
                "Gain there, change elsewhere",
                "Up: the gain in the adapted directions. Left: what the others forget. The best arms are at the top, "
                "and not left of the line. Bars: 95% intervals, for other directions where there are several.",
                adaptation_plane(adapted, others, arm_colors(data.arms)),
                ["arm", "gain, adapted", "low", "high", "change, others", "low, others", "high, others"],
                [
                    [gain.arm, *(rounded(value, 3)
                                 for one in (gain, elsewhere[gain.arm])
                                 for value in (one.value, one.low, one.high))]
                    for gain in adapted if gain.arm in elsewhere
                ],
            )
        ]  # fmt: skip
    intro = f"The arms were trained on {', '.join(results.adapted)} alone; all directions were evaluated."
    return Section("adaptation-section", "Adaptation", intro, blocks, list(adaptation_told(results)), [table])


def checkpoint_section(data: ReportData) -> Section | None:
    """What a run that started from a pretrained checkpoint made of it; None for others."""
    results = data.results
    if results is None or not results.pretrained:
        return None
    facts = Table("The checkpoint", ["fact", "value"], [[key, value] for key, value in _facts(results).items()])
    base = results.arms.get("base", {})
    directions = trained_directions(results)
    gains = {
        arm: gains_of(scores, base, directions, "chrf++")
        for arm, scores in results.arms.items()
        if arm not in ("base", "copy")
    }
    gains = {arm: found for arm, found in gains.items() if found}
    blocks, told = [], []
    for arm, found in gains.items():
        worse = [name for name, value in found.items() if value < 0]
        told.append(
            f"{arm} is above the checkpoint in {len(found) - len(worse)} of {len(found)} directions"
            + (f"; below it in {', '.join(worse[:6])}{' and others' if len(worse) > 6 else ''}." if worse else ".")
        )
    if gains:
        names = sorted({name for found in gains.values() for name in found})
        blocks = [
            figure_block(
                "checkpoint-gains",
                "Gain over the checkpoint, by direction",
                "chrF++ of each arm minus that of base. Directions are sorted by the first arm's gain. Single "
                "directions vary; the tables mark what is beyond chance.",
                gains_by_direction(gains, arm_colors(data.arms)),
                ["direction", *gains],
                [[name, *(rounded(found.get(name), 2) for found in gains.values())] for name in names],
            )
        ]
    intro = (
        "The baseline is a pretrained checkpoint; base in all tables is its scores before anything was trained here."
    )
    if any(line.get("kind") == "end" for line in data.logs.get("base", ())):
        intro = (
            "The baseline started from a pretrained checkpoint and was trained on; base in all tables is after that."
        )
    return Section("checkpoint", "Starting from a checkpoint", intro, blocks, told, [facts])


def _facts(results: Results) -> dict[str, str]:
    """What is known of the checkpoint, and what became of its vocabulary."""
    known = dict(results.pretrained or {})
    vocabulary = (results.model_extra or {}).get("vocabulary")
    changed = vocabulary if isinstance(vocabulary, dict) else {}
    return known | {f"vocabulary, {key}": f"{before:,} → {after:,}" for key, (before, after) in changed.items()}
