"""Engines for documents, and how a test sends a file through one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import Options, translate_document
from neuronspec.translation.alignment import Aligned, units

EN_DE = Direction("en", "de")
PLACEHOLDERS = re.compile(r"(\{\{?\w+\}?\}|%\(\w+\)s|%\d?\$?[sd])")


class Same:
    """Gives back what it gets; the words of both belong together in their order."""

    n_best = 1

    def __call__(self, texts: list[str], direction: str) -> list[str]:
        return [self.one(text) for text in texts]

    def one(self, text: str) -> str:
        return text

    def translate(self, texts: list[str], direction: Direction) -> Any:
        from neuronspec.translation.engine import Translations

        found = [self.one(text) for text in texts]
        return Translations(found, nbest=[[(text, 0.0)] if text.strip() else [] for text in found])

    def align(self, lines: list[str], translations: list[str], direction: str) -> list[Aligned]:
        found = []
        for source, target in ((units(a), units(b)) for a, b in zip(lines, translations, strict=True)):
            places = [max(0, at - len(target) + len(source)) for at in range(len(target))]
            found.append(Aligned(source, target, np.eye(len(source))[places]))
        return found


class Upper(Same):
    """Writes everything but placeholders in capitals; drops the placeholders of texts that say so."""

    def one(self, text: str) -> str:
        pieces = PLACEHOLDERS.split(text)
        kept = [piece if at % 2 else piece.upper() for at, piece in enumerate(pieces)]
        return "".join(kept[::2] if "careless" in text else kept)


class Heard(Upper):
    """Remembers the words that it is given."""

    def __init__(self) -> None:
        self.words: set[str] = set()

    def one(self, text: str) -> str:
        self.words |= set(text.split())
        return super().one(text)


class Fixed(Same):
    """Translates by a list of texts; others come back as they are."""

    def __init__(self, translations: dict[str, str]) -> None:
        self.translations = translations

    def one(self, text: str) -> str:
        return self.translations.get(text, text)


def through(
    tmp_path: Path, name: str, content: bytes | str, translator: Any = None, kind: str | None = None, **options: Any
) -> str:
    """What comes out for a file, by default of `Upper`, decoded as it went in."""
    raw = content if isinstance(content, bytes) else content.encode()
    (tmp_path / name).write_bytes(raw)
    out = tmp_path / f"out-{name}"
    translate_document(translator or Upper(), EN_DE, str(tmp_path / name), out, Options(**options), kind)
    return out.read_bytes().decode()
