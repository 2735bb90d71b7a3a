"""A translator that takes what a translation memory has, and tells where terms of a glossary are missing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from neuronspec.core.direction import DirectionLike
from neuronspec.deploy.documents.checks import LISTED
from neuronspec.deploy.documents.glossary import Glossary
from neuronspec.deploy.documents.memory import Match, TranslationMemory
from neuronspec.deploy.translator import Translator, through_lines
from neuronspec.translation.alignment import Aligned
from neuronspec.translation.engine import Translations

logger = logging.getLogger(__name__)

SHOWN = 60
"""Characters of a text that are shown in messages."""


class Assisted:
    """Translates one document with a memory and a glossary, as `Translator` does without.

    Args:
        translator: for what the memory doesn't have.
        memory: of the same direction.
        glossary: of the same direction.
    """

    def __init__(self, translator: Translator, memory: TranslationMemory | None, glossary: Glossary | None) -> None:
        self._translator, self._memory, self._glossary = translator, memory, glossary
        self._reused = 0
        self._unsure: dict[str, Match] = {}
        self._missing: dict[str, list[str]] = {}

    @property
    def n_best(self) -> int:
        """As of the translator."""
        return self._translator.n_best

    def __call__(self, texts: list[str], direction: DirectionLike) -> list[str]:
        """The translations of texts: whole ones from the memory, others line by line."""
        found = [self.recall(text) for text in texts]
        rest = [text for text, match in zip(texts, found, strict=True) if match is None]
        translated = iter(through_lines(self.translate, rest, direction))
        return [match.text if match is not None else next(translated) for match in found]

    def translate(
        self, lines: Sequence[str], direction: DirectionLike, progress: Callable[[int], None] | None = None
    ) -> Translations:
        """Lines from the memory or the model; those from the memory have the score 0."""
        matches = [self.recall(line) for line in lines]
        rest = [line for line, match in zip(lines, matches, strict=True) if match is None]
        found = self._translator.translate(rest, direction, progress)
        texts, best = iter(found), iter(found.nbest)
        translations = [match.text if match is not None else next(texts) for match in matches]
        nbest = [[(match.text.strip(), 0.0)] if match is not None else next(best) for match in matches]
        for line, translation in zip(lines, translations, strict=True):
            self._check(line, translation)
        return Translations(
            translations, found.truncated, split=found.split, nbest=nbest, tokens=found.tokens, composed=found.composed
        )

    def align(self, lines: Sequence[str], translations: Sequence[str], direction: DirectionLike) -> list[Aligned]:
        """As of the translator, for translations of the memory, too."""
        return self._translator.align(lines, translations, direction)

    def recall(self, text: str) -> Match | None:
        """What the memory has for a text."""
        match = self._memory.find(text) if self._memory is not None else None
        if match is not None:
            self._reused += 1
            self._check(text, match.text)
            if not match.is_sure:
                self._unsure[text] = match
        return match

    def is_agreed(self, text: str) -> bool:
        """Whether the memory has a text with one translation, which no person needs to look at."""
        match = self._memory.find(text) if self._memory is not None else None
        return match is not None and match.is_sure

    def report(self, name: str) -> None:
        """Tell what was reused, and list terms that are missing.

        Args:
            name: of the document.
        """
        if self._memory is not None:
            logger.info("taken from the memory: %d", self._reused)
        if self._unsure:
            logger.info("with several translations there, of which the first was taken: %d", len(self._unsure))
            for text, match in list(self._unsure.items())[:LISTED]:
                found = ", ".join(f"{_shown(each)} ({times})" for each, times in match.times.items())
                logger.info("  %s: %s", _shown(text), found)
            if len(self._unsure) > LISTED:
                logger.info("  and %d more", len(self._unsure) - LISTED)
        for text, problems in self._missing.items():
            logger.warning("%s: %s: the translation has no %s", name, _shown(text), "; no ".join(problems))
        if self._glossary is not None:
            logger.info("without terms of the glossary: %d", len(self._missing))

    def _check(self, text: str, translation: str) -> None:
        missing = self._glossary.missing(text, translation) if self._glossary is not None else []
        if missing:
            self._missing[text] = [f"{' or '.join(map(repr, wanted))} for {term!r}" for term, wanted in missing]


def recalled(translator: object, text: str) -> str | None:
    """What the memory of a translator has for a text; None where it has nothing, or the translator has no memory."""
    match = translator.recall(text) if isinstance(translator, Assisted) else None
    return match.text if match is not None else None


def is_agreed(translator: object, text: str) -> bool:
    """Whether a translator has a text from its memory, and all who translated it agree."""
    return isinstance(translator, Assisted) and translator.is_agreed(text)


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}...")
