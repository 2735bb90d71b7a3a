"""A small corpus in the layout of every reader, and what can be wrong with it."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers.shards import packed, unpacked

PAIRS = [("A good day", "Grüße"), ("The door is open", "Die Tür ist offen"), ("Under bridges", "Unter fünf Brücken")]

Edit = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Case:
    """A reader's corpus of `PAIRS` and the damage that it can take.

    Args:
        write: puts rows into a folder; the settings of the source.
        damaged: the name of the file that is damaged.
        second: how the message about the second German text begins, after the file's name, if it isn't UTF-8.
        unequal: makes one side shorter; with what is read then, a number of pairs, or why it isn't. None where a row is
            one thing.
        repeated: gives rows the same id; the same. None where there are no ids.
        endless: writes text of a gigabyte without an end of a line or row; with the beginning of the message.
    """

    write: Callable[[Path, Sequence[tuple[str, str]]], dict[str, Any]]
    damaged: str
    second: str
    unequal: tuple[Edit, int | str] | None
    repeated: tuple[Edit, int | str] | None
    endless: tuple[Edit, str]


def content(path: Path) -> bytes:
    """The bytes of a file, decompressed."""
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def put(path: Path, raw: bytes) -> None:
    """Write a file, compressed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def edited(change: Callable[[str], str]) -> Edit:
    """Changes the text of a file."""
    return lambda path: put(path, change(content(path).decode()).encode())


GIGABYTE = 2**30


