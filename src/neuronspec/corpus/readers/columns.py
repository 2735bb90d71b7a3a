"""Which column, key or field of a source has the text of which language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from neuronspec.core.errors import CorpusError, DirectionError
from neuronspec.core.languages import best_tags, by_language
from neuronspec.corpus.readers.scores import is_score

SHOWN = 40
"""Names that a message lists at most."""


def columns_of(where: str, names: Sequence[str], languages: Sequence[str], mapped: Mapping[str, str]) -> dict[str, int]:
    """The place of each language's column.

    Args:
        where: the beginning of messages: the file, and the line if there is one.
        names: of all columns. White space around them doesn't count, nor does `id`, unless Indonesian is asked for.
        languages: that are asked for.
        mapped: by language in any spelling, the name of its column. Other languages have the column that is named by
            their code, in any spelling.

    Raises:
        CorpusError: a language has no column, or two.
    """
    found = place_columns(where, names, languages, mapped)
    if missing := [code for code in languages if code not in found]:
        raise CorpusError(no_column(where, missing, names))
    return found


def place_columns(
    where: str, names: Sequence[str], languages: Sequence[str], mapped: Mapping[str, str], may_lack: bool = False
) -> dict[str, int]:
    """As `columns_of`, but languages without a column are left out.

    Args:
        where: as of `columns_of`.
        names: as of `columns_of`.
        languages: as of `columns_of`.
        mapped: as of `columns_of`.
        may_lack: whether the column of a mapped language may be missing as well.

    Raises:
        CorpusError: a language has two columns, or a column that is named for it isn't there.
    """
    stripped = [name.strip() for name in names]
    chosen = _mapped(where, languages, mapped)
    own = {name for name in stripped if name not in chosen.values() and (name != "id" or name in languages)}
    others = [code for code in languages if code not in chosen]
    tags = best_tags((name for name in dict.fromkeys(stripped) if name in own), others)
    found: dict[str, int] = {}
    for code in languages:
        spelled = [chosen[code]] if code in chosen else tags.get(code, [])
        places = [place for place, name in enumerate(stripped) if name in spelled]
        if len(places) > 1:
            raise CorpusError(
                f"{where}: columns {places[0] + 1} and {places[1] + 1} are both {code!r}; keep one, or choose one with "
                f"columns: {{{code}: NAME}}"
            )
        if places:
            found[code] = places[0]
        elif code in chosen and not may_lack:
            raise CorpusError(
                f"{where}: there is no column {chosen[code]!r}, which {_asking(code)}; there are: {_listed(names)}"
            )
    return found


def _asking(code: str) -> str:
    return "min_scores names" if is_score(code) else f"columns names for {code}"


def no_column(where: str, missing: Sequence[str], names: Sequence[str]) -> str:
    """The message about languages without a column."""
    return (
        f"{where}: there is no column for {', '.join(missing)}; it has: {_listed(names)}. Change corpus.languages, "
        f"name the columns by language code, or map them: columns: {{{missing[0]}: NAME}}"
    )


def _mapped(where: str, languages: Sequence[str], mapped: Mapping[str, str]) -> dict[str, str]:
    """The given names by the languages as they are asked for."""
    try:
        named = by_language(mapped, languages)
    except DirectionError as error:
        raise CorpusError(f"{where}: columns: {error}") from None
    return {code: name.strip() for code, name in named.items() if code in languages}


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:SHOWN] for name in names[:SHOWN]) or "nothing"
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
