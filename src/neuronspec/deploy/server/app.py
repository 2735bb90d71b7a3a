"""The server's application: LibreTranslate's paths, health, metrics, and the page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException

import neuronspec
from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.errors import DirectionError, NeuronspecError
from neuronspec.core.languages import name_of
from neuronspec.deploy.server.batcher import Batcher, QueueFull
from neuronspec.deploy.server.counters import Metrics
from neuronspec.deploy.server.limits import Guard, Limits
from neuronspec.deploy.server.schemas import (
    Detected,
    DetectRequest,
    Error,
    Health,
    Refused,
    Served,
    SupportedLanguage,
    TranslateRequest,
    TranslateResponse,
    body_schema,
    parsed,
    resolve,
)
from neuronspec.deploy.translator import Translator
from neuronspec.models.text_cleaning import Lines, framed
from neuronspec.scoring.langid import Detector
from neuronspec.translation.engine import Translations

PAGE = Path(__file__).with_name("page.html")
PATHS = {"/", "/translate", "/languages", "/detect", "/health", "/metrics"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is wrong, or the languages aren't served."},
    413: {"model": Error, "description": "The text is over the limit."},
    415: {"model": Error, "description": "The body is of another type."},
    429: {"model": Error, "description": "Too much is waiting; try again after `Retry-After` seconds."},
    504: {"model": Error, "description": "It took too long."},
}


def create_app(translator: Translator, limits: Limits | None = None) -> FastAPI:
    """The application of a server.

    Args:
        translator: what translates; its `settings.n_best` bounds `alternatives`.
        limits: of requests.
    """
    server = Server(translator, limits or Limits())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.batcher.close, server.limits.seconds)

    app = FastAPI(
        title="neuronspec",
        version=neuronspec.__version__,
        description="Translation by models whose neurons specialize. The paths and fields are those of LibreTranslate.",
        lifespan=lifespan,
    )
    app.state.server = server
    app.add_middleware(Guard, limits=server.limits, metrics=server.metrics, paths=PATHS)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    _add_routes(app, server)
    return app


def _add_routes(app: FastAPI, server: Server) -> None:
    @app.post(
        "/translate", response_model=TranslateResponse, response_model_exclude_none=True, responses=_REFUSALS,
        openapi_extra=body_schema(TranslateRequest),
    )  # fmt: skip
    async def translate(request: Request) -> TranslateResponse:
        """Translate a text or several. The body is JSON, or a form with one text."""
        return await server.translate(await parsed(request, TranslateRequest))

    @app.post("/detect", responses=_REFUSALS, openapi_extra=body_schema(DetectRequest))
    async def detect(request: Request) -> list[Detected]:
        """Tell which of the served languages a text is in."""
        wanted = await parsed(request, DetectRequest)
        server.check_size([wanted.q])
        return [server.detected(wanted.q)]

    @app.get("/languages")
    async def languages() -> list[SupportedLanguage]:
        """The languages, and what each can be translated to."""
        return server.languages

    @app.get("/health")
    async def health() -> Health:
        """Whether the server is up."""
        return Health()

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(server.metrics.text(), media_type="text/plain; version=0.0.4")

    page = PAGE.read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(page, headers=SECURITY)


class Server:
    """What the paths share: the translator, the queue, the counters."""

    def __init__(self, translator: Translator, limits: Limits) -> None:
        self.translator, self.limits = translator, limits
        self._directions = [Direction.parse(name) for name in translator.directions]
        self._codes = languages_of(self._directions)
        self._detector = Detector(self._codes)
        self.batcher = Batcher(translator.translate, queue=limits.queue, observe=self._observe)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: translator.loaded)
        self.languages = [
            SupportedLanguage(
                code=code,
                name=name_of(code),
                targets=sorted(each.target for each in self._directions if each.source == code),
            )
            for code in self._codes
        ]

    async def translate(self, wanted: TranslateRequest) -> TranslateResponse:
        """Answer a request.

        Raises:
            Refused: it can't be.
        """
        texts = [wanted.q] if isinstance(wanted.q, str) else wanted.q
        self.check_size(texts)
        detected = self.detected("\n".join(texts)) if wanted.source == "auto" else None
        source = detected.language if detected is not None else resolve(wanted.source, self._codes)
        direction = self._direction(source, resolve(wanted.target, self._codes))
        if direction is None:  # the same language
            return self._answer(wanted, texts, [[] for _ in texts], detected, Served(direction=f"{source}-{source}"))
        lines = [Lines.of(text) for text in texts]
        found = await self._wait([line for each in lines for line in each.texts], direction)
        self.metrics.texts.labels(direction).inc(len(texts))
        self.metrics.characters.labels(direction).inc(sum(map(len, texts)))
        firsts = accumulate((len(each.texts) for each in lines), initial=0)
        ranks = [_ranked(found, each, first) for each, first in zip(lines, firsts, strict=False)]
        neurons = self.translator.neurons(direction) or (None, None)
        served = Served(direction=direction, neurons=neurons[0], dense_neurons=neurons[1], composed=found.composed)
        return self._answer(wanted, [each[0] for each in ranks], [each[1:] for each in ranks], detected, served)

    def check_size(self, texts: list[str]) -> None:
        """Check that a request isn't too large.

        Raises:
            Refused: there are too many texts or characters.
        """
        if len(texts) > self.limits.texts:
            raise Refused(413, f"{len(texts)} texts; send at most {self.limits.texts} at once")
        size = sum(map(len, texts))
        if size > self.limits.characters:
            raise Refused(413, f"{size} characters; send at most {self.limits.characters} at once")

    def detected(self, text: str) -> Detected:
        """The language of a text, among those that are served.

        Raises:
            Refused: languages can't be detected here.
        """
        if not self._detector.works:
            raise Refused(400, "languages can't be detected: py3langid isn't installed; name the source language")
        language, confidence = self._detector(text)
        return Detected(confidence=round(100 * confidence, 1), language=language)

    def _direction(self, source: str, target: str) -> str | None:
        if source == target:
            return None
        direction = Direction(source, target)
        if direction not in self._directions:
            targets = [each.target for each in self._directions if each.source == source]
            raise Refused(400, f"{direction} is not served; from {source!r}: {', '.join(targets) or 'nothing'}")
        return str(direction)

    async def _wait(self, lines: list[str], direction: str) -> Translations:
        try:
            future: Future[Translations] = self.batcher.submit(lines, direction)
        except QueueFull:
            raise Refused(429, "too much is waiting; try again later", retry_after=1) from None
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.seconds)
        except TimeoutError:
            raise Refused(504, f"it took more than {self.limits.seconds:g} seconds", retry_after=5) from None
        except DirectionError as error:
            raise Refused(400, str(error)) from None
        except NeuronspecError as error:
            raise Refused(500, str(error)) from None

    def _answer(
        self,
        wanted: TranslateRequest,
        texts: list[str],
        others: list[list[str]],
        detected: Detected | None,
        served: Served,
    ) -> TranslateResponse:
        kept = [each[: wanted.alternatives] for each in others] if wanted.alternatives else None
        if isinstance(wanted.q, str):
            alternatives: Any = kept[0] if kept else None
            return TranslateResponse(
                translatedText=texts[0], alternatives=alternatives, detectedLanguage=detected, model=served
            )
        many = [detected] * len(texts) if detected is not None else None
        return TranslateResponse(translatedText=texts, alternatives=kept, detectedLanguage=many, model=served)

    def _observe(self, jobs: int, lines: int, seconds: float) -> None:
        self.metrics.observe_batch(jobs, lines, seconds)


def _ranked(found: Translations, lines: Lines, first: int) -> list[str]:
    """The translations of a text of several lines, best first: rank by rank of its lines' n-best lists.

    Args:
        found: the translations of all texts.
        lines: of this text.
        first: where its translations begin.
    """
    frames = [framed(line) for line in lines.texts]
    lists = found.nbest[first : first + len(frames)]
    ranks = max((len(best) for best in lists), default=0) or 1
    return [
        lines.joined(
            frame.around(best[min(rank, len(best) - 1)][0] if best else "")
            for frame, best in zip(frames, lists, strict=True)
        )
        for rank in range(ranks)
    ]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse({"error": error.message}, error.status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)
