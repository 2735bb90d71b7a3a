"""A specialized model folder with its tokenizer, and what is exported from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuronspec.deploy.directions import export_directions
from neuronspec.specialization.save import save_specialized
from tests.helpers.toy_corpus import toy_tokenizer
from tests.helpers.trained_toy import sentences, trained_model


@pytest.fixture(scope="session")
def specialized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "specialized"
    save_specialized(trained_model(True), folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "sample.txt"
    file.write_text("".join(f"{line}\n" for line in sentences(40, seed=11)), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def exported(specialized: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All directions in int8, a folder each."""
    out = tmp_path_factory.mktemp("exported")
    export_directions(specialized, None, out / "int8", "int8", 40, sample, None)
    return out / "int8"
