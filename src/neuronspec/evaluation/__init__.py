"""Translating test sets, scores, tables."""

from neuronspec.evaluation.engines import TranslationEngine, make_engine
from neuronspec.evaluation.evaluate import evaluate_arm, evaluate_copy
from neuronspec.evaluation.gather import check_overlap, gather
from neuronspec.evaluation.results import read_results, read_scores, write_results
from neuronspec.evaluation.scores import Score, score
from neuronspec.evaluation.translate import Translations, translate

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
