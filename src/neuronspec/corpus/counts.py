"""The report of `prepare`: corpus.json, the table that sums it up, and the check that every direction has text."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NotRequired

from pydantic import ConfigDict
from rich.console import Console
from rich.table import Table
from typing_extensions import TypedDict

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import read_json
from neuronspec.corpus.cleaning import PAIR_RULES
from neuronspec.corpus.encode import PairCounts
from neuronspec.corpus.mixture import Part, sizes_by_weight
from neuronspec.corpus.readers.rows import SPLITS, Pair, ReadCounts, SourceCounts, Split, pair_of
from neuronspec.corpus.settings import CorpusSettings


class DirectionReport(TypedDict):
    """A direction in a split: rows, what each rule dropped, pairs kept, tokens of both sides."""

    rows: int
    dropped: dict[str, int]
    kept: int
    source_tokens: int
    target_tokens: int


class EpochReport(TypedDict):
    """What an epoch holds of a source: its pairs, and how often each is drawn."""

    pairs: int
    drawn: float


class SourceReport(TypedDict):
    """A source of text: where it was given, rows read and used, and what an epoch of each direction holds of it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    split: Split
    place: int
    settings: dict[str, Any]
    rows: int
    used: int
    epoch: NotRequired[dict[str, EpochReport]]


