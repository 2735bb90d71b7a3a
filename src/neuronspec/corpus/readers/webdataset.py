"""Reader `webdataset`: shards, tar files whose consecutive files make up samples."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, ClassVar, Literal, TypeAlias

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import Pairs
from neuronspec.corpus.readers.jsonl import parse_object
from neuronspec.corpus.readers.lines import LONGEST_LINE
from neuronspec.corpus.readers.objects import FIRST, Objects, ObjectSource
from neuronspec.corpus.readers.opening import opened
from neuronspec.corpus.readers.rows import ReadCounts, Rows, Split
from neuronspec.corpus.readers.source import Wanted

_NAME = re.compile(r"(?:\./)?(?P<key>(?:.*/)?[^./][^./]*)\.(?P<field>[^/]*)", re.DOTALL)
"""The name of a file in a shard: the sample's, to the first dot, and what the file is of it."""

_CHUNK = 2**16

_File: TypeAlias = tuple[str, str, bytes]
"""A file of a shard that has text: the key of its sample, the rest of its name, and what is in it."""


class WebdatasetSource(ObjectSource):
    """Shards as WebDataset has them (`.tar`, also compressed), read from beginning to end and never unpacked.

    The files of a sample follow each other and have the same name up to the first dot: `000123.json`, an object as a
    line of `jsonl` has it, or `000123.de.txt` and `000123.en.txt`, a text each. Other files, such as `000123.jpg`, are
    left out. Links are refused.
    """

    endings: ClassVar[tuple[str, ...]] = (".tar",)
    called: ClassVar[str] = "samples"
    reader: Literal["webdataset"]

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look at the first samples of the shards.

        Raises:
            CorpusError: as of `jsonl`, or no sample of the first shard has text in two languages.
        """
        super().check(wanted, split)
        name, path = next(iter(self.files().items()))
        objects = Objects(wanted.languages, self.columns or {}, {}, ReadCounts())
        rows = next(self.rows_of_file(path, name, objects, split, FIRST), None) if path.is_file() else None
        if rows is not None and all(len(row.texts) < 2 for row in rows):
            raise CorpusError(
                f"{path}: none of its samples, such as {rows.origins[0]}, has text in two languages; the files of a "
                "sample must follow each other, as tar --sort=name packs them"
            )

    def rows_of_file(self, path: Path, name: str, objects: Objects, split: Split, size: int) -> Iterator[Rows]:
        """The samples of a shard.

        Raises:
            CorpusError: it can't be read, or a file in it is too long, no text, no object, or a link.
        """
        samples = ((key, _sample(path, files)) for key, files in groupby(_files(path), key=itemgetter(0)))
        while block := list(islice(samples, size)):
            columns = objects.columns()
            for key, sample in block:
                texts = objects.texts(sample, f"{path}: {key}", escaped=True)
                for code, column in columns.items():
                    column.append(texts.get(code) or "")
            yield Rows(columns, [f"{name}:{key}" for key, _ in block], split)


def _sample(path: Path, files: Iterable[_File]) -> Pairs:
    """What the files of a sample hold, as one object."""
    sample, size, seen = Pairs(), 0, set()
    for key, kind, raw in files:
        where = f"{path}: {key}.{kind}"
        size += len(raw) + len(kind)
        if size > LONGEST_LINE:
            raise CorpusError(f"{where}: the texts of a sample have more than {LONGEST_LINE // 2**20} MiB together")
        if kind in seen:
            raise CorpusError(f"{where}: its sample has this file twice; give each sample a name of its own")
        seen.add(kind)
        try:
            text = raw.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise CorpusError(
                f"{where}: not valid UTF-8: byte 0x{raw[error.start]:02x}, the file's byte number {error.start + 1} "
                f"({error.reason}); convert it to UTF-8, for example with iconv"
            ) from None
        if kind == "json":
            sample += parse_object(text, where, "the file")
        else:
            sample.append((kind.removesuffix(".txt"), text))
    return sample


def _files(path: Path) -> Iterator[_File]:
    """The files of a shard that may have text."""
    with opened(path) as file:
        try:
            yield from _members(path, _Forward(file))
        except (tarfile.TarError, RecursionError) as error:
            raise CorpusError(f"{path}: no tar file, or damaged: {error}; pack or download it again") from None


def _members(path: Path, file: _Forward) -> Iterator[_File]:
    archive = tarfile.TarFile(fileobj=file.allowed(), encoding="utf-8", errors="backslashreplace")  # type: ignore[arg-type]
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # or all of them would be kept
        name = _NAME.fullmatch(member.name)
        if name is not None and (name["field"] == "json" or name["field"].endswith(".txt")) and not member.isdir():
            where = f"{path}: {member.name}"
            if not member.isreg() or member.issparse():
                raise CorpusError(f"{where}: a link or a special file; pack with tar --dereference --hard-dereference")
            if member.size > LONGEST_LINE:
                raise CorpusError(f"{where}: a file of more than {LONGEST_LINE // 2**20} MiB, so this is no sentence")
            file.seek(member.offset_data)
            yield name["key"], name["field"], file.read(member.size)
        file.allowed()
    file.check_end()


class _Forward:
    """A file for `tarfile` that is read in one go, in pieces of bounded size.

    Headers may be as long as they say; compressed, one of a gigabyte is small.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._place, self._left, self._last = file, 0, 0, b""

    def allowed(self) -> _Forward:
        """Allow a header and a text to be read."""
        self._left = 2 * LONGEST_LINE
        return self

    def tell(self) -> int:
        """The place in the file, in bytes."""
        return self._place

    def read(self, size: int) -> bytes:
        """Some bytes; fewer at the end of the file."""
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError("a header is too long")
        self._last = self._file.read(size)
        self._place += len(self._last)
        return self._last

    def seek(self, place: int) -> None:
        """Go on to a place."""
        if place < self._place:
            raise tarfile.ReadError("a file has an impossible length")
        while self._place < place and (chunk := self._file.read(min(_CHUNK, place - self._place))):
            self._place += len(chunk)

    def check_end(self) -> None:
        """See that nothing is missing: `tarfile` takes a damaged header for the end, too.

        Raises:
            ReadError: what was read last isn't how a tar file ends, or there is more after it.
        """
        if len(self._last) < tarfile.BLOCKSIZE:
            raise tarfile.ReadError("it ends too early")
        if any(self._last):
            raise tarfile.ReadError(f"no header before byte {self._place}")
        while chunk := self._file.read(_CHUNK):
            if any(chunk):
                raise tarfile.ReadError(
                    "there is data after the end of the archive; it may be several tar files joined into one"
                )
