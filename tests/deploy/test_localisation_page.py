"""What docs/localisation.md tells a team to do works."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
import typer

from neuronspec.recipe import Recipe

PAGE = Path(__file__).parents[2] / "docs" / "localisation.md"
ENGLISH = ("Save", "Delete %(name)s", "Please read <b>this</b> page.", "New here")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands() -> list[list[str]]:
    """The arguments of each `neuronspec` that the page names, in their order."""
    text = PAGE.read_text(encoding="utf-8")
    return [
        shlex.split(found)[1:] for found in re.findall(r"^neuronspec .*$|(?<=`)neuronspec [^`\n]+", text, re.MULTILINE)
    ]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the page, with Django's catalogs."""
    spec = importlib.util.find_spec("django")
    assert spec is not None and spec.origin is not None
    for language in ("de", "fr"):
        folder = tmp_path / "locale" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        shutil.copyfile(Path(spec.origin).parent / f"conf/locale/{language}/LC_MESSAGES/django.po", folder / "shop.po")
    variants = "".join(f'<tuv xml:lang="{tag}"><seg>{tag} text</seg></tuv>' for tag in ("en", "de", "fr"))
    (tmp_path / "memory.tmx").write_text(f"<tmx><header/><body><tu>{variants}</tu></body></tmx>")
    (tmp_path / "terms.tsv").write_text("page\tSeite\n")
    (tmp_path / "shop.yaml").write_text(blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_and_the_table(shop: Path) -> None:
    assert Recipe.load(shop / "shop.yaml").corpus.languages == ["de", "fr"]
    (code,) = blocks("python")
    exec(compile(code, PAGE.name, "exec"), {})
    header, *rows = [line.split("\t") for line in (shop / "text.tsv").read_text(encoding="utf-8").splitlines()]
    assert header == ["en", "de", "fr"] and len(rows) > 200
    assert ["en text", "de text", "fr text"] in rows and ["Arabic", "Arabisch", "Arabe"] in rows
    recipe = blocks("yaml")[0].replace("{reader: catalogs, path: locale}", "{reader: tsv, path: text.tsv}")
    assert "train: {reader: tsv, path: text.tsv}" in PAGE.read_text(encoding="utf-8")
    (shop / "table.yaml").write_text(recipe)
    assert Recipe.load(shop / "table.yaml").corpus.train is not None


def test_the_commands_exist() -> None:
    from neuronspec.cli.app import app

    group = typer.main.get_command(app)
    names = []
    for name, *arguments in commands():
        command = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
        assert command is not None, name
        command.make_context(name, arguments)  # raises for an option that there isn't
        names.append(name)
    assert sorted(names) == ["export", "run", "serve", "translate", "translate", "translate", "validate"]


@pytest.mark.cli
@pytest.mark.slow
def test_the_page_from_files_to_a_filled_catalog(shop: Path) -> None:
    recipe = re.sub(r"updates: \d+", "updates: 2", (shop / "shop.yaml").read_text())
    (shop / "shop.yaml").write_text(recipe.replace("vocabulary: 3000", "vocabulary: 400"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    catalog = shop / "locale/de/LC_MESSAGES/shop.po"
    for name, *arguments in commands():
        if name == "serve":
            continue
        if name == "export":  # the next release
            with catalog.open("a", encoding="utf-8") as stream:
                stream.write("".join(f'\nmsgid "{text}, shop"\nmsgstr ""\n' for text in ENGLISH))
                stream.write('\nmsgid "en text"\nmsgstr ""\n')
        command = [sys.executable, "-m", "neuronspec", name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        if "--tm" in arguments:
            assert "taken from the memory: 1" in done.stderr
    by_text = {entry.msgid: entry for entry in polib.pofile(str(catalog))}
    assert (by_text["en text"].msgstr, by_text["en text"].fuzzy) == ("de text", False)
    assert by_text["Arabic"].msgstr == "Arabisch"
    assert (shop / "drafts/LC_MESSAGES/shop.po").is_file()
