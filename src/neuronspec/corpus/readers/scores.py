"""Columns of scores, such as Bicleaner's: rows with a lower one than the recipe asks for are left out.

Readers give a score as one more column of text, under a code that no language has (`score_code`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import MANY
from neuronspec.corpus.readers.rows import ReadCounts, Rows

Score = Annotated[float, Field(ge=-MANY, le=MANY)]

MinScores: TypeAlias = Annotated[dict[str, Score], Field(min_length=1)] | None
"""By column of numbers, the least that a row may have."""

MIN_SCORES: Any = Field(
    None,
    description="columns of numbers, each with the least that a row may have: {bicleaner: 0.5}. Rows with a lower one, "
    "or with none, are left out",
)

_PREFIX = "score "


def score_codes(scores: Mapping[str, float] | None) -> dict[str, str]:
    """The names of the columns by the codes that readers give them."""
    return {f"{_PREFIX}{name}": name for name in scores or {}}


def is_score(code: str) -> bool:
    """Whether a code is a column of scores."""
    return code.startswith(_PREFIX)


def judged(rows: Rows, scores: Mapping[str, float] | None, counts: ReadCounts, where: str) -> Rows:
    """The rows with scores that are high enough, without the columns of scores.

    Args:
        rows: with a column for each code of `score_codes`.
        scores: the least by name of the column.
        counts: takes what is left out, once for each language with text.
        where: the beginning of messages.

    Raises:
        CorpusError: something else than a number is in a column.
    """
    texts = {code: column for code, column in rows.texts.items() if not is_score(code)}
    plain = Rows(texts, rows.origins, rows.split)
    if not scores:
        return plain
    columns = [
        (name, least, rows.texts[code])
        for (code, name), least in zip(score_codes(scores).items(), scores.values(), strict=True)
    ]
    kept = []
    for row in range(len(plain)):
        for name, least, column in columns:
            score = _number(column[row], name, f"{where}: {rows.origins[row]}")
            if math.isnan(score) or score < least:
                reason = f"no {name}" if math.isnan(score) else f"{name} under {least:g}"
                for code, texts_of in texts.items():
                    if texts_of[row]:
                        counts.skip(code, reason)
                break
        else:
            kept.append(row)
    return plain if len(kept) == len(plain) else plain.take(kept)


def _number(text: str, name: str, where: str) -> float:
    try:
        return float(text) if text.strip() else math.nan
    except ValueError:
        raise CorpusError(f"{where}: {name} is {text[:40]!r}, not a number; change min_scores") from None
