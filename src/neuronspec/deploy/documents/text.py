"""Plain text, line by line: read, translated and written some thousand lines at a time."""

from __future__ import annotations

from typing import BinaryIO

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import Format, Options
from neuronspec.deploy.documents.lines import Source, windows
from neuronspec.deploy.translator import Translator


def translate_text(
    translator: Translator, direction: Direction, source: Source, stream: BinaryIO, options: Options
) -> None:
    """Write a line for each line of `source`, in order and with its line end; memory doesn't grow with the text.

    With n-best lists, lines are `number ||| text ||| score` (Moses' format), the numbers from 0; an empty line has
    none.

    With `options.scores`, the score (log-probability per token) and a tab come before each translation, nothing but the
    tab before that of an empty line.

    Raises:
        CorpusError: the text isn't UTF-8; what comes before is written.
    """
    number = 0
    for window in windows(source):
        found = translator.translate([line for line, _ in window], direction)
        for line, best, (_, end) in zip(found, found.nbest, window, strict=True):
            if translator.n_best > 1:
                text = "".join(f"{number} ||| {each} ||| {score:.4f}\n" for each, score in best)
            elif options.scores:
                text = f"{best[0][1]:.4f}\t{line}{end}" if best else f"\t{end}"
            else:
                text = line + end
            stream.write(text.encode())
            number += 1
        stream.flush()


TEXT = Format(translate_text, ("scores",))
