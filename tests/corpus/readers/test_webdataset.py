"""The reader of shards."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.shards import packed
from tests.helpers.sources import read_source

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.rows import ReadCounts, Row

GERMAN = [("1.de.txt", b"Ja\n"), ("1.en.txt", b"Yes\n")]


def shard(folder: Path, *files: tuple[str, bytes], name: str = "a.tar") -> dict[str, Any]:
    """A source of one shard."""
    raw = packed(files)
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return {"reader": "webdataset", "path": folder / name}


def told(source: dict[str, Any]) -> str:
    """What is wrong with a source."""
    with pytest.raises(CorpusError) as error:
        read_source(source, ["de"])
    return str(error.value)


def test_samples_of_text_and_of_objects(tmp_path: Path) -> None:
    nested = {"id": 3, "translation": {"de": "Vier\nfünf", "en": "Four\nfive"}}
    source = shard(
        tmp_path,
        ("./x/._000.de.txt", b"\xff"),
        ("./x/000.deu_Latn.txt", "\ufeffGrüße\n".encode()),
        ("./x/000.en.txt", b"Greetings\r\n"),
        ("./x/000.jpg", b"\xff" * 3000),
        ("./x/000.cls", b"7"),
        ("./y/000.json", b'{"de": "Ja",\n "en": "Yes"}'),
        ("README", b"\xff"),
        ("001.jpg", b"\xff"),
        ("002.de.txt", b"Allein"),
        ("003.json", json.dumps(nested).encode()),
        name="a.tar.gz",
    )
    counts = ReadCounts()
    assert read_source(source, ["deu_Latn"], counts) == [
        Row({"deu_Latn": "Grüße\n", "en": "Greetings\r\n"}, "a.tar.gz:x/000"),
        Row({"deu_Latn": "Ja", "en": "Yes"}, "a.tar.gz:y/000"),
        Row({"deu_Latn": "Allein"}, "a.tar.gz:002"),
        Row({"deu_Latn": "Vier\nfünf", "en": "Four\nfive"}, "a.tar.gz:003"),
    ]
    assert counts.sources == {"a.tar.gz": 4}


def test_names_of_fields_and_scores(tmp_path: Path) -> None:
    files = [
        (f"{number}.{field}", text.encode())
        for number, score in enumerate(("0.9", "0.1"))
        for field, text in (("source.txt", f"Yes {number}"), ("de.txt", f"Ja {number}"), ("bicleaner.txt", score))
    ]
    source = shard(tmp_path, *files, ("2.json", b'{"source": "No", "de": "Nein", "bicleaner": 0.5}'))
    more = {"columns": {"en": "source"}, "min_scores": {"bicleaner": 0.5}}
    assert [row.texts["de"] for row in read_source(source | more, ["de"])] == ["Ja 0", "Nein"]


def test_shards_in_their_order(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        shard(tmp_path, (f"{number}.json", json.dumps({"de": str(number), "en": "n"}).encode()), name=f"{number}.tar")
    rows = read_source({"reader": "webdataset", "path": tmp_path / "?.tar"}, ["de"])
    assert [row.origin for row in rows] == ["0.tar:0", "1.tar:1", "2.tar:2"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("1.json", b"[1]")], "a.tar: 1.json: not an object, '[1]'; the file is as"),
        ([("1.json", b'{"de": "a"')], "a.tar: 1.json: not JSON: "),
        ([("1.json", b'{"de": 7, "en": "x"}')], "a.tar: 1: the text in de is the number 7"),
        ([("1.json", b'{"de": "a", "en": "b"}'), ("1.de.txt", b"c")], "a.tar: 1: columns 1 and 3 are both 'de'"),
        ([*GERMAN, *GERMAN], "a.tar: 1.de.txt: its sample has this file twice"),
        ([(f"{n}.{code}.txt", b"x") for code in ("de", "en") for n in range(3)],
         "none of its samples, such as a.tar:0"),
        ([("1.fr.txt", b"x"), ("1.en.txt", b"y")], "a.tar: there is no column for de; it has: fr, en"),
        ([("1.mp3", b"x")], "a.tar: there is no column for en, de; it has: nothing"),
        ([(f"1.{n}.txt", b"x" * 2**17) for n in range(9)],
         "a.tar: 1.7.txt: the texts of a sample have more than 1 MiB"),
    ],
    ids=range(9),
)  # fmt: skip
def test_samples_that_are_refused(files: list[tuple[str, bytes]], message: str, tmp_path: Path) -> None:
    assert message in told(shard(tmp_path, *files))


def long_header(raw: bytes) -> bytes:
    """A name of three megabytes in front."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 3 * 2**20
    return member.tobuf() + b"x" * member.size + raw


def nested_headers(raw: bytes) -> bytes:
    """Thousands of long names, each of which is said to belong to the next."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 1
    return (member.tobuf() + b"x".ljust(512, b"\0")) * 5000 + raw


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"", "no tar file, or damaged: empty file"),
        (lambda raw: b"no tar" * 500, "no tar file, or damaged"),
        (lambda raw: raw[:1024], "it ends too early"),
        (lambda raw: raw[:1500], "it ends too early"),
        (lambda raw: raw[:1800], "unexpected end of data|ends too early"),
        (lambda raw: raw[:1024] + b"!" + raw[1025:], "no header before byte 1536"),
        (lambda raw: raw + raw, "several tar files joined"),
        (long_header, "a header is too long"),
        (nested_headers, "no tar file, or damaged"),
    ],
    ids=range(9),
)
def test_damage(change: Callable[[bytes], bytes], message: str, tmp_path: Path) -> None:
    source = shard(tmp_path, *GERMAN)
    source["path"].write_bytes(change(source["path"].read_bytes()))
    with pytest.raises(CorpusError, match=rf"a\.tar: .*({message})"):
        read_source(source, ["de"])


def test_links_and_names_that_lead_elsewhere(tmp_path: Path) -> None:
    """Nothing is written, whatever the names are, and no link is followed."""
    inside = tmp_path / "in"
    inside.mkdir()
    source = shard(inside, ("../1.de.txt", b"Ja"), ("../1.en.txt", b"Yes"))
    assert [row.origin for row in read_source(source, ["de"])] == ["a.tar:../1"]
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "a.tar"]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            member = tarfile.TarInfo("1.de.txt")
            member.type, member.linkname = kind, "/etc/hostname"
            archive.addfile(member)
        source["path"].write_bytes(raw.getvalue())
        assert "a.tar: 1.de.txt: a link or a special file; pack with tar --dereference" in told(source)


def test_bytes_that_change_never_end_in_anything_but_rows_or_a_message(tmp_path: Path) -> None:
    source = shard(tmp_path, *GERMAN, ("2.json", b'{"de": "Nein", "en": "No"}'), ("x" * 150 + ".de.txt", b"lang"))
    raw, chance = source["path"].read_bytes(), random.Random(7)
    for _ in range(300):
        changed = bytearray(raw)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(300)] = chance.choice([0, 0x20, 0x37, 0x80, 0xFF, chance.randrange(256)])
        source["path"].write_bytes(changed)
        try:
            read_source(source, ["de"])
        except CorpusError as error:
            assert "a.tar" in str(error)
