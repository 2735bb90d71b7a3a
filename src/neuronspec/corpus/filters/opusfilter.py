"""Filters of OpusFilter (Aulamo et al., ACL 2020), as the lists `filters` of its configurations name them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from neuronspec.core.errors import CorpusError, MissingExtraError, told_as
from neuronspec.core.json_files import parse_json
from neuronspec.corpus.readers.rows import Pair, pair_of
from neuronspec.corpus.settings import CorpusSettings

_WHERE = "corpus.filters.opusfilter"
_FILTERS = list[dict[str, dict[str, Any] | None]]


@dataclass(frozen=True, slots=True)
class Judged:
    """A language pair whose training pairs are looked at.

    Args:
        sides: its languages in the order that its filters expect.
        filters: their list, as JSON.
    """

    sides: Pair
    filters: str

    @property
    def name(self) -> str:
        """The languages in alphabetical order: `de-en`."""
        return "-".join(pair_of(*self.sides))

    @property
    def rules(self) -> list[str]:
        """The names of the filters, as reports have them."""
        return [name for name, _ in _built(self.filters)]

    def first_rejections(
        self, texts: Mapping[str, Sequence[str]], looked_at: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.uint8]:
        """By row, the number of the first filter that rejects its pair, from 1; 0 where none does. Shape [rows].

        Args:
            texts: columns of texts by language.
            looked_at: the rows that are judged if they have text on both sides. Shape [rows].

        Raises:
            CorpusError: a filter fails.
        """
        found = np.zeros(len(looked_at), np.uint8)
        columns = [texts[code] for code in self.sides]
        rows = [row for row in np.flatnonzero(looked_at).tolist() if all(column[row] for column in columns)]
        for number, (name, filter_) in enumerate(_built(self.filters), start=1):
            with _explained(name, "can't judge a text"):
                pairs = [[column[row] for column in columns] for row in rows]
                accepted = list(filter_.decisions(pairs)) if pairs else []
            left = [row for row, stays in zip(rows, accepted, strict=True) if stays]
            found[[row for row, stays in zip(rows, accepted, strict=True) if not stays]] = number
            rows = left
        return found


def judged_pairs(corpus: CorpusSettings) -> list[Judged]:
    """The language pairs of a corpus that have filters.

    Raises:
        MissingExtraError: OpusFilter isn't installed.
        CorpusError: there is no such filter, or it doesn't take what it is given.
    """
    found = [Judged(sides, json.dumps(filters)) for sides, filters in corpus.filters_of_pairs if filters]
    for each in found:
        _built(each.filters)
    return found


@lru_cache
def _built(filters: str) -> list[tuple[str, Any]]:
    """The filters of a list with their names."""
    try:
        from opusfilter.pipeline import FilterPipeline
    except ImportError:
        raise MissingExtraError("opusfilter", "opusfilter", "corpus.filters.opusfilter") from None
    pipeline = FilterPipeline()
    for (name, arguments), *_ in (list(each.items()) for each in parse_json(filters, _FILTERS)):
        with _explained(name, "can't be set up"):
            pipeline.filters += FilterPipeline.from_config([{name: arguments or {}}]).filters
        if unknown := getattr(pipeline.filters[-1], "kwargs", {}):  # it would only log them
            raise CorpusError(
                f"{_WHERE}: {name} has no {', '.join(map(repr, unknown))}; see the page of OpusFilter's filters"
            )
    return [(".".join(names), one) for names, one in zip(pipeline.get_score_tuples(), pipeline.filters, strict=True)]


def _explained(name: str, what: str) -> AbstractContextManager[None]:
    return told_as(CorpusError, f"{_WHERE}: {name} {what}", "see the page of OpusFilter's filters")
