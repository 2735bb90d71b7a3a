"""Make docs/results.md, docs/tables/, their pictures and the table of docs/statistics.md.

    python tools/docs/generate_results.py [RUN [CONDITIONS]]

With a run folder of the demo, first take over its numbers and masks into benchmarks/results, and in words what its
times depended on, such as `beside other work`.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import early_section
import frontier_sections
import interference_section
import others_section
from grids import titled

import evidence
from neuronspec.analysis.overlap import overlap_progression
from neuronspec.core.files import write_json
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.tables import arms_table, families_table, tiers_table
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.paper.canvas import overlap_figure
from neuronspec.report.paper.write import save

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def take_over(run: Path, conditions: str) -> None:
    """Copy a run's scores, times and masks to `benchmarks/results/demo.*`, with what its times depended on."""
    tasks = json.loads((run / "stages.json").read_text(encoding="utf-8"))["tasks"]
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    seconds = {name: task["seconds"] for name, task in tasks.items()}
    write_json(RESULTS / "demo.json", results | {"seconds": seconds, "conditions": conditions})
    shutil.copyfile(run / "masks.safetensors", RESULTS / "demo_masks.safetensors")


def pages() -> dict[str, str]:
    """The pages that are made of the result files alone, by their paths below `docs/`."""
    demo = json.loads((RESULTS / "demo.json").read_text(encoding="utf-8"))
    found = {
        "results.md": [
            "# Results",
            "",
            "What was measured, and what it says. The numbers are in `benchmarks/results/`, from where `make docs` "
            "makes this page and [its tables](tables/specialization.md).",
            "",
            *(line for path in sorted(RESULTS.glob("bible_*.json")) for line in evidence.section(path)),
            *early_section.section(RESULTS),
            *interference_section.section(RESULTS),
            *others_section.section(RESULTS),
            *frontier_sections.sections(RESULTS),
            *_demo(demo),
            "[Its other tables](tables/demo.md).",
            "",
            *_benchmarks_named(),
        ],
        "tables/specialization.md": [
            *_title("Specialization against everything else", "does-specialization-win"),
            *(line for path in sorted(RESULTS.glob("bible_*.json")) for line in evidence.tables(path)),
        ],
        "tables/adaptation.md": [*_title("Adaptations"), *frontier_sections.tables(RESULTS)],
        "tables/early.md": [
            *_title("Specialized early", "specialized-from-30-of-the-training-on"),
            *early_section.tables(RESULTS),
        ],
        "tables/interference.md": [
            *_title("A long continuation", "a-long-continuation-where-directions-interfere"),
            *interference_section.tables(RESULTS),
        ],
        "tables/others.md": [
            *_title("Other ways to specialize", "other-ways-to-specialize"),
            *others_section.tables(RESULTS),
        ],
        "tables/demo.md": [*_title("The demo", "the-demo"), *_demo_tables(demo)],
        "tables/benchmarks.md": [*_title("Benchmarks", "benchmarks"), *_benchmarks()],
    }
    return {path: "\n".join(lines).rstrip() + "\n" for path, lines in found.items()}


def _title(text: str, section: str = "") -> list[str]:
    anchor = f"#{section}" if section else ""
    return [
        f"# Tables: {text}",
        "",
        f"What they say is in the [results](../results.md{anchor}). Made by `make docs`.",
        "",
    ]


def _demo(demo: dict[str, Any]) -> list[str]:
    """What `make demo` ends with."""
    machine, scores = demo["environment"], Results.model_validate(demo)
    return [
        "## The demo",
        "",
        f"`make demo` (`recipes/demo.yaml`) on {machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['torch']}, one seed: {sum(demo['seconds'].values()) / 60:.1f} minutes after installation"
        f"{', ' if demo['conditions'] else ''}{demo['conditions']}.",
        "",
        *titled(arms_table(scores)),
        "The baseline of the demo is small and has seen little text, and one seed proves little: these "
        "numbers show that the path runs, not what the method is worth.",
        "",
    ]


def _demo_tables(demo: dict[str, Any]) -> list[str]:
    masks = NeuronMasks.load(RESULTS / "demo_masks.safetensors")
    scores = Results.model_validate(demo)
    return [
        *(line for table in (tiers_table(scores), families_table(scores)) for line in titled(table)),
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
    ]


def _measured() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Of each benchmark its name, arguments, machine and numbers."""
    for path in sorted(RESULTS.glob("*.json")):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # some have a page of their own
        if "benchmark" not in content or path.stem.startswith(("findings", "calibration")):
            continue
        machine = content.pop("machine")
        where = f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, torch {machine['torch']}"
        yield content.pop("benchmark"), content.pop("arguments", ""), where, content


def _script(title: str) -> str:
    """The script of a benchmark; those that need a GPU are steps of one."""
    return f"benchmarks/{title}.py" if title != "gpu" else "benchmarks/gpu/steps.py"


def _benchmarks_named() -> list[str]:
    """What each benchmark measures, by the first line of its script."""
    lines = ["## Benchmarks", "", "| benchmark | what it measures |", "|---|---|"]
    for title, *_ in _measured():
        docstring = ast.get_docstring(ast.parse((ROOT / _script(title)).read_text(encoding="utf-8"))) or ""
        lines.append(f"| [{title}](tables/benchmarks.md#{title}) | {docstring.splitlines()[0].rstrip('.')} |")
    return [*lines, ""]


def _benchmarks() -> list[str]:
    """Every result file of a benchmark as a table of its numbers."""
    lines: list[str] = []
    for title, arguments, where, content in _measured():
        lines += [
            f"## {title}",
            "",
            f"`python {_script(title)} {arguments}`".replace(" `", "`"),
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
        take_over(Path(sys.argv[1]), " ".join(sys.argv[2:]))
    for path, text in pages().items():
        page = ROOT / "docs" / path
        page.parent.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    statistics = ROOT / "docs" / "statistics.md"
    statistics.write_text(with_calibration(statistics.read_text(encoding="utf-8")), encoding="utf-8")
    masks = NeuronMasks.load(RESULTS / "demo_masks.safetensors")
    decoder = [site for site in masks.sites if site.startswith("decoder")]
    for path in frontier_sections.files(RESULTS):
        frontier_sections.draw(path, ROOT / "docs" / "images")
    save(overlap_figure(masks, [decoder[0], decoder[-1]]), ROOT / "docs" / "images" / "overlap.svg")


if __name__ == "__main__":
    main()
