"""The form that the corpus section had before version 0.2, when one reader read all splits.

corpus: {reader: tsv, train: text.tsv, test: test.tsv}            is read as
corpus: {train: {reader: tsv, path: text.tsv}, test: {reader: tsv, path: test.tsv}}

corpus: {reader: catalogs, folder: locale}                        is read as
corpus: {train: {reader: catalogs, path: locale}}
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

_SPLITS = ("train", "valid", "test")
_MOVED = {"reader": "reader", "packages": "packages", "folder": "path", "max_characters": "max_characters"}
"""Keys that were the section's and are a source's now."""


def from_old_form(corpus: Any, *, warn: bool = True) -> Any:
    """The corpus section in the form of today; what is in it already is returned as it is.

    A split that is given as a path alone is read by the reader of the training text, so that
    `--set corpus.test=test.tsv` works in both forms.

    Args:
        corpus: the section as it was written; anything that is no mapping is left to validation.
        warn: tell the user, once, how the section is written today.
    """
    if not isinstance(corpus, Mapping) or any(isinstance(corpus.get(split), list) for split in _SPLITS):
        return corpus
    moved = {new: corpus[old] for old, new in _MOVED.items() if old in corpus}
    bare = [split for split in _SPLITS if isinstance(corpus.get(split), str | Path)]
    if not moved and not bare:
        return corpus
    if warn and isinstance(moved.get("reader"), str) and not isinstance(corpus.get("train"), Mapping):
        _warn(moved["reader"])
    sections = {split: _section(corpus[split]) for split in _SPLITS if corpus.get(split) is not None}
    sections["train"] = sections.get("train", {}) | moved
    reader = {name: sections["train"][name] for name in ("reader",) if name in sections["train"]}
    kept = {key: value for key, value in corpus.items() if key not in _MOVED and key not in _SPLITS}
    return kept | {split: reader | section for split, section in sections.items()}


@lru_cache
def _warn(reader: str) -> None:
    """Say it once in a process, however often a recipe is read."""
    logger.warning(
        "corpus: {reader: %s, ...} is the form of recipes before 0.2; now each split is a source, such as "
        "train: {reader: %s, path: ...}",
        reader,
        reader,
    )


def _section(source: Any) -> dict[str, Any]:
    return dict(source) if isinstance(source, Mapping) else {"path": source}


def to_old_form(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """The section as recipes before 0.2 had it, where it can be written so, else as it is.

    Fingerprints of stages are made from it, so that runs from before stay up to date.

    Args:
        corpus: the section as plain values, without what isn't given.
    """
    if any(isinstance(corpus.get(split), list) for split in _SPLITS):
        return dict(corpus)
    sources = {split: dict(corpus[split]) for split in _SPLITS if split in corpus}
    kept = {key: value for key, value in corpus.items() if key not in _SPLITS}
    readers = {source.pop("reader") for source in sources.values()}
    if readers in ({"tsv"}, {"moses"}) and all(list(source) == ["path"] for source in sources.values()):
        return kept | {"reader": readers.pop()} | {split: source["path"] for split, source in sources.items()}
    if readers == {"catalogs"} and list(sources) == ["train"]:
        old = {name: sources["train"][new] for name, new in _MOVED.items() if new in sources["train"]}
        return kept | {"reader": "catalogs"} | old
    return dict(corpus)
