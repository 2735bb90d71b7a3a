"""Whether a translation kept what it must keep, and reporting those that were rejected."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from neuronspec.corpus.readers.messages import is_icu, verbatim

logger = logging.getLogger(__name__)

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
"""Characters that are no text and no white space, such as those that begin the colours of a terminal."""

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


def keeping(write: Callable[[str], str], written: str, read: Callable[[str], str]) -> Callable[[str], str]:
    """Writes text, but placeholders in braces as the source has them: a program reads what is in them.

    Args:
        write: how text is written in the file, with its escapes.
        written: the source as the file has it.
        read: takes a placeholder out of the file's escapes.
    """
    known = {read(each): each for each in verbatim(written) if each.endswith("}")}
    if not known:
        return write
    pattern = re.compile("|".join(re.escape(each) for each in sorted(known, key=len, reverse=True)))

    def kept_in(text: str) -> str:
        pieces, at = [], 0
        for match in pattern.finditer(text):
            pieces += [write(text[at : match.start()]), known[match[0]]]
            at = match.end()
        return "".join([*pieces, write(text[at:])])

    return kept_in


def unfit(source: str) -> str:
    """Why a text isn't translated at all; empty where it is.

    The forms of an ICU message differ between languages (English has two plural forms, Russian four), and text around
    them is no sentence. Control characters are cleaned from what a model gets (`neuronspec.models.text_cleaning`).
    """
    if is_icu(source):
        return "it is an ICU message, whose plural or select forms a person must write"
    return "it has control characters, which its translation would lose" if _CONTROLS.search(source) else ""


def problem_with(source: str, translation: str) -> str:
    """What is wrong with a translation: it is empty, or lacks what it must keep. Empty where nothing is."""
    if source.strip() and not translation.strip():
        return "the translation is empty"
    return "" if kept(source, translation) else f"the translation is {lost(source, translation)}"


def log_problems(filled: int, wanted: int, problems: list[str], what: str, done: str = "filled") -> None:
    """Log how many entries were filled (or what is said by `done`), and list those that were left out."""
    logger.info("%s %d of %d %s", done, filled, wanted, what)
    if problems:
        logger.info("left %d untranslated:", len(problems))
        for problem in problems[:LISTED]:
            logger.info("  %s", problem)
        if len(problems) > LISTED:
            logger.info("  and %d more", len(problems) - LISTED)
