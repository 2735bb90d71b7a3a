"""The reader of NTREX-128."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import Row


def write(folder: Path, **texts: str) -> Path:
    (folder / "DOCUMENT_IDS.tsv").write_text("1\tnews\n")
    (folder / "newstest2019-src.eng.txt").write_text("Rain fell.\nThe mayor left.\n")
    for tag, text in texts.items():
        (folder / f"newstest2019-ref.{tag.replace('_', '-')}.txt").write_text(text, encoding="utf-8")
    return folder


def test_all_languages(tmp_path: Path) -> None:
    write(
        tmp_path,
        deu="Regen fiel.\nDer Bürgermeister ging.\n",
        por_BR="a\nb\n",
        por="c\nd\n",
        eng_GB="e\nf\n",
        zho_TW="g\nh\n",
    )
    (first, second) = read_source({"reader": "ntrex", "path": tmp_path}, ["de", "pt-BR", "pt", "zh_Hant"])
    assert first == Row(
        {"en": "Rain fell.", "de": "Regen fiel.", "pt_BR": "a", "pt": "c", "zh_Hant": "g"}, "NTREX-128:1"
    )
    assert second.texts["en"] == "The mayor left."
    assert read_source({"reader": "ntrex", "path": tmp_path}, ["de"], pivot="en_GB")[0].texts["en_GB"] == "e"


def test_missing_languages_and_short_files(tmp_path: Path) -> None:
    write(tmp_path, deu="Regen fiel.\n")
    with pytest.raises(CorpusError, match="no file of fr; languages there: deu, eng"):
        read_source({"reader": "ntrex", "path": tmp_path}, ["fr"])
    with pytest.raises(CorpusError, match=r"src.eng.txt has 2 lines; .*ref.deu.txt has 1 lines"):
        read_source({"reader": "ntrex", "path": tmp_path}, ["de"])
