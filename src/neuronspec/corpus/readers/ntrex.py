"""Reader `ntrex`: the benchmark NTREX-128."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import Aligned
from neuronspec.corpus.readers.benchmark import FolderSource, of_languages
from neuronspec.corpus.readers.source import Wanted

_NAME = re.compile(r"newstest2019-(?:src|ref)\.(?P<tag>[^.]+)\.txt")


class NtrexSource(FolderSource):
    """NTREX-128 (Federmann et al. 2022): 1,997 sentences of news in 128 languages, multi-parallel.

    The folder `NTREX-128` of its repository, with `newstest2019-src.eng.txt` and `newstest2019-ref.deu.txt`. English is
    the source text; `en_GB`, `en_US` and `en_IN` are the references of that name.
    """

    reader: Literal["ntrex"]
    path: RecipePath = Field(description="the folder NTREX-128; relative to the recipe's folder")

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files of all languages.

        Raises:
            CorpusError: a language has none.
        """
        tagged = [("", match["tag"], path) for path in self.all_files() if (match := _NAME.fullmatch(path.name))]
        yield of_languages("NTREX-128", self.path, tagged, wanted, "newstest2019-ref.deu.txt")

    def all_files(self) -> Iterable[Path]:
        """The texts in all languages."""
        return (path for path in sorted(self.path.glob("newstest2019-*.txt")) if _NAME.fullmatch(path.name))
