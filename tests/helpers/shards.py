"""Tar files as WebDataset has them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def packed(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar file with these files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


def unpacked(path: Path) -> list[tuple[str, bytes]]:
    """The names and bytes of the files in a tar file."""
    with tarfile.open(path) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]


def write_samples(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """A shard with a sample for each row, every second one in files of text."""
    files: list[tuple[str, bytes]] = []
    for number, row in enumerate(rows):
        if number % 2:
            files += [(f"{number:06}.{code}.txt", text.encode()) for code, text in row.items()]
        else:
            files.append((f"{number:06}.json", json.dumps(row).encode()))
    path.write_bytes(packed(files))