class CorpusReport(TypedDict):
    """What is read of `corpus.json`; the file holds more."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    reader: str
    languages: list[str]
    rows: dict[str, int]
    splits: dict[str, dict[str, DirectionReport]]
    sources: NotRequired[list[SourceReport]]


def read_corpus_report(path: Path) -> CorpusReport:
    """Read `corpus.json`.

    Raises:
        RunError: it is missing or damaged.
    """
    return read_json(path, CorpusReport, f"remove {path.parent} to prepare the text again")


SplitCounts = Mapping[Split, Mapping[Pair, PairCounts]]


def read_report(counts: ReadCounts) -> dict[str, Any]:
    """What the reader read and left out, as plain JSON."""
    return {
        "sources": dict(sorted(counts.sources.items())),
        "skipped": {code: dict(sorted(reasons.items())) for code, reasons in sorted(counts.skipped.items())},
        "changed": {code: dict(sorted(reasons.items())) for code, reasons in sorted(counts.changed.items())},
    }


def split_report(counts: SplitCounts, corpus: CorpusSettings) -> dict[str, Any]:
    """By split and direction: rows, what each rule dropped, pairs kept, tokens of both sides; as plain JSON.

    Training pairs of sources that a direction isn't trained on aren't among those kept.
    """
    used = {
        place: corpus.trained_on(source) for place, source in enumerate(corpus.sources["train"]) if source.directions
    }
    report: dict[str, Any] = {}
    for split, pairs in counts.items():
        report[split] = {}
        for direction in corpus.all_directions:
            found = pairs[pair_of(direction.source, direction.target)]
            kept = Counter({"kept": found.kept} | found.tokens)
            for place, part in found.sources.items() if split == "train" else ():
                if direction not in used.get(place, [direction]):
                    kept.subtract(part)
            report[split][str(direction)] = {
                "rows": found.rules["rows"],
                "dropped": {rule: found.rules[rule] for rule in in_order(found.rules) if found.rules[rule]},
                "kept": kept["kept"],
                "source_tokens": kept[direction.source],
                "target_tokens": kept[direction.target],
            }
    return report


def source_report(read: ReadCounts, counts: SplitCounts, corpus: CorpusSettings) -> list[dict[str, Any]]:
    """By source: its settings, what was read of it, and for training text, by direction, what an epoch holds of it.

    `pairs` are those kept, `drawn` is how often an epoch draws each of them; as plain JSON.
    """
    report: list[dict[str, Any]] = []
    for part in read.parts:
        source = corpus.sources[part.split][part.place]
        settings = source.model_dump(mode="json", exclude_none=True)
        entry: dict[str, Any] = {"split": part.split, "place": part.place, "settings": settings}
        report.append(entry | {"rows": part.rows, "used": part.used, "read": read_report(part.read)})
    drawn: list[dict[str, Any]] = [part for part in report if part["split"] == "train"]
    for direction in corpus.all_directions:
        found = counts["train"][pair_of(direction.source, direction.target)]
        parts = [
            Part(found.sources.get(place, Counter[str]())["kept"], weight or 1.0)
            if direction in corpus.trained_on(source)
            else Part(0, 0.0)
            for place, (source, weight) in enumerate(zip(corpus.sources["train"], corpus.weights, strict=True))
        ]
        weighted = corpus.weights[0] is not None and any(part.pairs for part in parts)
        sizes = sizes_by_weight(parts) if weighted else [part.pairs for part in parts]
        for entry, (pairs, _), size in zip(drawn, parts, sizes, strict=True):
            if pairs:
                entry.setdefault("epoch", {})[str(direction)] = {"pairs": pairs, "drawn": size / pairs}
    return report


def zero_shot_report(counts: SplitCounts, directions: list[Direction]) -> dict[str, dict[str, int]]:
    """By zero-shot direction: its pairs in valid and test, which training never sees.

    Raises:
        CorpusError: a direction has no test pair.
    """
    report = {
        str(direction): {
            split: counts[split][pair_of(direction.source, direction.target)].kept for split in ("valid", "test")
        }
        for direction in directions
    }
    empty = [name for name, kept in report.items() if not kept["test"]]
    if empty:
        raise CorpusError(
            f"no test pair for the zero-shot directions {', '.join(empty)}: the test text must hold the same sentence "
            "in both languages (multi-parallel text); leave them out of evaluation.zero_shot"
        )
    return report


def in_order(rules: Iterable[str]) -> list[str]:
    """All rules of ours, and those of OpusFilter among some, in the order in which they are applied."""
    others = [rule for rule in dict.fromkeys(rules) if rule not in (*PAIR_RULES, "rows")]
    place = PAIR_RULES.index("near duplicate")
    return [*PAIR_RULES[:place], *others, *PAIR_RULES[place:]]


def rule_report(counts: SplitCounts) -> dict[str, dict[str, int]]:
    """By split: what each rule dropped, over all language pairs (a pair counts once for both directions)."""
    totals: dict[str, dict[str, int]] = {}
    for split, pairs in counts.items():
        dropped = sum((found.rules for found in pairs.values()), Counter[str]())
        totals[split] = {rule: dropped[rule] for rule in in_order(dropped)}
    return totals


def resolve_tiers(
    given: Mapping[str, list[str]], languages: list[str], sizes: Mapping[str, int]
) -> dict[str, list[str]]:
    """The tiers of a recipe; without them, thirds of the languages by their number of training pairs.

    Larger first, equals in the recipe's order; where three doesn't divide the number, the higher tiers get one more.
    """
    if given:
        return {tier: list(given[tier]) for tier in ("high", "medium", "low") if given.get(tier)}
    ordered = sorted(languages, key=lambda code: -sizes.get(code, 0))
    tiers, start = {}, 0
    for index, tier in enumerate(("high", "medium", "low")):
        size = (len(ordered) + 2 - index) // 3
        if size:
            tiers[tier] = ordered[start : start + size]
        start += size
    return tiers


def check_training_text(cells: Mapping[str, Mapping[str, int]], parts: Iterable[SourceCounts]) -> None:
    """Refuse a corpus without training text.

    Args:
        cells: by language, what became of its training text.
        parts: what was read of each source.

    Raises:
        CorpusError: says what was read, and which rules dropped it.
    """
    if any(found["text"] for found in cells.values()):
        return
    read = ", ".join(
        f"train[{each.place}]: {each.rows:,} rows, {each.used:,} used" for each in parts if each.split == "train"
    )
    dropped = sum((Counter(found) for found in cells.values()), Counter[str]())
    rules = ", ".join(f"{rule} {count:,}" for rule, count in dropped.most_common() if count)
    raise CorpusError(
        f"no training text is left. Read: {read}. Texts dropped, by rule: {rules or 'none'}. Raise the share of a "
        "source, or relax corpus.filters"
    )


def unused_sources(report: Mapping[str, Any]) -> list[str]:
    """Sources of the training text of which no pair is trained on, each with what is known of it.

    Args:
        report: the content of corpus.json.
    """
    found = [each for each in report["sources"] if each["split"] == "train" and "epoch" not in each]
    return [
        f"corpus.train[{each['place']}] ({each['settings']['reader']} {each['settings'].get('path', '')}): none of its "
        f"text is trained on; rows: {each['rows']:,}, used: {each['used']:,}. Its pairs are incomplete, dropped by a "
        "rule, or duplicates of sources before it (a weight has a source drawn more often)"
        for each in found
    ]


def check_directions(report: Mapping[str, Any]) -> None:
    """Refuse a corpus in which a direction has no pair in some split.

    Args:
        report: what `split_report` made.

    Raises:
        CorpusError: names the directions, and for each what happened to its rows.
    """
    problems = []
    for split in SPLITS:
        for name, found in report[split].items():
            if not found["kept"]:
                dropped = ", ".join(f"{count} {rule}" for rule, count in found["dropped"].items())
                problems.append(f"  {name}: no {split} pair; {found['rows']} rows, dropped: {dropped or 'none'}")
    if problems:
        raise CorpusError(
            "\n".join(
                [
                    "every direction needs training, validation and test pairs:",
                    *problems,
                    "Leave the languages out, relax corpus.cleaning, or raise corpus.valid_share and corpus.test_share",
                ]
            )
        )


def summary(report: Mapping[str, Any]) -> str:
    """What was kept and dropped, as a table with a line for each language pair.

    Args:
        report: the content of corpus.json.
    """
    splits = report["splits"]
    dropped_by = in_order(rule for found in splits["train"].values() for rule in found["dropped"])
    used = [rule for rule in dropped_by if any(found["dropped"].get(rule) for found in splits["train"].values())]
    table = Table(title=f"{report['reader']}: sentence pairs", title_justify="left", box=None, pad_edge=False)
    table.add_column("pair")
    for name in ("rows", *used, "train", "tokens", "valid", "test"):
        table.add_column(name, justify="right", style="bold" if name == "train" else "")
    for name, found in splits["train"].items():
        direction = Direction.parse(name)
        reverse = str(direction.reverse()) in splits["train"]
        if reverse and direction.source != report["pivot"] and direction.source > direction.target:
            continue
        if reverse and direction.target == report["pivot"]:
            continue
        tokens = (found["source_tokens"] + found["target_tokens"]) / 2 / max(1, found["kept"])
        dropped = [found["dropped"].get(rule, 0) for rule in used]
        held_out = [splits[split][name]["kept"] for split in ("valid", "test")]
        cells = [found["rows"], *dropped, found["kept"], f"{tokens:.1f}", *held_out]
        table.add_row(name, *(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells))
    text = io.StringIO()
    # in a notebook, rich would show the table instead of writing it
    console = Console(file=text, width=max(80, shutil.get_terminal_size().columns), force_jupyter=False)
    console.print(table)
    lines = [text.getvalue().rstrip("\n")]
    skipped = sum((Counter(reasons) for reasons in report["read"]["skipped"].values()), Counter[str]())
    if skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in skipped.most_common())
        lines.append(f"translations left out while reading: {reasons}")
    lines.append(
        "tokens: mean length of a side of a training pair; rules apply to training, valid loses overlong pairs"
    )
    return "\n".join(lines)
