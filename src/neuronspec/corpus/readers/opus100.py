"""Reader `opus100`: the corpus OPUS-100."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import Aligned
from neuronspec.corpus.readers.benchmark import FolderSource, of_pairs
from neuronspec.corpus.readers.source import Wanted

_NAME = re.compile(r"opus\.(?P<pair>[^.]+)-(?:train|dev|test)\.(?P<tag>[^.]+)(?:\.(?:gz|xz|zst))?")


class Opus100Source(FolderSource):
    """OPUS-100 (Zhang et al. 2020): up to a million sentence pairs of English and each of 99 languages.

    The folder as it is unpacked, or a folder in it: files such as `supervised/de-en/opus.de-en-train.de` are found at
    any depth, those of the zero-shot pairs (`zero-shot/de-fr/opus.de-fr-test.de`, tests only) too.
    """

    reader: Literal["opus100"]
    path: RecipePath = Field(description="the folder; relative to the recipe's folder")
    part: Literal["train", "dev", "test"] = Field(description="the part of the corpus that is read")

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files of all pairs.

        Raises:
            CorpusError: a pair has none.
        """
        tagged = [
            (match["pair"], match["tag"], path) for path in self.all_files() if (match := _NAME.fullmatch(path.name))
        ]
        return of_pairs(self.part, self.path, tagged, wanted, f"de-en/opus.de-en-{self.part}.de")

    def all_files(self) -> Iterable[Path]:
        """The files of the part, in all languages."""
        return (path for path in sorted(self.path.rglob(f"opus.*-{self.part}.*")) if _NAME.fullmatch(path.name))
