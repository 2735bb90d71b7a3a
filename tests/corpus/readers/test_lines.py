"""Lines of plain and compressed files, and where bad bytes stand."""

from __future__ import annotations

import codecs
import gzip
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.lines import count_lines, read_blocks
from neuronspec.corpus.readers.opening import is_file

TEXT = "\ufeffid\tde\nGrüße\t\u2028still line 2\r\nlast"


def numbered(path: Path, size: int = 100) -> list[tuple[int, str]]:
    return [line for first, lines in read_blocks(path, size) for line in enumerate(lines, start=first)]


LINES = [(1, "id\tde"), (2, "Grüße\t\u2028still line 2"), (3, "last")]


def zst(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


PACKS = [("a.tsv", bytes), ("a.tsv.gz", gzip.compress), ("a.tsv.xz", lzma.compress), ("a.tsv.zst", zst)]


@pytest.mark.parametrize(("name", "pack"), PACKS)
def test_lines_and_numbers(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(TEXT.encode()))
    assert numbered(path, 5) == numbered(path, 2) == numbered(path, 1) == LINES
    assert count_lines(path) == 3


@pytest.mark.parametrize(("name", "pack"), [("a.txt", bytes), ("a.txt.gz", gzip.compress)])
def test_invalid_utf8_names_file_and_line(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"gut\nauch gut\n" + b"na\xefve\n"))
    with pytest.raises(CorpusError, match=rf"{name}:3: not valid UTF-8: byte 0xef.* 3 .*iconv"):
        numbered(path, 2)


@pytest.mark.parametrize(("name", "pack"), PACKS[1:])
def test_streams_that_were_joined_are_one_file(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(b"one\ntw") + pack(b"o\nthree\n"))
    assert numbered(path) == [(1, "one"), (2, "two"), (3, "three")]


def test_members_of_archives(tmp_path: Path) -> None:
    archive = tmp_path / "de-en.txt.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README", "read me")
        file.writestr("sub/Books.de-en.de", "\ufeffeins\nzwei\n" * 3)
        file.writestr("bad", b"ok\nna\xefve\n")
    path = archive / "sub/Books.de-en.de"
    assert numbered(path, 4)[:3] == [(1, "eins"), (2, "zwei"), (3, "\ufeffeins")] and count_lines(path) == 6
    assert is_file(path) and is_file(archive) and not is_file(archive / "sub") and not is_file(archive / "other")
    with pytest.raises(CorpusError, match=r"de-en.txt.zip/bad:2: not valid UTF-8"):
        numbered(archive / "bad")
    with pytest.raises(CorpusError, match=r"de-en.txt.zip: has no file other"):
        numbered(archive / "other")
    whole = archive.read_bytes()
    locked = bytearray(whole)
    for header, size in ((whole.index(b"sub/"), 30), (whole.rindex(b"sub/"), 46)):
        locked[header - size + (6 if size == 30 else 8)] |= 1  # the flag of encryption
    archive.write_bytes(locked)
    with pytest.raises(CorpusError, match=r"can't be unpacked: .*encrypted.*; unpack the archive by other means"):
        numbered(path)
    place = whole.index(b"sub/Books.de-en.de") + len("sub/Books.de-en.de") + 3
    archive.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    with pytest.raises(CorpusError, match="sub/Books.de-en.de: damaged"):
        numbered(path)
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorpusError, match="damaged"):
        numbered(path)
    with pytest.raises(CorpusError, match="can't be read"):
        is_file(path)


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    cut = tmp_path / "cut.tsv.xz"
    cut.write_bytes(lzma.compress(b"line\n" * 10_000)[:-40])
    with pytest.raises(CorpusError, match="cut.tsv.xz: damaged"):
        numbered(cut)
    for name in ("plain.gz", "plain.zst"):
        (tmp_path / name).write_bytes(b"not compressed")
        with pytest.raises(CorpusError, match=f"{name}: damaged or not compressed"):
            numbered(tmp_path / name)
    (tmp_path / "cut.zst").write_bytes(zst(b"line\n" * 10_000)[:-5])
    with pytest.raises(CorpusError, match="cut.zst: damaged"):
        numbered(tmp_path / "cut.zst")
    with pytest.raises(CorpusError, match=r"none.txt: can't be read: No such file"):
        count_lines(tmp_path / "none.txt")


@pytest.mark.parametrize(("name", "pack"), PACKS[1:])
def test_an_endless_line_is_refused_in_bounded_memory(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    """A compressed file of some kilobytes can hold a line that fills the memory."""
    size = 2**30
    (tmp_path / name).write_bytes(pack(b"short\n") + pack(b"a" * 2**20) * (size // 2**20))  # joined streams are one
    code = """
import re, sys
from pathlib import Path
from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.lines import count_lines, read_blocks
for read in (lambda path: list(read_blocks(path)), count_lines):
    try:
        read(Path(sys.argv[1]))
    except CorpusError as error:
        print(error)
print(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
"""
    command = [sys.executable, "-c", code, str(tmp_path / name)]
    *messages, kilobytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(messages) == 2 and all(f"{name}:2: a line of more than 1 MiB" in message for message in messages)
    assert int(kilobytes) * 1024 < size / 5


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.tsv"
    mark = b"" if encoding == "utf-16" else codecs.BOM_UTF16_LE if encoding.endswith("le") else codecs.BOM_UTF16_BE
    path.write_bytes(mark + "en\tde\n".encode(encoding))
    with pytest.raises(CorpusError, match=r"a.tsv: not UTF-8 but UTF-16; convert it, for example with iconv"):
        list(read_blocks(path))


def test_a_mark_alone_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8)
    assert list(read_blocks(tmp_path / "a.txt")) == [(1, [""])]
