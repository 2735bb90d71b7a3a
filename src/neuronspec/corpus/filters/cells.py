"""Filters that look at one text: its length, its language, its script, its repetitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import regex

from neuronspec.core.errors import CorpusError
from neuronspec.core.languages import LANGUAGES, canonical, is_known, match_language
from neuronspec.corpus.filters.settings import FilterSettings, LanguageIdSettings
from neuronspec.corpus.splits import code_points

Mask: TypeAlias = npt.NDArray[np.bool_]

CELL_RULES = ("characters", "repetition", "script", "language")
"""The order in which rules are applied; a text is counted for the first that drops it."""

_STRETCH = range(3, 65)
"""Characters of a stretch that may not repeat."""

_SCRIPTS = {"Jpan": ("Han", "Hira", "Kana"), "Kore": ("Hang", "Han"), "Hans": ("Han",), "Hant": ("Han",)}
"""Scripts by the codes of ISO 15924 that stand for several, or for one in a variant."""


def dropped(settings: FilterSettings, code: str, texts: Sequence[str]) -> Iterator[tuple[str, Mask]]:
    """By rule, in the order of `CELL_RULES`, which texts it drops. Shape [texts].

    Empty texts aren't dropped. A rule doesn't look at texts that an earlier one has dropped.

    Args:
        settings: the rules.
        code: the language of the texts.
        texts: cleaned.

    Raises:
        MissingExtraError: the language identifier isn't installed.
        CorpusError: its model can't be read.
    """
    open_ = np.fromiter(map(bool, texts), np.bool_, len(texts))
    for rule, found in _found(settings, code, texts, open_):
        yield rule, found & open_
        open_ &= ~found


def _found(settings: FilterSettings, code: str, texts: Sequence[str], open_: Mask) -> Iterator[tuple[str, Mask]]:
    if settings.characters is not None:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        yield "characters", (lengths < settings.characters.min) | (lengths > settings.characters.max)
    if settings.max_repetitions is not None:
        yield "repetition", _repeats(texts, settings.max_repetitions)
    if settings.script_share is not None and (scripts := scripts_of(code)):
        yield "script", _shares(texts, scripts) < settings.script_share
    if settings.language_id is not None and (judge := _judge(settings.language_id, code)):
        shortest = settings.language_id.min_characters
        yield "language", _each(lambda text: len(text) >= shortest and not judge(text), texts, open_)


def _each(drops: Any, texts: Sequence[str], open_: Mask) -> Mask:
    """What a function of one text says, of those that are still there."""
    there = zip(texts, open_.tolist(), strict=True)
    return np.fromiter((one and bool(drops(text)) for text, one in there), np.bool_, len(texts))


def _repeats(texts: Sequence[str], most: int) -> Mask:
    """In which texts a stretch of characters follows itself more often than `most` times."""
    codes = code_points("\n".join(texts) + "\n").astype(np.int64)
    ends = np.flatnonzero(codes == ord("\n"))
    codes[ends] = -np.arange(1, len(ends) + 1)  # no two ends of texts are alike
    found = np.zeros(len(texts), dtype=np.bool_)
    for size in _STRETCH:
        # Where characters are those of `size` before for a while, a stretch of this size repeats.
        breaks = np.flatnonzero(codes[size:] != codes[:-size])
        starts = np.concatenate([[-1], breaks])[:-1]
        long = starts[np.diff(breaks, prepend=-1) > size * (most + 1)]
        found[np.searchsorted(ends, long + 1)] = True
    return found


def scripts_of(code: str) -> tuple[str, ...]:
    """The scripts that a language is written in, as Unicode names them; none of a code of one's own.

    Examples:
        >>> scripts_of("de"), scripts_of("ja"), scripts_of("sr_Latn")
        (('Latn',), ('Han', 'Hira', 'Kana'), ('Latn',))
    """
    if not is_known(code):
        return ()
    tag = canonical(code)
    named = [part for part in tag.split("_")[1:] if len(part) == 4]
    script = named[0] if named else LANGUAGES[tag.split("_")[0]].script
    return _SCRIPTS.get(script, (script,))


def _shares(texts: Sequence[str], scripts: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Of each text, the share of its letters that are in some scripts; 1 where it has no letters."""
    letters = np.fromiter((len(_letters().findall(text)) for text in texts), np.int64, len(texts))
    own = np.fromiter((len(_of(scripts).findall(text)) for text in texts), np.int64, len(texts))
    return np.where(letters == 0, 1.0, own / np.maximum(letters, 1))


@lru_cache
def _letters() -> Any:
    return regex.compile(r"\p{L}")


@lru_cache
def _of(scripts: tuple[str, ...]) -> Any:
    # letters that several scripts share, such as the long vowel mark of Japanese, count for each of them
    return regex.compile("[" + "".join(rf"\p{{scx={script}}}" for script in scripts) + r"&&\p{L}]", regex.V1)


@lru_cache
def _judge(settings: LanguageIdSettings, code: str) -> Any:
    """Says whether a text is in a language; None where the identifier doesn't know that."""
    least = settings.min_probability
    if settings.model is None:
        from neuronspec.scoring.langid import is_identified, is_in

        return partial(is_in, language=code, least=least) if is_identified(code) else None
    return _fasttext_judge(settings.model, code, least)


def _fasttext_judge(path: Path, code: str, least: float) -> Any:
    model, labels = _fasttext(path)
    own = {label for tag, label in labels.items() if is_known(tag) and match_language(tag, [code])}
    if not own:
        return None

    def judge(text: str) -> bool:
        found, probabilities = model.predict(text.replace("\n", " "))
        return found[0] in own and float(probabilities[0]) >= least

    return judge


@lru_cache
def _fasttext(path: Path) -> tuple[Any, dict[str, str]]:
    try:
        import fasttext
    except ImportError:
        raise CorpusError(
            "corpus.filters.language_id.model needs the package fasttext: pip install fasttext; without model, "
            "py3langid is used"
        ) from None
    try:
        model = fasttext.load_model(str(path))
    except ValueError as error:
        raise CorpusError(f"{path}: no fastText model ({error}); give another in corpus.filters.language_id") from None
    return model, {label.removeprefix("__label__"): label for label in model.labels}
