"""Plain text, line by line: read, translated and written some thousand lines at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import WINDOW_LINES, Source, windows
from neuronspec.deploy.translator import Translator
from neuronspec.models.text_cleaning import Lines


def translate_text(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Write a line for each line of `source`, in order and with its line end; memory doesn't grow with the text.

    With n-best lists, lines are `number ||| text ||| score` (Moses' format), the numbers from 0; an empty line has
    none.

    With `options.scores`, the score (log-probability per token) and a tab come before each translation, nothing but the
    tab before that of an empty line.

    With `options.tag`, each hypothesis is a JSON object instead: the line and its translation by language, the tag as
    `domain`, and with `options.scores` the `score`. Lines without words have none.

    Raises:
        CorpusError: the text isn't UTF-8; what comes before is written.
    """
    number = 0
    for window in _windows(source):
        found = translator.translate([line for line, _ in window], direction)
        for line, best, (written, end) in zip(found, found.nbest, window, strict=True):
            if options.tag is not None:
                text = "".join(_row(direction, written, each, options) for each in best if written.strip())
            elif translator.n_best > 1:
                text = "".join(f"{number} ||| {each} ||| {score:.4f}\n" for each, score in best)
            elif options.scores:
                text = f"{best[0][1]:.4f}\t{line}{end}" if best else f"\t{end}"
            else:
                text = line + end
            stream.write(text.encode())
            number += 1
        stream.flush()


def _windows(source: Source) -> Iterator[list[tuple[str, str]]]:
    r"""Lines with their ends, as of `windows`; they also end at a lone `\r`, which a line's cleaning would drop."""
    for window in windows(source):
        pieces: list[tuple[str, str]] = []
        for text, end in window:
            lines = Lines.of(text)
            ended = zip(lines.texts, [*lines.ends[:-1], end], strict=True)
            pieces += [(line, own) for line, own in ended if line or own]
        for start in range(0, len(pieces), WINDOW_LINES):
            yield pieces[start : start + WINDOW_LINES]


def _row(direction: Direction, source: str, hypothesis: tuple[str, float], options: Options) -> str:
    text, score = hypothesis
    row = {direction.source: source.strip(), direction.target: text, "domain": options.tag}
    return json.dumps(row | ({"score": round(score, 4)} if options.scores else {}), ensure_ascii=False) + "\n"


TEXT = Format(translate_text, ("scores", "tag"))
