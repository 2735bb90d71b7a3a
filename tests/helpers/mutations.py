"""Ways to damage a file, and commands run in this process on what is left."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from typer.main import get_command

from neuronspec.cli import app

LONGEST = 20
"""Seconds that a command may take; those here take a fraction of one."""

ODD: list[Any] = [None, True, -1, 0, 10**30, 1e308, "", "x", "\0", "../../../../etc/passwd", [], [[]], {}, {"x": 1}]
"""Values that are put where others belong."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    Args:
        code: of the exit; None where it ended in an exception, or not at all.
        out, err: what it printed, without the paths of the test.
        files: what it wrote, by path.
    """

    code: int | None
    out: str
    err: str
    files: dict[str, bytes]

    def readable(self) -> bool:
        """Whether it ended as commands do: done, failed, misused or interrupted, and without a traceback."""
        return (
            self.code in (0, 1, 2, 130) and "Traceback" not in self.err and (self.code == 0 or bool(self.err.strip()))
        )


_COMMANDS = get_command(app.app)
"""What `app()` makes anew in each call, which takes as long as most commands here."""


class TooLong(BaseException):
    """A command didn't end in `LONGEST` seconds."""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def neuronspec(*arguments: object, folder: Path, out: Path | None = None, longest: int = LONGEST) -> Outcome:
    """Run a command in this process.

    Args:
        arguments: of the command.
        folder: in which everything is; its path is left out of what was printed.
        out: what the command writes, a file or folder.
        longest: seconds that it may take.
    """
    words = [str(argument) for argument in arguments]
    shown, said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    code: int | None = None
    with (
        mock.patch.object(sys, "argv", ["neuronspec", "-q", *words]),
        mock.patch.object(app, "app", _COMMANDS),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO())),
        redirect_stdout(shown),
        redirect_stderr(said),
    ):
        try:
            with _at_most(longest):
                code = app._run()
        except BaseException:  # noqa: BLE001 (whatever comes is a failure)
            said.write(traceback.format_exc())
    shown.flush()
    written = shown.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]
    place = str(folder)
    return Outcome(code, written.replace(place, "*"), said.getvalue().replace(place, "*"), _contents(out))


def _contents(out: Path | None) -> dict[str, bytes]:
    if out is None or not out.exists():
        return {}
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def damage(path: Path, how: str, draw: random.Random) -> bool:
    """Damage a file in one of the ways of `WAYS`; False where the way doesn't suit the file."""
    content = path.read_bytes()
    path.unlink()  # it may be a link to the original
    path.write_bytes(content)
    return WAYS[how](path, draw) is not False


def _missing(path: Path, draw: random.Random) -> None:
    path.unlink()


def _folder(path: Path, draw: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path, draw: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _empty(path: Path, draw: random.Random) -> None:
    path.write_bytes(b"")


def _cut(path: Path, draw: random.Random) -> None:
    os.truncate(path, draw.randrange(1, path.stat().st_size))


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def _bytes(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    place = draw.randrange(len(content))
    path.write_bytes(content[:place] + b"\xff\xfe\x00" + content[place:])


def _huge(path: Path, draw: random.Random) -> None:
    os.truncate(path, 2**29)  # sparse


def _deep(path: Path, draw: random.Random) -> bool | None:
    return _replace(path, "[" * 20_000 + "]" * 20_000)


def _other_kind(path: Path, draw: random.Random) -> bool | None:
    return _replace(path, draw.choice(["null", "[]", "5", '"text"', "{}", "[{}]", "NaN"]))


def _replace(path: Path, text: str) -> bool | None:
    if path.suffix not in (".json", ".jsonl"):
        return False
    path.write_text(text + "\n", encoding="utf-8")
    return None


def _value(path: Path, draw: random.Random) -> bool | None:
    """A value of another type or size, anywhere."""
    return _change(path, draw, lambda holder, key: holder.__setitem__(key, draw.choice(ODD)))


def _key(path: Path, draw: random.Random) -> bool | None:
    """A key or item less."""
    return _change(path, draw, lambda holder, key: holder.__delitem__(key))


def _change(path: Path, draw: random.Random, change: Callable[[Any, Any], None]) -> bool | None:
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        number = draw.randrange(len(lines))
        content = json.loads(lines[number])
    elif path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
    else:
        return False
    places = [(holder, key) for holder in _holders(content) for key in _keys(holder)]
    if not places:
        return False
    change(*draw.choice(places))
    if path.suffix == ".json":
        path.write_text(json.dumps(content), encoding="utf-8")
    else:
        lines[number] = json.dumps(content)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return None


def _holders(content: Any) -> Iterator[Any]:
    if isinstance(content, dict | list):
        yield content
        for child in content.values() if isinstance(content, dict) else content:
            yield from _holders(child)


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


WAYS: dict[str, Callable[[Path, random.Random], bool | None]] = {
    "missing": _missing,
    "folder": _folder,
    "fifo": _fifo,
    "empty": _empty,
    "cut": _cut,
    "flip": _flip,
    "bytes": _bytes,
    "huge": _huge,
    "deep": _deep,
    "other kind": _other_kind,
    "value": _value,
    "key": _key,
}
"""By name; each returns False where it doesn't suit the file."""


def copied(original: Path, folder: Path) -> Path:
    """A copy of a folder that may be damaged. What commands only replace is linked, which is faster."""
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(original, folder, symlinks=True, copy_function=_link))


def _link(source: str, target: str) -> None:
    if source.endswith((".log", ".lock", ".jsonl")):  # they are added to
        shutil.copy2(source, target)
    else:
        os.link(source, target)
