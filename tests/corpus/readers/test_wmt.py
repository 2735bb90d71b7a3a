"""The reader of sacreBLEU's cache."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import Row
from neuronspec.recipe import Recipe


def write(cache: Path, name: str, direction: str, **texts: str) -> Path:
    """Text of a test set, by field, as sacreBLEU names it."""
    (cache / name / "raw").mkdir(parents=True, exist_ok=True)
    for field, text in {"docid": "a\nb\n", "genre": "news\nnews\n", **texts}.items():
        path = cache / name / f"{name.replace('/', '_')}.{direction}.{field.replace('_', '-')}"
        path.write_text(text, encoding="utf-8")
    return cache


def test_a_set_of_the_cache(tmp_path: Path) -> None:
    write(tmp_path, "wmt17", "en-de", src="Rain fell.\nIt is late.\n", ref="Regen fiel.\nEs ist spät.\n")
    write(tmp_path, "wmt17", "zh-en", src="下雨了。\n", ref="It rained.\n")
    write(tmp_path, "wmt17/B", "en-de", src="Rain fell.\nIt is late.\n", ref="Es regnete.\nEs ist spät.\n")
    write(tmp_path, "wmt14", "fr-en", src="Il a plu.\n", ref="It rained.\n")
    source = {"reader": "wmt", "path": tmp_path, "sets": ["wmt17"]}
    assert read_source(source, ["deu_Latn", "zh_Hans"]) == [
        Row({"deu_Latn": "Regen fiel.", "en": "Rain fell."}, "wmt17.en-de:1"),
        Row({"deu_Latn": "Es ist spät.", "en": "It is late."}, "wmt17.en-de:2"),
        Row({"en": "It rained.", "zh_Hans": "下雨了。"}, "wmt17.zh-en:1"),
    ]
    (row, _) = read_source(source | {"sets": ["wmt17/B"]}, ["de"])
    assert row == Row({"de": "Es regnete.", "en": "Rain fell."}, "wmt17/B.en-de:1")
    rows = read_source(source | {"path": tmp_path / "wmt1*" / "*.en-*", "sets": ["wmt17"]}, ["de"])
    assert [row.origin for row in rows] == ["wmt17.en-de:1", "wmt17.en-de:2"]


@pytest.mark.parametrize(
    ("name", "asked", "read"),
    [
        ("wmt21", None, "A"), ("wmt21/B", None, "B"), ("wmt21/D", "C", "C"), ("wmt17/tworefs", None, "A"),
        ("own", "B", "B"),
    ],
)  # fmt: skip
def test_one_of_several_references(name: str, asked: str | None, read: str, tmp_path: Path) -> None:
    """Without `reference`, the one that sacreBLEU scores that set with; the first where it takes all."""
    references = {f"ref_{label}": f"Satz {label}\n" for label in "ABC"}
    write(tmp_path, name, "en-de", src="A sentence\n", hyp="no\n", **references)
    source = {"reader": "wmt", "path": tmp_path, "sets": [name]} | ({"reference": asked} if asked else {})
    assert [row.texts["de"] for row in read_source(source, ["de"])] == [f"Satz {read}"]


def test_a_reference_that_lacks_some_sentences(tmp_path: Path) -> None:
    write(tmp_path, "wmt23", "en-de", src="one\ntwo\n", ref_refA="\nzwei\n")
    rows = read_source({"reader": "wmt", "path": tmp_path, "sets": ["wmt23"]}, ["de"])
    assert [dict(row.texts) for row in rows] == [{"en": "one"}, {"en": "two", "de": "zwei"}]


def test_mistakes(tmp_path: Path) -> None:
    source = {"reader": "wmt", "path": tmp_path, "sets": ["wmt19"]}
    with pytest.raises(CorpusError, match=r"no text of en-de for 'wmt19'; there is: none. sacrebleu -t wmt19 -l en-de"):
        read_source(source, ["de"])
    write(tmp_path, "wmt19", "en-de", src="one\ntwo\n", ref="eins\n")
    with pytest.raises(CorpusError, match=r"wmt19.en-de.ref has 1 lines; .*wmt19.en-de.src has 2 lines"):
        read_source(source, ["de"])
    with pytest.raises(CorpusError, match=r"no text of en-de .*there is: en-de \(ref, src\)"):
        read_source(source | {"reference": "A"}, ["de"])
    write(tmp_path, "wmt19", "de-en", src="drei\n", ref="three\n")
    with pytest.raises(CorpusError, match=r"has both de-en and en-de, and de and en share .* path: FOLDER/\*.de-en.\*"):
        read_source(source, ["de"])
    assert len(read_source(source | {"path": tmp_path / "wmt19" / "*.de-en.*"}, ["de"])) == 1
    write(tmp_path / "copy", "wmt19", "de-en", src="drei\n", ref="three\n")
    with pytest.raises(CorpusError, match=r"two files of the same text: .*copy.*keep one"):
        read_source(source, ["de"])


def test_a_folder_that_isnt_there_is_told_with_the_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\ncorpus: {languages: [de], train: {reader: wmt, path: cache, sets: [wmt17]}}\n", encoding="utf-8"
    )
    with pytest.raises(Exception, match="no such file or folder: .*cache"):
        Recipe.load(recipe)


def test_what_sacrebleu_itself_writes(tmp_path: Path) -> None:
    """Its own processing of a set whose raw files are in the cache, and the files of `--echo`."""
    raw = tmp_path / "cache" / "wmt17" / "raw"
    for name, lang, text in (("src", "en", "Rain  fell."), ("ref", "de", "Regen fiel.")):
        path = raw / "test" / f"newstest2017-ende-{name}.{lang}.sgm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'<doc docid="1" genre="news" origlang="en">\n<seg id="1">{text}</seg>\n</doc>\n', encoding="utf-8"
        )
    with tarfile.open(raw / "wmt17.test.tgz", "w:gz"):
        pass  # sacreBLEU downloads nothing where this file is
    for field in ("src", "ref"):
        command = [sys.executable, "-m", "sacrebleu", "-t", "wmt17", "-l", "en-de", "--echo", field]
        done = subprocess.run(command, capture_output=True, check=True, env={"SACREBLEU": str(tmp_path / "cache")})
        (tmp_path / f"wmt17.en-de.{field}").write_bytes(done.stdout)
    for path in (tmp_path / "cache", tmp_path / "*.en-de.*"):
        rows = read_source({"reader": "wmt", "path": path, "sets": ["wmt17"]}, ["de"])
        assert rows == [Row({"de": "Regen fiel.", "en": "Rain fell."}, "wmt17.en-de:1")]
