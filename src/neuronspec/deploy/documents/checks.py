"""Whether a translation kept what it must keep, and telling which weren't taken."""

from __future__ import annotations

from collections.abc import Iterator

from neuronspec.corpus.readers.messages import verbatim
from neuronspec.deploy.documents.document import Options

LISTED = 10
"""Entries that are listed one by one when they were left out."""


def kept(source: str, translation: str) -> bool:
    """Whether a translation has exactly the placeholders of its source, in any order."""
    return verbatim(source) == verbatim(translation)


def lost(source: str, translation: str) -> str:
    """What differs, for messages: `without %(name)s; with an extra <b>`."""
    before, after = verbatim(source), verbatim(translation)
    parts = [
        f"{word} {', '.join(sorted(difference))}"
        for word, difference in (("without", before - after), ("with an extra", after - before))
        if difference
    ]
    return "; ".join(parts)


def tell_problems(options: Options, filled: int, wanted: int, problems: list[str], what: str) -> None:
    """Print how many entries were filled, and list those that were left out."""
    if options.console is None:
        return
    for line in _lines(filled, wanted, problems, what):
        options.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(filled: int, wanted: int, problems: list[str], what: str) -> Iterator[str]:
    yield f"filled {filled} of {wanted} {what}"
    if problems:
        yield f"left {len(problems)} untranslated:"
        yield from (f"  {problem}" for problem in problems[:LISTED])
        if len(problems) > LISTED:
            yield f"  and {len(problems) - LISTED} more"
