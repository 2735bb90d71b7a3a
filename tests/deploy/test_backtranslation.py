"""Back-translation: monolingual text becomes a source of training text."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.corpus.store import TokenStore

RECIPE = """\
name: bt
corpus:
  languages: [de]
  train:
    - {reader: tsv, path: genuine.tsv}
    - {reader: jsonl, path: bt.jsonl, directions: [en-de], domain: bt, weight: 0.5}
tokenizer: {vocabulary: 110}
training: {updates: 1}
continuation: {updates: 1}
"""


def call(*arguments: object) -> str:
    found = CliRunner().invoke(app, list(map(str, arguments)))
    assert found.exit_code == 0, found.output
    return found.output


def test_translations_are_a_source_of_one_direction(exported: Path, tmp_path: Path) -> None:
    lines = [f"w{number} w{number % 7}  " for number in range(40)]
    (tmp_path / "mono.de").write_text("\n".join([*lines, "", " "]) + "\n", encoding="utf-8")
    arguments = ("--from", "de", "--to", "en", "--tag", "bt", "--scores", "--out", tmp_path / "bt.jsonl")
    call("translate", exported, tmp_path / "mono.de", *arguments)
    rows = [json.loads(line) for line in (tmp_path / "bt.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["de"] for row in rows] == [line.strip() for line in lines]
    assert all(row.keys() == {"de", "en", "domain", "score"} and row["domain"] == "bt" for row in rows)

    words = ["".join(letters) for letters in product("abcd", repeat=4)]
    genuine = "".join(f"the {word}\tder {word}\n" for word in words)
    (tmp_path / "genuine.tsv").write_text("en\tde\n" + genuine, encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    call("prepare", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    store = TokenStore.open(tmp_path / "run" / "data")
    into, out = (store.pairs("train", direction) for direction in ("en-de", "de-en"))
    synthetic = [store.tokenizer.decode(into.tokens(row)[0]) for row in range(len(out), len(into))]
    assert synthetic and all(text.startswith("<bt> ") for text in synthetic)


def test_a_tag_is_for_plain_text_and_has_no_spaces(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("a\n")
    for file, tag, message in (("a.tsv", "bt", "--tag is for text files"), ("-", "b t", "--tag 'b t': a tag has")):
        file = str(tmp_path / file) if file != "-" else file
        found = CliRunner().invoke(app, ["translate", str(exported), file, "--from", "en", "--to", "de", "--tag", tag])
        assert found.exit_code == 1 and message in str(found.exception)
