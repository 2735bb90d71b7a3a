"""A run whose recipe, table, directions and commands spell languages in different ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers import forked
from tests.helpers.synthetic import WORDS, write_recipe

pytestmark = pytest.mark.cli
HEADERS = {"en": "EN-gb", "de": "deu_Latn", "fr": "zh-CN", "it": "th"}
THAI = "หนึ่ง สอง สาม สี่ ห้า หก เจ็ด แปด เก้า สิบ และ แล้ว บ้าน ต้นไม้".split()  # noqa: SIM905
CHINESE = "一 二 三 四 五 六 七 八 九 十 和 再 房子 樹木".split()  # noqa: SIM905


def write(folder: Path) -> Path:
    """The toy corpus with Chinese for French, Thai for Italian, and no-break spaces in German."""
    recipe = write_recipe(folder)
    header, *lines = (folder / "table.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    for row in rows:
        row["de"] += "\u00a0!"
        for code, words in (("fr", CHINESE), ("it", THAI)):
            row[code] = "".join(words[WORDS[code].index(word)] for word in row[code].split())
    names = "\t".join(HEADERS.get(name, name) for name in header.split("\t"))
    table = "\n".join([names, *("\t".join(row.values()) for row in rows)])
    (folder / "table.tsv").write_text(f"\ufeff{table}\n", encoding="utf-8")
    text = recipe.read_text(encoding="utf-8").replace(
        "[de, fr, it]", "[DE, zho_Hans, tha]\n  directions: [en-de, deu-ENG, EN-zh, zh-Hans-en, en-th]"
    )
    options = "max_new_tokens: 16, zero_shot: [de-zh-CN], scores: {resamples: 20, trials: 20}}"
    recipe.write_text(f"\ufeff{text.replace('max_new_tokens: 16}', options)}", encoding="utf-8")
    return recipe


def neuronspec(*arguments: object, text: str | None = None) -> str:
    done = forked.neuronspec(*arguments, text=text)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_recipes_spelling_names_files_and_results(tmp_path: Path) -> None:
    changes = [
        "training.updates=4",
        "training.validate_every=4",
        "continuation.updates=2",
        "evaluation.max_sentences=5",
    ]
    options = [part for change in changes for part in ("--set", change)]
    shown = neuronspec("run", write(tmp_path), "--out", tmp_path / "run", *options)
    assert shown.count("it counts words") == 1
    results = json.loads((tmp_path / "run" / "results.json").read_text(encoding="utf-8"))
    names = ["DE-en", "en-DE", "en-tha", "en-zho_Hans", "zho_Hans-en", "DE-zho_Hans"]
    assert results["directions"] == names and results["references"] == "as read"
    assert results["families"] == {"DE": "Germanic", "zho_Hans": "Sinitic", "tha": "Kra-Dai"}
    assert results["skipped"]["ter"].startswith("not into tha: it counts words")
    tokenizers = {
        name: signature.split("|tok:")[1].split("|")[0] for name, signature in results["signatures"]["bleu"].items()
    }
    assert [tokenizers[name] for name in names] == ["13a", "13a", "char", "zh", "13a", "zh"]
    assert "asian:yes" in results["signatures"]["ter"]["DE-zho_Hans"] and "en-tha" not in results["signatures"]["ter"]
    folder = tmp_path / "run" / "evaluation" / "base"
    assert {path.stem for path in folder.glob("*.hyp")} == set(names)
    read, cleaned = ((folder / name).read_text(encoding="utf-8") for name in ("en-DE.ref", "DE-en.src"))
    assert read.count("\u00a0!\n") == 5 and "\u00a0" not in cleaned
    translated = neuronspec("translate", tmp_path / "run", "--from", "ENG", "--to", "zh-Hans", text="one two\n")
    assert translated == neuronspec("translate", tmp_path / "run", "--from", "en", "--to", "zho_Hans", text="one two\n")
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count("it counts words") == 1
