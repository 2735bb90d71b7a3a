"""Documents that are zip archives: some members are translated, the others stay."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import LARGEST
from neuronspec.deploy.documents.lines import Source

MOST_TEXT = 2**25
"""Bytes of the members that are rewritten, unpacked; a book of a thousand pages has a third of it."""

_ENCRYPTED = 0x1
_SAYS_UTF8 = 0x800
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, ValueError, OSError)
"""What `zipfile` raises where an archive is damaged, or packed in a way that it doesn't know."""


def rewrite_members(
    source: Source, stream: BinaryIO, wanted: Callable[[str], bool], rewrite: Callable[[str, bytes], bytes]
) -> None:
    """Write an archive with some members rewritten; it stays as it is, byte for byte, where none of them changes.

    All members keep their order, dates, attributes and whether they are compressed.

    Args:
        source: the archive.
        stream: where it goes.
        wanted: whether a member is rewritten, by its name.
        rewrite: makes its new content of `ARCHIVE:MEMBER`, for messages, and its content.

    Raises:
        CorpusError: it isn't a zip archive, is encrypted, damaged, too large, or has no member that is wanted.
    """
    raw = source.stream.read()
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            _check(source.name, members, wanted)
            contents = [archive.read(each) for each in members]
            comment = archive.comment
    except _UNREADABLE as problem:
        raise CorpusError(f"{source.name}: not a zip archive, as these documents are, or damaged: {problem}") from None
    changed = [
        rewrite(f"{source.name}:{each.filename}", content) if wanted(each.filename) else content
        for each, content in zip(members, contents, strict=True)
    ]
    if changed == contents:
        stream.write(raw)
        return
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.comment = comment
        for each, content in zip(members, changed, strict=True):
            each.filename = _as_written(each)
            archive.writestr(each, content)
    stream.write(out.getvalue())


def _as_written(member: zipfile.ZipInfo) -> str:
    """A name whose bytes stay: many programs write UTF-8 and don't say so, and it is read as a charset of DOS."""
    if not member.flag_bits & _SAYS_UTF8:
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode("utf-8")
    return member.filename


def _check(name: str, members: list[zipfile.ZipInfo], wanted: Callable[[str], bool]) -> None:
    if any(each.flag_bits & _ENCRYPTED for each in members):
        raise CorpusError(f"{name}: it is encrypted; save it without a password")
    if sum(each.file_size for each in members) > LARGEST:
        raise CorpusError(f"{name}: unpacked, it has more than {LARGEST // 2**20} MiB")
    if sum(each.file_size for each in members if wanted(each.filename)) > MOST_TEXT:
        raise CorpusError(f"{name}: unpacked, its text has more than {MOST_TEXT // 2**20} MiB; divide the document")
    if not any(wanted(each.filename) for each in members):
        raise CorpusError(f"{name}: a zip archive, but no document of this format")
