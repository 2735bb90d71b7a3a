"""Lines of plain and compressed files, and where bad bytes stand."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from neuronspec.corpus.lines import read_lines
from neuronspec.errors import CorpusError

TEXT = "\ufeffid\tde\nGrüße\t\u2028still line 2\r\nlast"
LINES = [(1, "id\tde"), (2, "Grüße\t\u2028still line 2"), (3, "last")]


@pytest.mark.parametrize(("name", "pack"), [("a.tsv", bytes), ("a.tsv.gz", gzip.compress), ("a.tsv.xz", lzma.compress)])
def test_lines_and_numbers(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(TEXT.encode()))
    assert list(read_lines(path)) == LINES


@pytest.mark.parametrize(("name", "pack"), [("a.txt", bytes), ("a.txt.gz", gzip.compress)])
def test_invalid_utf8_names_file_and_line(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"gut\nauch gut\n" + b"na\xefve\n"))
    with pytest.raises(CorpusError, match=rf"{name}:3: not valid UTF-8: byte 0xef.* 3 .*iconv"):
        list(read_lines(path))


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tsv.xz"
    cut.write_bytes(lzma.compress(b"line\n" * 10_000)[:-40])
    with pytest.raises(CorpusError, match="cut.tsv.xz: damaged"):
        list(read_lines(cut))
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"not compressed")
    with pytest.raises(CorpusError, match="plain.gz: damaged or not compressed"):
        list(read_lines(plain))
    with pytest.raises(CorpusError, match=r"none.txt: can't be read: No such file"):
        list(read_lines(tmp_path / "none.txt"))
