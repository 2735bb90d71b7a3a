"""Which language a text is in, as py3langid sees it: off-target translations, and texts that a server is sent."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.languages import base_language, is_known

_LABELS = {"nb": "no"}
"""py3langid's labels where they aren't the ISO 639-1 code."""


class LanguageIdentifier:
    """Finds which of a few languages a sentence is in.

    Args:
        languages: the choices, by our codes; regions and scripts of one language are one choice.

    Attributes:
        unknown: the languages that py3langid doesn't know; text in them can't be judged.

    Raises:
        MissingExtraError: py3langid isn't installed.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self._identifier = copy.copy(_load())  # choosing languages changes the copy alone
        known = set(self._identifier.labels)
        labels = {code: _label(code) for code in languages}
        self.unknown = sorted(code for code, label in labels.items() if label not in known)
        self._labels = {code: label for code, label in labels.items() if label in known}
        choices = sorted(set(self._labels.values()))
        self._identifier.set_languages(choices)
        self.signature = f"py3langid {metadata.version('py3langid')}|languages:{','.join(choices)}"

    def can_judge(self, language: str) -> bool:
        """Whether `language` is one of at least two known choices."""
        return language in self._labels and len(set(self._labels.values())) > 1

    def off_target(self, lines: Sequence[str], language: str) -> float | None:
        """Percent of the lines that aren't empty and seem to be in another language; None if all are empty."""
        wanted, filled = self._labels[language], [line for line in lines if line.strip()]
        if not filled:
            return None
        return 100 * sum(self._identifier.classify(line)[0] != wanted for line in filled) / len(filled)


class Detector:
    """py3langid, restricted to the served languages that it knows.

    Args:
        codes: of the served languages; of those that differ in region or script alone, the first is reported.

    Attributes:
        works: whether py3langid is installed and knows one of the languages.
    """

    def __init__(self, codes: list[str]) -> None:
        self._lock = threading.Lock()
        self._labels: dict[str, str] = {}
        self.works = False
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            return
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._model.labels)
        self._labels = {code: label for code in codes if (label := _label(code)) in known}
        self.works = bool(self._labels)
        self._restricted = lru_cache(maxsize=16)(self._restrict)

    def __call__(self, text: str, among: Iterable[str] | None = None) -> list[tuple[str, float]]:
        """The languages that a text may be in with their probabilities, which sum to 1, the likeliest first.

        Args:
            text: of any length.
            among: the codes to choose from; all served ones by default. Those that py3langid doesn't know are left
                out, so nothing comes back where it knows none.
        """
        codes: dict[str, str] = {}
        for code in self._labels if among is None else among:
            if code in self._labels:
                codes.setdefault(self._labels[code], code)
        if not codes:
            return []
        with self._lock:
            ranked = self._restricted(frozenset(codes)).rank(text)
        return [(codes[label], float(probability)) for label, probability in ranked]

    def _restrict(self, labels: frozenset[str]) -> Any:
        model = copy.copy(self._model)  # choosing languages changes the copy alone
        model.set_languages(sorted(labels))
        return model


def is_identified(language: str) -> bool:
    """Whether py3langid knows a language.

    Raises:
        MissingExtraError: py3langid isn't installed.
    """
    return _label(language) in _load().labels


def is_in(text: str, language: str, least: float) -> bool:
    """Whether py3langid takes a text for one in a language that it knows, of all languages that it knows.

    Args:
        text: of one line.
        language: by our code; a region or script doesn't count.
        least: the smallest probability, of all languages together 1.
    """
    label, probability = _among_all().classify(text)
    return label == _label(language) and float(probability) >= least


@lru_cache(maxsize=1)
def _among_all() -> Any:
    """py3langid with probabilities of all its languages."""
    from py3langid.langid import MODEL_FILE
    from py3langid.langid import LanguageIdentifier as Identifier

    return Identifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=1)
def _load() -> Any:
    """py3langid's model; takes a second."""
    try:
        from py3langid.langid import MODEL_FILE
        from py3langid.langid import LanguageIdentifier as Identifier
    except ImportError:
        raise MissingExtraError("py3langid", "langid", "the off-target rate") from None
    return Identifier.from_model_file(MODEL_FILE)


def _label(code: str) -> str:
    """py3langid's label: the base language of `pt_BR`, `zh_Hant`."""
    base = base_language(code) if is_known(code) else ""
    return _LABELS.get(base, base)
