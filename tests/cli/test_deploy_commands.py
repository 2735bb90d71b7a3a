"""compact, export and translate, run for real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.forked import neuronspec
from tests.helpers.trained_toy import sentences

pytestmark = pytest.mark.cli


def test_export_and_translate(specialized: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    made = neuronspec("export", specialized, "--all", "--out", out, "--sample", sample, "--verify", 20, "--json")
    assert made.returncode == 0, made.stderr
    assert made.stderr == "", "no bar, and no empty line for it, where there is no terminal"
    facts = json.loads(made.stdout)
    assert [list(each["directions"]) for each in facts] == [["de-en"], ["en-de"], ["en-fr"]]
    assert all(each["directions"][Path(each["folder"]).name]["verification"]["identical"] == 20 for each in facts)
    shown = json.loads(neuronspec("inspect", out, "--json").stdout)
    assert shown["kind"] == "exported models"
    assert shown["models"] == dict.fromkeys(("de-en", "en-de", "en-fr"), "direction, int8")
    text = "".join(f"{line}\n" for line in sentences(30, seed=2))
    piped = neuronspec("translate", out, "--from", "en", "--to", "de", text=text)
    assert piped.returncode == 0, piped.stderr
    lines = piped.stdout.splitlines()
    assert len(lines) == 30
    reversed_lines = [" ".join(reversed(line.split())) for line in text.splitlines()]
    assert sum(a == b for a, b in zip(lines, reversed_lines, strict=True)) > 20
    (tmp_path / "in.txt").write_text(text)
    filed = neuronspec(
        "translate", out / "en-de", tmp_path / "in.txt", "--from", "en", "--to", "de", "--out", tmp_path / "out.txt"
    )
    assert filed.returncode == 0, filed.stderr
    assert (tmp_path / "out.txt").read_text() == piped.stdout
    wrong = neuronspec("translate", out, "--from", "en", "--to", "it", text=text)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no model for direction en-it" in wrong.stderr and "Traceback" not in wrong.stderr


def test_compact(specialized: Path, tmp_path: Path) -> None:
    made = neuronspec("compact", specialized, "en-de", "--out", tmp_path / "small")
    assert made.returncode == 0, made.stderr
    assert "en-de" in made.stdout and "of the dense model's" in made.stdout
    again = neuronspec("compact", specialized, "en-de", "--out", tmp_path / "small")
    assert again.returncode == 1 and "exists already" in again.stderr


def test_standard_input_with_a_byte_order_mark_and_other_spellings(specialized: Path) -> None:
    plain = neuronspec("translate", specialized, "--from", "en", "--to", "de", text="w1 w2\nw3\n")
    marked = neuronspec("translate", specialized, "--from", "eng_Latn", "--to", "de-AT", text="\ufeffw1 w2\nw3\n")
    assert (plain.returncode, marked.returncode) == (0, 0), plain.stderr + marked.stderr
    assert marked.stdout == "\ufeff" + plain.stdout


def test_a_catalog_is_filled_in_place_and_a_folder_file_by_file(specialized: Path, tmp_path: Path) -> None:
    header = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    content = f'{header}msgid "w1 w2"\nmsgstr ""\n\nmsgid "w3"\nmsgstr "HUMAN"\n'
    folder = tmp_path / "locale"
    folder.mkdir()
    for name in ("a.po", "b.po"):
        (folder / name).write_text(content)
    (folder / "a.po").chmod(0o640)
    (tmp_path / "link.po").symlink_to(folder / "a.po")
    languages = ("--from", "en", "--to", "de")
    filled = neuronspec("translate", specialized, tmp_path / "link.po", *languages, "--in-place")
    assert filled.returncode == 0 and "filled 1 of 1 entries" in filled.stderr, filled.stderr
    expected = content.replace('msgid "w1 w2"\nmsgstr ""', '#, fuzzy\nmsgid "w1 w2"\nmsgstr "w2 w1"')
    assert (folder / "a.po").read_text() == expected
    assert (folder / "a.po").stat().st_mode & 0o777 == 0o640 and (tmp_path / "link.po").is_symlink()
    whole = neuronspec("translate", specialized, folder, *languages, "--out", tmp_path / "out")
    assert whole.returncode == 0 and "translated 2 files" in whole.stderr, whole.stderr
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "a.po": expected,
        "b.po": expected,
    }
    (tmp_path / "out.po").symlink_to("real.po")
    through = neuronspec("translate", specialized, folder / "b.po", *languages, "--out", tmp_path / "out.po")
    assert through.returncode == 0 and (tmp_path / "out.po").is_symlink(), through.stderr
    assert (tmp_path / "real.po").read_text() == expected
    (tmp_path / "same.po").symlink_to(folder / "b.po")
    same = neuronspec("translate", specialized, folder / "b.po", *languages, "--out", tmp_path / "same.po")
    assert same.returncode == 2 and "is the file that is translated" in same.stderr, same.stderr
    for wrong in (("--in-place", "--out", "x.po"), ("--in-place", "--as", "text"), ("--in-place", "--as", "html")):
        refused = neuronspec("translate", specialized, folder / "b.po", *languages, *wrong)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr, refused.stderr
    assert neuronspec("translate", specialized, *languages, "--in-place", text="w1\n").returncode == 2
    stream = neuronspec("translate", specialized, "-", *languages, "--as", "po", "--in-place", text=content)
    assert stream.returncode == 2 and "standard input" in stream.stderr, stream.stderr
    assert (folder / "b.po").read_text() == content


@pytest.mark.slow
def test_a_memory_and_a_glossary(specialized: Path, tmp_path: Path) -> None:
    pair = '<tuv xml:lang="en"><seg>w1 w2</seg></tuv><tuv xml:lang="de"><seg>from a person</seg></tuv>'
    memory, terms, damaged = tmp_path / "memory.tmx", tmp_path / "terms.tsv", tmp_path / "damaged.tmx"
    memory.write_text(f'<tmx version="1.4"><header/><body><tu>{pair}</tu></body></tmx>')
    damaged.write_text(f"<tmx>\n<body>{pair}")
    terms.write_text("w1\tterm\nw3\tw3\n")
    command = ("translate", specialized, "--from", "eng", "--to", "DE", "--tm", memory, "--glossary", terms)
    done = neuronspec(*command, text="w1 w2\nw3 w4\n")
    assert (done.returncode, done.stdout) == (0, "from a person\nw4 w3\n"), done.stderr
    for line in (
        "translations in the memory: 1",
        "terms in the glossary: 2",
        "taken from the memory: 1",
        "warning: standard input: 'w1 w2': the translation has no 'term' for 'w1'",
        "without terms of the glossary: 1",
    ):
        assert line in done.stderr.splitlines()
    for option, file, code in (("--tm", damaged, 1), ("--tm", tmp_path / "none.tmx", 2), ("--glossary", damaged, 1)):
        refused = neuronspec("translate", specialized, "--from", "en", "--to", "de", option, file, text="w1\n")
        assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
        assert file.name in refused.stderr and "Traceback" not in refused.stderr
