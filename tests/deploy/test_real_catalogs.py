"""Real catalogs of languages with one to six plural forms: what is missing is filled, nothing else changes."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest
from tests.helpers.marking import Marking

from neuronspec.core.direction import Direction
from neuronspec.deploy.documents.document import translate_document

LANGUAGES = ("de", "ru", "ar", "ja")
_STRING = re.compile(rb"msgstr(?:\[\d+\])? ")


def catalogs(language: str) -> list[Path]:
    """The catalogs of Django and Plone in a language."""
    found = []
    for package in ("django", "plone.app.locales"):
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        root = Path(spec.submodule_search_locations[0])
        found += sorted(root.rglob(f"{language}/LC_MESSAGES/*.po"))
    return found


def lines_of(raw: bytes) -> list[bytes]:
    return raw.splitlines(keepends=True)


def half_empty(raw: bytes) -> tuple[bytes, int]:
    """The catalog without about half of its translations, form by form, and how many were taken out."""
    out: list[bytes] = []
    removed, skipping, strings = 0, False, 0
    for number, line in enumerate(lines_of(raw)):
        start = _STRING.match(line)
        if start:
            strings += 1
            skipping = strings > 1 and zlib.crc32(b"%d" % number) % 2 == 0
            removed += skipping
            out.append(start[0] + b'""\n' if skipping else line)
        elif not (skipping and line.startswith(b'"')):
            skipping = False
            out.append(line)
    return b"".join(out), removed


def changes(before: bytes, after: bytes) -> int:
    """How many empty strings were filled; asserts that nothing else changed but the flag `fuzzy`."""
    old, at, filled, inside = lines_of(before), 0, 0, False
    for line in lines_of(after):
        if inside and line.startswith(b'"'):
            continue
        inside = False
        expected = old[at] if at < len(old) else b""
        if line == expected or line.replace(b"#, fuzzy, ", b"#, ", 1) == expected:
            at += 1
        elif line == b"#, fuzzy\n":
            continue
        else:
            start = _STRING.match(expected)
            assert start and expected == start[0] + b'""\n', (at, expected, line)
            assert line.startswith(start[0]), (at, expected, line)
            filled, inside, at = filled + 1, True, at + 1
    assert at == len(old), "the whole file is there"
    return filled


def accepts(path: Path, *options: str) -> bool:
    command = ["msgfmt", "--check", *options, "-o", "/dev/null", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def fill(path: Path, language: str, folder: Path) -> int:
    """Empty half of a catalog, fill it, check every byte; how many strings were filled."""
    emptied, removed = half_empty(path.read_bytes())
    (folder / "half.po").write_bytes(emptied)
    direction = Direction("en", language)
    translate_document(Marking(), direction, str(folder / "half.po"), folder / "out.po")  # type: ignore[arg-type]
    filled = changes(emptied, (folder / "out.po").read_bytes())
    assert removed <= filled, "and those that were empty before"
    for options in ((), ("--use-fuzzy",)):
        assert not accepts(path, *options) or accepts(folder / "out.po", *options), (path, options)
    return filled


@pytest.mark.skipif(shutil.which("msgfmt") is None, reason="gettext's msgfmt is not installed")
@pytest.mark.parametrize("language", LANGUAGES)
def test_one_catalog_of_each(tmp_path: Path, language: str) -> None:
    smallest = min(
        (path for path in catalogs(language) if b"msgid_plural" in path.read_bytes()), key=lambda p: p.stat().st_size
    )
    assert fill(smallest, language, tmp_path) > 2


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("msgfmt") is None, reason="gettext's msgfmt is not installed")
@pytest.mark.parametrize("language", LANGUAGES)
def test_all_catalogs(tmp_path: Path, language: str) -> None:
    found = {path: fill(path, language, tmp_path) for path in catalogs(language)}
    print(language, len(found), "files", sum(found.values()), "strings")
    assert len(found) > 15 and sum(found.values()) > 1000
