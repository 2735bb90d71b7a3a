"""Files that clients send to be translated, and the translations that wait to be fetched."""

from __future__ import annotations

import asyncio
import io
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import CorpusError, DirectionError, NeuronspecError, RecipeError
from neuronspec.deploy.documents.document import Options, translate_stream
from neuronspec.deploy.documents.html_text import translate_html
from neuronspec.deploy.documents.lines import Source
from neuronspec.deploy.documents.registry import SUPPORTED, known_format
from neuronspec.deploy.server.batcher import QueueFull
from neuronspec.deploy.server.bodies import Upload
from neuronspec.deploy.server.file_language import said_language, text_of
from neuronspec.deploy.server.limits import Limits
from neuronspec.deploy.server.schemas import Refused
from neuronspec.deploy.server.service import Gone, Service
from neuronspec.deploy.translator import through_lines
from neuronspec.translation.alignment import Aligned
from neuronspec.translation.engine import Translations

Result = TypeVar("Result")

TOGETHER = 2
"""Files that are translated at a time; others wait."""
TEXTS_TOGETHER = 16
"""Requests with HTML that are answered at a time."""
_RETRY = 0.1
"""Seconds after which a full queue is tried again."""


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    name: str
    size: int
    since: float


class Downloads:
    """Translated files, each under a name that can't be guessed; the oldest leave first.

    Args:
        folder: where they are; `create_app` removes it at the end.
        limits: how much is kept, and for how long.
        clock: seconds, for their age.
    """

    def __init__(self, folder: Path, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._limits, self._clock = folder, limits, clock
        self._files: OrderedDict[str, _Kept] = OrderedDict()

    def add(self, name: str, content: bytes) -> str:
        """Keep a file; returns what it is asked for by.

        Raises:
            Refused: it is larger than all that may be kept.
        """
        if len(content) > self._limits.kept_bytes:
            raise Refused(413, f"the translation has {len(content)} bytes; {self._limits.kept_bytes} are kept at most")
        token = secrets.token_urlsafe(24)
        path = self._folder / token
        path.write_bytes(content)
        self._files[token] = _Kept(path, name, len(content), self._clock())
        self.tidy()
        return token

    def get(self, token: str) -> tuple[Path, str] | None:
        """The path of a file, and its name for the client; None where it isn't, or not any more."""
        self.tidy()
        kept = self._files.get(token)
        return None if kept is None else (kept.path, kept.name)

    def tidy(self) -> None:
        """Remove what is too old or too much."""
        size = sum(each.size for each in self._files.values())
        while self._files:
            oldest = next(iter(self._files.values()))
            if size <= self._limits.kept_bytes and self._clock() - oldest.since < self._limits.kept_seconds:
                return
            self._files.popitem(last=False)
            size -= oldest.size
            oldest.path.unlink(missing_ok=True)


class Documents:
    """Translates files in their format, through the queue that all requests share.

    Args:
        service: whose queue that is.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(TOGETHER, "documents")
        self._text_threads = ThreadPoolExecutor(TEXTS_TOGETHER, "html")

    async def translate(self, file: Upload, direction: Direction, options: Options, gone: Gone) -> bytes:
        """The file with translations in it.

        Args:
            file: of a kind that `check` takes.
            direction: one that is served.
            options: see `Options`.
            gone: returns when the client has left.

        Raises:
            Refused: it isn't what its name says, can't be translated, or takes too long.
            ClientDisconnect: the client has left.
        """
        seconds = self._service.limits.document_seconds
        return await self._run(self._threads, partial(_translated, file, direction, options), seconds, gone)

    async def source(self, file: Upload, target: str, options: Options, gone: Gone) -> str:
        """The language of a file, as the model spells it.

        Args:
            file: of a kind that `check` takes.
            target: language to translate to.
            options: see `Options`.
            gone: returns when the client has left.

        Raises:
            Refused: nothing is translated to the target, or languages can't be detected here.
            ClientDisconnect: the client has left.
        """
        service, said = self._service, said_language(file)
        sources = service.sources_of(target)
        if said is not None:
            with suppress(Refused):
                own = service.spellings.resolve(said)
                if own in (*sources, target):
                    return own

        def read(queued: _Queued) -> str:
            return text_of(file, Direction(sources[0], target), service.limits.characters, options)

        text = await self._run(self._threads, read, service.limits.document_seconds, gone)
        return service.spellings.resolve(service.detected_for([text], target)[0].language)

    async def html(self, texts: list[str], direction: Direction, gone: Gone) -> list[str]:
        """Texts with HTML in them, translated.

        Raises:
            Refused: it can't be done, or takes too long.
            ClientDisconnect: the client has left.
        """
        work = partial(_in_words, lambda queued: translate_html(queued, direction, texts))
        return await self._run(self._text_threads, work, self._service.limits.seconds, gone)

    async def _run(
        self, threads: ThreadPoolExecutor, work: Callable[[_Queued], Result], seconds: float, gone: Gone
    ) -> Result:
        queued = _Queued(self._service, seconds)
        running = asyncio.get_running_loop().run_in_executor(threads, work, queued)
        leaving = asyncio.ensure_future(gone())
        try:
            both: set[asyncio.Future[Any]] = {running, leaving}
            await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            if leaving.done():
                raise ClientDisconnect
            raise _late(seconds)
        finally:
            running.cancel()
            leaving.cancel()
            queued.stop()

    def close(self) -> None:
        """Translate no more files."""
        for threads in (self._threads, self._text_threads):
            threads.shutdown(wait=False, cancel_futures=True)


def check(file: Upload) -> None:
    """Check that a file is of a kind that is translated.

    Raises:
        Refused: it has no name or another ending.
    """
    if known_format(file.name) is None:
        ending = PurePosixPath(file.name).suffix.lower()
        what = f"files that end in {ending}" if ending else "files whose names have no ending"
        raise Refused(400, f"{what} aren't supported; supported: {', '.join(SUPPORTED)}")


def translated_name(name: str, target: str) -> str:
    """What a translated file is called: `letter.de.txt` of `letter.txt`."""
    path = PurePosixPath(PurePosixPath(name.replace("\\", "/")).name)
    return f"{path.stem}.{target}{path.suffix}"


class _Queued:
    """What documents take for a translator: it sends their lines through the server's queue, piece by piece."""

    n_best = 1

    def __init__(self, service: Service, seconds: float) -> None:
        self._service, self.seconds, self._deadline = service, seconds, time.monotonic() + seconds
        self._stopped = threading.Event()
        self._running: Future[Translations] | None = None

    def __call__(self, texts: list[str], direction: DirectionLike) -> list[str]:
        return through_lines(self.translate, texts, direction)

    def translate(self, lines: Sequence[str], direction: DirectionLike) -> Translations:
        found: list[Translations] = []
        for piece in _pieces(list(lines), self._service.limits.characters):
            found.append(self._one(piece, str(direction)))
            self._service.metrics.characters.labels(str(direction)).inc(sum(map(len, piece)))
        nbest = [best for each in found for best in each.nbest]
        return Translations([line for each in found for line in each], nbest=nbest)

    def align(self, lines: Sequence[str], translations: Sequence[str], direction: DirectionLike) -> list[Aligned]:
        """As `Translator.align`: one pass of the model without a search, so it doesn't queue."""
        found: list[Aligned] = []
        for piece in _pieces(list(lines), self._service.limits.characters):
            if self._stopped.is_set():
                raise CancelledError
            own = translations[len(found) : len(found) + len(piece)]
            found += self._service.translator.align(piece, own, direction)
        return found

    def stop(self) -> None:
        self._stopped.set()
        if self._running is not None:
            self._service.batcher.drop(self._running)

    def _one(self, lines: list[str], direction: str) -> Translations:
        while not self._stopped.is_set() and time.monotonic() < self._deadline:
            try:
                self._running = self._service.batcher.submit(lines, direction)
            except QueueFull:
                self._stopped.wait(_RETRY)
                continue
            if self._stopped.is_set():  # meanwhile
                self.stop()
            return self._running.result(max(0.0, self._deadline - time.monotonic()))
        raise CancelledError


def _pieces(lines: list[str], size: int) -> list[list[str]]:
    """Consecutive lines of up to so many characters together, or one longer line."""
    pieces: list[list[str]] = []
    room = 0
    for line in lines:
        if not pieces or len(line) + 1 > room:
            pieces.append([])
            room = size
        pieces[-1].append(line)
        room -= len(line) + 1
    return pieces


def _translated(file: Upload, direction: Direction, options: Options, queued: _Queued) -> bytes:
    kind = known_format(file.name)
    assert kind is not None, "`check` takes it"
    out = io.BytesIO()
    source = Source(file.name, io.BytesIO(file.content))
    own = options.fitting(kind)
    _in_words(lambda translator: translate_stream(translator, direction, kind, source, out, own), queued)
    return out.getvalue()


def _in_words(work: Callable[[Any], Result], queued: _Queued) -> Result:
    """Do something; what goes wrong is told to the client."""
    try:
        return work(queued)
    except (CancelledError, Late):
        raise _late(queued.seconds) from None
    except (CorpusError, RecipeError, DirectionError) as error:
        raise Refused(400, str(error).replace("--column", "the field 'column'")) from None
    except RecursionError:
        raise Refused(400, "its elements are nested too deeply") from None
    except NeuronspecError as error:
        raise Refused(500, str(error)) from None


def _late(seconds: float) -> Refused:
    return Refused(504, f"it took more than {seconds:g} seconds", retry_after=5)
