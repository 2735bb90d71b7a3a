"""Translating test sets, scores, significance, tables. Names are imported as they are used, as models are slow to."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuronspec.evaluation.engines import TranslationEngine, make_engine
    from neuronspec.evaluation.evaluate import evaluate_arm, evaluate_copy
    from neuronspec.evaluation.gather import check_overlap, gather
    from neuronspec.evaluation.results import read_results, read_scores, write_results
    from neuronspec.evaluation.scores import Score, score
    from neuronspec.evaluation.translate import Translations, translate

_HOMES = {
    "engines": ("TranslationEngine", "make_engine"),
    "evaluate": ("evaluate_arm", "evaluate_copy"),
    "gather": ("check_overlap", "gather"),
    "results": ("read_results", "read_scores", "write_results"),
    "scores": ("Score", "score"),
    "translate": ("Translations", "translate"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Score",
    "TranslationEngine",
    "Translations",
    "check_overlap",
    "evaluate_arm",
    "evaluate_copy",
    "gather",
    "make_engine",
    "read_results",
    "read_scores",
    "score",
    "translate",
    "write_results",
]


class _Package(ModuleType):
    """Keeps `translate` and `gather` the functions: importing the files of those names would put the modules there."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