def endless(first: str) -> Edit:
    """A file that goes on with a gigabyte of one letter; on the disk it is small."""

    def write(path: Path) -> None:
        if path.suffix == ".gz":  # streams that are joined are one
            path.write_bytes(gzip.compress(first.encode()) + gzip.compress(b"a" * 2**20) * (GIGABYTE // 2**20))
            return
        with path.open("wb") as file:
            file.write(first.encode())
            file.truncate(GIGABYTE)  # zeros that aren't stored

    return write


def without_last_line(text: str) -> str:
    """All lines but the last."""
    return text[: text.rindex("\n", 0, -1) + 1]


def without_last_cell(text: str) -> str:
    """The text without the last cell of the last line."""
    return re.sub(r"[\t,][^\t,]*\n$", "\n", text)


def with_ids(delimiter: str) -> Edit:
    """Give a table a column of ids that are all the same."""
    lines = ("\n7" + delimiter).join
    return edited(lambda text: f"id{delimiter}" + lines(text.splitlines()) + "\n")


def lines_of(texts: Sequence[str]) -> bytes:
    """A file of lines."""
    return "".join(f"{text}\n" for text in texts).encode()


def table(name: str, delimiter: str) -> Callable[[Path, Sequence[tuple[str, str]]], dict[str, Any]]:
    """Writes a table."""

    def write(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        put(folder / name, lines_of([delimiter.join(row) for row in [("en", "de"), *pairs]]))
        return {"path": str(folder / name)}

    return write


def sides(pattern: str, **settings: Any) -> Callable[[Path, Sequence[tuple[str, str]]], dict[str, Any]]:
    """Writes a file for each language, aligned line by line; `{}` is the language."""

    def write(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        for tag, texts in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
            put(folder / pattern.replace("{}", tag), lines_of(texts))
        return {"path": str(folder)} | settings

    return write


def moses(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Compressed files, one for each language."""
    return sides("text.{}.gz")(folder, pairs) | {"path": str(folder / "text.{lang}.gz")}


def ntrex(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The source and its reference."""
    put(folder / "newstest2019-src.eng.txt", lines_of([pair[0] for pair in pairs]))
    put(folder / "newstest2019-ref.deu.txt", lines_of([pair[1] for pair in pairs]))
    return {"path": str(folder)}


def wmt(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The cache of sacreBLEU."""
    for field, texts in zip(("src", "ref"), zip(*pairs, strict=True), strict=True):
        put(folder / f"wmt17.en-de.{field}", lines_of(texts))
    return {"path": str(folder), "sets": ["wmt17"]}


def flores(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The layout of FLORES+."""
    for tag, texts in zip(("eng_Latn", "deu_Latn"), zip(*pairs, strict=True), strict=True):
        rows = [json.dumps({"id": number, "text": text}, ensure_ascii=False) for number, text in enumerate(texts)]
        put(folder / "devtest" / f"{tag}.jsonl", lines_of(rows))
    return {"path": str(folder)}


def jsonl(name: str) -> Callable[[Path, Sequence[tuple[str, str]]], dict[str, Any]]:
    """Writes an object per line."""

    def write(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        rows = [json.dumps({"en": english, "de": german}, ensure_ascii=False) for english, german in pairs]
        put(folder / name, lines_of(rows))
        return {"path": str(folder)}

    return write


def shard(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A compressed tar file with two files for each pair."""
    files = [
        (f"00{number}.{tag}.txt", text.encode())
        for number, (english, german) in enumerate(pairs)
        for tag, text in (("de", german), ("en", english))
    ]
    put(folder / "a.tar.gz", packed(files))
    return {"path": str(folder)}


def repacked(change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Edit:
    """Changes the files of a tar file, or leaves them out."""
    return lambda path: put(path, packed(filter(None, (change(*each) for each in unpacked(path)))))


def endless_member(path: Path) -> None:
    """A tar file with a text of a gigabyte."""
    member = tarfile.TarInfo("000.de.txt")
    member.size = GIGABYTE
    endless(member.tobuf().decode())(path)


def parquet(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A Parquet file."""
    pq.write_table(
        pa.table({"en": [pair[0] for pair in pairs], "de": [pair[1] for pair in pairs]}), folder / "a.parquet"
    )
    return {"path": str(folder)}


def with_equal_ids(path: Path) -> None:
    """Give a Parquet file a column of ids that are all the same."""
    found = pq.read_table(path)
    pq.write_table(found.append_column("id", pa.array([7] * len(found))), path)


LARGE = 2**26


def large_text(path: Path) -> None:
    """A text that is much smaller on the disk, among rows enough for its size."""
    texts = pa.array(["a" * LARGE, *["b"] * 200], pa.large_string())
    table = pa.table({"en": texts, "de": ["b"] * len(texts)})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def tmx(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A translation memory, a unit per line."""
    units = [
        f'<tu tuid="{number}"><tuv xml:lang="en"><seg>{escape(english)}</seg></tuv>'
        f'<tuv xml:lang="de"><seg>{escape(german)}</seg></tuv></tu>'
        for number, (english, german) in enumerate(pairs)
    ]
    put(folder / "a.tmx.gz", lines_of(['<tmx version="1.4"><header/><body>', *units, "</body></tmx>"]))
    return {"path": str(folder)}


XLIFF = '<xliff version="1.2"><file source-language="en" target-language="de"><body>'


def xliff(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A localisation file, a unit per line."""
    units = [
        f'<trans-unit id="{number}"><source>{escape(english)}</source><target>{escape(german)}</target></trans-unit>'
        for number, (english, german) in enumerate(pairs)
    ]
    put(folder / "a.xlf.gz", lines_of([XLIFF, *units, "</body></file></xliff>"]))
    return {"path": str(folder)}


def tatoeba(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A test set of the Tatoeba challenge."""
    put(folder / "test.deu-eng.txt.gz", lines_of([f"eng\tdeu\t{english}\t{german}" for english, german in pairs]))
    return {"path": str(folder)}


def iwslt(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A test set of IWSLT, a sentence per line."""
    for tag, texts in zip(("en", "de"), zip(*pairs, strict=True), strict=True):
        segments = [f'<seg id="{number}">{escape(text)}</seg>' for number, text in enumerate(texts)]
        whole = ['<mteval><refset><doc docid="1">', *segments, "</doc></refset></mteval>"]
        put(folder / f"IWSLT17.TED.tst2010.de-en.{tag}.xml", lines_of(whole))
    return {"path": str(folder), "parts": ["tst2010"]}


def endless_segment(path: Path) -> None:
    """Letters without an end; expat takes no zeros."""
    with path.open("wb") as file:
        file.write(b'<mteval><seg id="0">')
        for _ in range(16):
            file.write(b"a" * 2**20)


def catalogs(folder: Path, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A message catalog."""
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
    entries = [f'msgid "{english}"\nmsgstr "{german}"\n' for english, german in pairs]
    put(folder / "de.po", "\n".join([head, *entries]).encode())
    return {"path": str(folder)}


SHORTER = edited(without_last_line)
SAME_IDS = edited(lambda text: re.sub(r'(id="|"id": )\d+', r"\g<1>7", text))
BAD_UTF8 = "not valid UTF-8"
LONG_LINE = "a line of more than 1 MiB"
LONG_UNIT = "a unit, tag or comment of more than 4 MiB"

CASES: Mapping[str, Case] = {
    "tsv": Case(
        table("a.tsv.gz", "\t"), "a.tsv.gz", f":3: {BAD_UTF8}",
        (edited(without_last_cell), ":4: 1 cells, expected 2"), (with_ids("\t"), 3),
        (endless("en\tde\n"), f":2: {LONG_LINE}"),
    ),
    "csv": Case(
        table("a.csv.gz", ","), "a.csv.gz", f":3: {BAD_UTF8}",
        (edited(without_last_cell), ":4: 1 cells, expected 2"), (with_ids(","), 3),
        (endless('en,de\n"'), f":2: {LONG_LINE}"),
    ),
    "jsonl": Case(
        jsonl("a.jsonl.gz"), "a.jsonl.gz", f":2: {BAD_UTF8}",
        (edited(lambda text: re.sub(r', "de": [^,]*}\n$', "}\n", text)), 2),
        (edited(lambda text: text.replace("{", '{"id": 7, ')), 3),
        (endless('{"en": "a", "de": "b"}\n{"en": "'), f":2: {LONG_LINE}"),
    ),
    "hf": Case(
        jsonl("train.jsonl.gz"), "train.jsonl.gz", ", split train: row 2: the text in de is not valid UTF-8",
        (edited(lambda text: re.sub(r', "de": [^,]*}\n$', "}\n", text)), 2),
        (edited(lambda text: text.replace("{", '{"id": 7, ')), 3),
        (endless('{"en": "a", "de": "b"}\n{"en": "'), ":2: a line of more than 64 MiB"),
    ),
    "webdataset": Case(
        shard, "a.tar.gz", ": 001.de.txt: not valid UTF-8",
        (repacked(lambda name, raw: None if "2.de" in name else (name, raw)), 2),
        (repacked(lambda name, raw: (re.sub(r"00\d", "007", name), raw)), ": 007.de.txt: its sample has this file"),
        (endless_member, ": 000.de.txt: a file of more than 1 MiB"),
    ),
    "parquet": Case(
        parquet, "a.parquet", ": row 2: the text in de is not valid UTF-8",
        None, (with_equal_ids, 3), (large_text, ": row group 1: 67,"),
    ),
    "moses": Case(
        moses, "text.de.gz", f":2: {BAD_UTF8}", (SHORTER, " has 2 lines"), None, (endless("a\n"), f":2: {LONG_LINE}"),
    ),
    "opus100": Case(
        sides("opus.de-en-train.{}.gz", part="train"), "opus.de-en-train.de.gz", f":2: {BAD_UTF8}",
        (SHORTER, " has 2 lines"), None, (endless("a\n"), f":2: {LONG_LINE}"),
    ),
    "ntrex": Case(
        ntrex, "newstest2019-ref.deu.txt", f":2: {BAD_UTF8}", (SHORTER, " has 2 lines"), None,
        (endless("a\n"), f":2: {LONG_LINE}"),
    ),
    "wmt": Case(
        wmt, "wmt17.en-de.ref", f":2: {BAD_UTF8}", (SHORTER, " has 2 lines"), None,
        (endless("a\n"), f":2: {LONG_LINE}"),
    ),
    "flores": Case(
        flores, "devtest/deu_Latn.jsonl", f":2: {BAD_UTF8}",
        (SHORTER, " don't have the same sentences: number 3"), (SAME_IDS, " don't have the same sentences: number 1"),
        (endless(""), f":1: {LONG_LINE}"),
    ),
    "tatoeba": Case(
        tatoeba, "test.deu-eng.txt.gz", f":2: {BAD_UTF8}", (edited(without_last_cell), ":3: 3 cells, expected 4"), None,
        (endless("eng\tdeu\ta\tb\n"), f":2: {LONG_LINE}"),
    ),
    "tmx": Case(
        tmx, "a.tmx.gz", ":3: not XML",
        (edited(lambda text: re.sub(r'<tuv xml:lang="de">.*Brücken.*</tuv>', "", text)), 2), (SAME_IDS, 3),
        (endless('<tmx><body>\n<tu><tuv xml:lang="en"><seg>'), f":2: {LONG_UNIT}"),
    ),
    "xliff": Case(
        xliff, "a.xlf.gz", ":3: not XML",
        (edited(lambda text: re.sub("<target>.*Brücken.*</target>", "", text)), 2), (SAME_IDS, 3),
        (endless(XLIFF + "\n<trans-unit><source>"), f":2: {LONG_UNIT}"),
    ),
    "iwslt": Case(
        iwslt, "IWSLT17.TED.tst2010.de-en.de.xml", ":3: not XML",
        (edited(lambda text: re.sub(r"<seg.*Brücken</seg>", "", text)), " ends"), (SAME_IDS, ":2 is sentence 7"),
        (endless_segment, f":1: {LONG_UNIT}"),
    ),
    "catalogs": Case(
        catalogs, "de.po", ":8: not valid utf-8",
        (edited(lambda text: re.sub('".*Brücken"', '""', text)), 2),
        (edited(lambda text: text + '\nmsgid "A good day"\nmsgstr "Moin"\n'), 3),
        (endless('msgid "'), f":1: {LONG_LINE}"),
    ),
}  # fmt: skip
"""By reader."""
