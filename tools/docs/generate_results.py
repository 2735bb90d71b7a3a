"""Make the picture, the results page and the table of docs/statistics.md: python tools/docs/generate_results.py [RUN]

With a run folder of the demo, first take over its numbers and masks into benchmarks/results.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import frontier_sections

from evidence import section
from neuronspec.analysis.overlap import overlap_progression
from neuronspec.core.files import write_json
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import Table, arms_table, families_table, tiers_table
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.paper.canvas import overlap_figure
from neuronspec.report.paper.write import save

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def take_over(run: Path) -> None:
    """Copy a run's scores, times and masks to `benchmarks/results/demo.*`."""
    tasks = json.loads((run / "stages.json").read_text(encoding="utf-8"))["tasks"]
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    write_json(RESULTS / "demo.json", results | {"seconds": {name: task["seconds"] for name, task in tasks.items()}})
    shutil.copyfile(run / "masks.safetensors", RESULTS / "demo_masks.safetensors")


def results_page() -> str:
    """The page `docs/results.md`."""
    demo = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    masks = NeuronMasks.load(RESULTS / "demo_masks.safetensors")
    machine, scores = demo["environment"], Results.model_validate(demo)
    lines = [
        "# Results",
        "",
        "Generated from the files in `benchmarks/results/`: `make docs`.",
        "",
        *(line for path in sorted(RESULTS.glob("bible_*.json")) for line in section(path)),
        *frontier_sections.sections(RESULTS),
        "## The demo",
        "",
        f"`make demo` (`recipes/demo.yaml`) on {machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['torch']}, one seed: {sum(demo['seconds'].values()) / 60:.1f} minutes after installation.",
        "",
        *(
            line
            for table in (arms_table(scores), tiers_table(scores), families_table(scores))
            for line in _markdown(table)
        ),
        "The baseline of the demo is small and has seen little text, and one seed proves little: these "
        "numbers show that the path runs, not what the method is worth.",
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {name} | {seconds:.0f} |" for name, seconds in demo["seconds"].items()),
        "",
        "Overlap of neurons, mean IoU over pairs of directions (chance: random sets of the same sizes):",
        "",
        "| site | directions | IoU | chance |",
        "|---|---|---|---|",
        *(
            f"| {row.site} | {len(row.directions)} | {row.mean:.3f} | {row.chance:.3f} |"
            for row in overlap_progression(masks, demo["pivot"])
            if row.mean is not None
        ),
        "",
        f"Sparsity at k = 0.95: {masks.sparsity():.1%}.",
        "",
        *_benchmarks(),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(table: Table) -> list[str]:
    rows = [f"| {' | '.join(row)} |" for row in table.rows]
    return [f"{table.title}:", "", f"| {' | '.join(table.columns)} |", "|---" * len(table.columns) + "|", *rows, ""]


def _benchmarks() -> list[str]:
    """Every result file of a benchmark as a table of its numbers."""
    lines = ["## Benchmarks", ""]
    for path in sorted(RESULTS.glob("*.json")):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # some have a page of their own
        if "benchmark" not in content or path.stem.startswith(("findings", "calibration")):
            continue
        machine = content.pop("machine")
        title, arguments = content.pop("benchmark"), content.pop("arguments", "")
        where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"
        lines += [
            f"### {title}",
            "",
            f"`python benchmarks/{title}.py {arguments}`".replace(" `", "`"),
            f"on {where}.",
            "",
        ]
        lines += ["| what | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in _leaves(content)), ""]
    return lines


def with_calibration(page: str) -> str:
    """The page `docs/statistics.md` with the table between `<!-- calibration -->` and `<!-- end -->` made anew."""
    content = json.loads((RESULTS / "calibration.json").read_text(encoding="utf-8"))
    return re.sub(
        r"(?<=<!-- calibration -->\n).*?(?=<!-- end -->)",
        lambda _: "\n".join(_calibration(content)) + "\n",
        page,
        flags=re.DOTALL,
    )


def _calibration(content: dict[str, Any]) -> Iterator[str]:
    machine, before = content["machine"], content["before"]
    yield (
        f"{content['simulations']:,} simulations, {content['resamples']:,} resamples and {content['trials']:,} trials "
        f"each, {content['processor seconds'] / 60:.0f} minutes of one core of {machine['cpu']}:"
    )
    counts = list(content["coverage"]["other directions"])
    yield "\n| method | directions: | " + " | ".join(counts) + " |"
    yield "|---|---|" + "---:|" * len(counts)
    for kind, told in (("coverage", "coverage of 95%"), ("family_wise_error", "any `**`, of directions without one")):
        for prefix, found in (("", content[kind]), ("*before:* ", before[kind])):
            for name, rates in found.items():
                cells = [f"{rates[count]:.3f}" if count in rates else "" for count in counts]
                if any(cells):
                    yield f"| {prefix}{name} | {told} | {' | '.join(cells)} |"
    yield "\n| test | rejects at 0.05 where there is nothing |"
    yield "|---|---:|"
    for prefix, found in (("", content["size"]), ("*before:* ", before["size"])):
        for name, rate in found.items():
            yield f"| {prefix}{name} | {rate:.3f} |"
    alone = {name: rates["1"] for name, rates in content["coverage"].items() if "1" in rates}
    told = "; ".join(f"{name} {rate:.3f}" for name, rate in alone.items())
    yield f"\nCoverage of the 95% intervals of a direction: {told}."


def _leaves(content: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        name = f"{path}: {key}" if path else key
        if isinstance(value, dict):
            yield from _leaves(value, name)
        else:
            yield name, f"{value:,}" if isinstance(value, int) else value


def main() -> None:
    """Write the page and the picture."""
    if len(sys.argv) > 1:
        take_over(Path(sys.argv[1]))
    (ROOT / "docs" / "results.md").write_text(results_page(), encoding="utf-8")
    statistics = ROOT / "docs" / "statistics.md"
    statistics.write_text(with_calibration(statistics.read_text(encoding="utf-8")), encoding="utf-8")
    masks = NeuronMasks.load(RESULTS / "demo_masks.safetensors")
    decoder = [site for site in masks.sites if site.startswith("decoder")]
    for path in frontier_sections.files(RESULTS):
        frontier_sections.draw(path, ROOT / "docs" / "images")
    save(overlap_figure(masks, [decoder[0], decoder[-1]]), ROOT / "docs" / "images" / "overlap.svg")


if __name__ == "__main__":
    main()
