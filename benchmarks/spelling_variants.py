"""Whether spelling changes translations: the same sentences with other white space, invisible characters, or NFD.

    python benchmarks/spelling_variants.py RUN

The test sentences of each direction of a run are translated by the specialized arm as they are, and then, in calls of
their own, in these spellings: letters decomposed (NFD), spaces as U+00A0, as U+202F, and doubled, soft hyphens and
zero-width spaces in words, white space at the ends. Counted are the lines whose spelling changed, and those of them
whose translation did. White space at the ends is the line's frame, which the translation must have, too.
"""

from __future__ import annotations

import argparse
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import neuronspec as ns
from machine import write_result
from neuronspec.core.run_folder import RunFolder
from neuronspec.recipe import Recipe

_IN_WORDS = re.compile(r"(?<=\w\w)(?=\w\w)")

VARIANTS: dict[str, Callable[[str], str]] = {
    "NFD": lambda line: unicodedata.normalize("NFD", line),
    "no-break space": lambda line: line.replace(" ", "\u00a0"),
    "narrow no-break space": lambda line: line.replace(" ", "\u202f"),
    "doubled space": lambda line: line.replace(" ", "  "),
    "soft hyphen": lambda line: _IN_WORDS.sub("\u00ad", line),
    "zero-width space": lambda line: _IN_WORDS.sub("\u200b", line),
    "edge spaces": lambda line: f"  {line}\t\u00a0",
}


def measure(translator: ns.Translator, lines: list[str], direction: str) -> tuple[Counter[str], Counter[str]]:
    """By variant, the lines that it spells differently, and those of them that are translated differently."""
    changed, different = Counter[str](), Counter[str]()
    expected = translator.translate(lines, direction)
    for name, spell in VARIANTS.items():
        spelled = [spell(line) for line in lines]
        wanted = [spell(line) for line in expected] if name == "edge spaces" else list(expected)
        for before, after, one, other in zip(
            lines, spelled, wanted, translator.translate(spelled, direction), strict=True
        ):
            changed[name] += before != after
            different[name] += before != after and one != other
    return changed, different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sentences", type=int, help="of each direction, at most; all without it")
    options = parser.parse_args()
    logging.getLogger("neuronspec").addHandler(logging.NullHandler())
    translator = ns.Translator(options.run)
    evaluation = RunFolder(options.run).evaluation("base")
    directions = [str(direction) for direction in Recipe.of_run(options.run).corpus.all_directions]
    sentences, changed, different = 0, Counter[str](), Counter[str]()
    for direction in directions:
        lines = (evaluation / f"{direction}.src").read_text(encoding="utf-8").split("\n")[:-1][: options.sentences]
        found = measure(translator, lines, direction)
        sentences, changed, different = sentences + len(lines), changed + found[0], different + found[1]
    write_result(
        "spelling_variants",
        {
            "directions": len(directions),
            "sentences": sentences,
            "lines spelled differently": {name: changed[name] for name in VARIANTS},
            "of these, translated differently": {name: different[name] for name in VARIANTS},
            "lines": changed.total(),
            "different translations": different.total(),
        },
    )


if __name__ == "__main__":
    main()
