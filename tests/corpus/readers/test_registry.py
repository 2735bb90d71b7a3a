"""The registry of readers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest

from neuronspec import recipe
from neuronspec.core.errors import RecipeError
from neuronspec.corpus.readers.registry import READERS, read_rows
from neuronspec.corpus.readers.rows import ReadCounts


def test_every_reader_of_the_recipe_is_there() -> None:
    kinds = get_args(get_args(recipe.Corpus)[0])
    assert {get_args(kind.model_fields["reader"].annotation)[0] for kind in kinds} == set(READERS)


def test_an_unknown_reader_is_refused() -> None:
    other: Any = type("Other", (), {"reader": "tvs"})()
    with pytest.raises(RecipeError, match="unknown reader 'tvs'; did you mean 'tsv'"):
        read_rows(other, ReadCounts())


def test_readers_load_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "polib", "django", "sentencepiece", "pyarrow"}
    program = f"import sys, neuronspec.corpus.readers; print(*({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
