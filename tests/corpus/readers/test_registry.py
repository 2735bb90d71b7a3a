"""The registry of readers, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from pydantic import ValidationError

from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.source import Source
from neuronspec.corpus.settings import CorpusSettings


@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_the_recipe_is_there(name: str) -> None:
    kind = READERS.get(name)
    assert issubclass(kind, Source) and kind.__doc__
    assert get_args(kind.model_fields["reader"].annotation) == (name,)


def test_an_unknown_reader_is_refused() -> None:
    with pytest.raises(ValidationError, match="did you mean 'tsv'"):
        CorpusSettings.model_validate({"languages": ["de"], "train": {"reader": "tvs"}})


def test_readers_load_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "polib", "django", "sentencepiece", "pyarrow"}
    program = f"""
import sys
from neuronspec.corpus.readers.registry import READERS
for name in READERS:
    READERS.get(name)
print(*({heavy!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
