"""Inline markup in documents: how many units keep all their tags, and what splitting texts at tags would cost.

    python benchmarks/inline_markup.py RUN

From the test set of each direction of a run, sentences of at least four words become XLIFF units with a pair of tags
around one to three words and a single tag somewhere. They are translated by the specialized arm. Counted are the units
that were filled with every tag once and pairs nested, those that were left, and those that are broken. The words of
the pieces between tags are also translated piece by piece; chrF++ of both against the references, without tags, says
what the model loses when it sees fragments.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.sax.saxutils import escape, unescape

from sacrebleu.metrics import CHRF

import neuronspec as ns
from machine import write_result
from neuronspec.core.direction import Direction
from neuronspec.core.run_folder import RunFolder
from neuronspec.deploy.documents.document import translate_document
from neuronspec.recipe import Recipe

WORDS, UNITS, SEED = 4, 25, 1
TAGS = ['<g id="1">', "</g>", '<x id="2"/>']
_TARGET = re.compile(r"<target[^>]*>(.*?)</target>")
_TAG = re.compile("|".join(map(re.escape, TAGS)))


def marked(words: list[str], draw: random.Random) -> str:
    """The words with a pair of tags and a single one."""
    start = draw.randrange(len(words))
    end = min(len(words), start + draw.randint(1, 3))
    written = [escape(word) for word in words]
    written[start] = TAGS[0] + written[start]
    written[end - 1] += TAGS[1]
    place = draw.choice([at for at in range(len(words) + 1) if not start < at < end])
    return " ".join([*written[:place], TAGS[2], *written[place:]])


def is_whole(target: str) -> bool:
    """Whether all tags are there, once, in a possible order."""
    found = _TAG.findall(target)
    return sorted(found) == sorted(TAGS) and found.index(TAGS[0]) < found.index(TAGS[1])


def text_of(marked_up: str) -> str:
    return " ".join(unescape(_TAG.sub(" ", marked_up)).split())


def piece_by_piece(translator: ns.Translator, units: list[str], direction: str) -> list[str]:
    pieces = [[unescape(piece) for piece in _TAG.split(unit)] for unit in units]
    found = iter(translator([piece for each in pieces for piece in each], direction))
    return [" ".join(" ".join(next(found) for _ in each).split()) for each in pieces]


def measure(translator: ns.Translator, run: RunFolder, direction: Direction, folder: Path) -> dict[str, Any]:
    """The counts of one direction, and its texts."""
    evaluation = run.evaluation("base")
    sources, references = (
        (evaluation / f"{direction}.{part}").read_text(encoding="utf-8").split("\n")[:-1] for part in ("src", "ref")
    )
    draw = random.Random(SEED)
    chosen = [at for at, line in enumerate(sources) if len(line.split()) >= WORDS][:UNITS]
    units = [marked(sources[at].split(), draw) for at in chosen]
    body = "".join(f'<trans-unit id="{at}"><source>{unit}</source></trans-unit>\n' for at, unit in enumerate(units))
    file, out = folder / "units.xlf", folder / "out.xlf"
    file.write_text(
        f'<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2"><file source-language="{direction.source}">'
        f"<body>{body}</body></file></xliff>",
        encoding="utf-8",
    )
    translate_document(translator, direction, str(file), out)
    after = out.read_text(encoding="utf-8").split("<trans-unit ")[1:]
    targets = [found[1] if (found := _TARGET.search(unit)) else None for unit in after]
    filled = [at for at, target in enumerate(targets) if target is not None]
    return {
        "units": len(units),
        "filled": len(filled),
        "broken": sum(not is_whole(str(targets[at])) for at in filled),
        "whole": [text_of(str(targets[at])) for at in filled],
        "split": piece_by_piece(translator, [units[at] for at in filled], str(direction)),
        "references": [references[chosen[at]] for at in filled],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    logging.getLogger("neuronspec").addHandler(logging.NullHandler())
    translator = ns.Translator(options.run)
    directions = Recipe.of_run(options.run).corpus.all_directions
    with TemporaryDirectory() as folder:
        found = [measure(translator, RunFolder(options.run), each, Path(folder)) for each in directions]
    units, filled = (sum(each[key] for each in found) for key in ("units", "filled"))
    chrf = CHRF(word_order=2)
    scores = {
        way: chrf.corpus_score(
            [line for each in found for line in each[way]], [[line for each in found for line in each["references"]]]
        ).score
        for way in ("whole", "split")
    }
    write_result(
        "inline_markup",
        {
            "directions": len(directions),
            "units": units,
            "filled with all tags": filled - sum(each["broken"] for each in found),
            "left": units - filled,
            "broken": sum(each["broken"] for each in found),
            "chrF++: whole sentences": round(scores["whole"], 2),
            "chrF++: piece by piece": round(scores["split"], 2),
        },
    )


if __name__ == "__main__":
    main()
