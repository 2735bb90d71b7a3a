"""Which of the served languages a text is in."""

from __future__ import annotations

import threading

_LABELS = {"nb": "no"}
"""py3langid's labels where they aren't the base of our code."""


class Detector:
    """py3langid, restricted to the served languages that it knows.

    Args:
        codes: of the served languages; of those that differ in region or script alone, the first is told.

    Attributes:
        works: whether py3langid is installed and knows one of the languages.
    """

    def __init__(self, codes: list[str]) -> None:
        self._lock = threading.Lock()
        self._codes: dict[str, str] = {}
        self.works = False
        try:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        except ImportError:
            return
        self._model = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        for code in codes:
            base = code.split("_")[0]
            label = _LABELS.get(base, base)
            if label in self._model.labels:
                self._codes.setdefault(label, code)
        self.works = bool(self._codes)
        if self.works:
            self._model.set_languages(list(self._codes))

    def __call__(self, text: str) -> tuple[str, float]:
        """The code of the likeliest language, and its probability among the served ones."""
        with self._lock:
            label, probability = self._model.classify(text)
        return self._codes[label], float(probability)
