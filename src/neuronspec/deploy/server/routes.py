"""The paths of texts: LibreTranslate's, and those for whoever runs the server."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from neuronspec.deploy.documents.registry import SUPPORTED
from neuronspec.deploy.server.bodies import body_schema, parsed
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.schemas import (
    Detected,
    DetectRequest,
    Error,
    FrontendSettings,
    Health,
    Suggested,
    SuggestRequest,
    SupportedLanguage,
    TranslateRequest,
    TranslateResponse,
    WithKey,
)
from neuronspec.deploy.server.service import Service, texts_of
from neuronspec.deploy.server.suggestions import Suggestions
from neuronspec.deploy.server.uploads import Documents

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Error, "description": "The request is wrong, or the languages aren't served."},
    403: {"model": Error, "description": "An API key is missing, or a page of another site asks."},
    408: {"model": Error, "description": "The body took too long to arrive."},
    413: {"model": Error, "description": "The text is over the limit."},
    415: {"model": Error, "description": "The body is of another type."},
    421: {"model": Error, "description": "The server isn't known by that name."},
    429: {"model": Error, "description": "Too much is waiting; try again after `Retry-After` seconds."},
    500: {"model": Error, "description": "The server failed."},
    504: {"model": Error, "description": "It took too long."},
}


def add_text_routes(
    app: FastAPI, service: Service, documents: Documents, keys: Keys | None, suggestions: Suggestions
) -> None:
    """`/translate`, `/detect`, `/suggest`, and what clients ask before."""

    def admit(wanted: WithKey, texts: list[str]) -> None:
        service.check_size(texts, characters_of(keys, wanted.api_key))

    @app.post(
        "/translate", response_model=TranslateResponse, response_model_exclude_none=True, responses=REFUSALS,
        openapi_extra=body_schema(TranslateRequest),
    )  # fmt: skip
    async def translate(request: Request) -> TranslateResponse:
        """Translate a text or several: JSON, a form (`q` may be repeated), or a query string."""
        wanted = await parsed(request, TranslateRequest)
        admit(wanted, texts_of(wanted.q))
        return await service.translate(wanted, partial(left, request), documents.html)

    @app.post("/detect", responses=REFUSALS, openapi_extra=body_schema(DetectRequest))
    async def detect(request: Request) -> list[Detected]:
        """Tell which of the served languages a text, or several together, may be in, the likeliest first."""
        wanted = await parsed(request, DetectRequest)
        admit(wanted, texts_of(wanted.q))
        return service.detect(texts_of(wanted.q))

    @app.post("/suggest", responses=REFUSALS, openapi_extra=body_schema(SuggestRequest))
    async def suggest(request: Request) -> Suggested:
        """Suggest a better translation; it is kept only where the server was started with `--suggestions`."""
        wanted = await parsed(request, SuggestRequest)
        admit(wanted, [wanted.q, wanted.s])
        resolve = service.spellings.resolve
        suggestions.add(wanted, resolve(wanted.source), resolve(wanted.target))
        return Suggested()

    @app.get("/languages")
    async def languages() -> list[SupportedLanguage]:
        """The languages, and what each can be translated to."""
        return service.languages

    @app.get("/frontend/settings")
    async def frontend_settings() -> FrontendSettings:
        """What LibreTranslate's clients ask before they show themselves."""
        return settings_of(service, bool(keys), bool(suggestions))


def add_operator_routes(app: FastAPI, service: Service) -> None:
    """`/health`, `/metrics`, and the description of the interface."""

    @app.get("/health")
    async def health() -> Health:
        """Whether the server is up."""
        return Health()

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.get("/spec", include_in_schema=False)
    async def spec() -> Response:
        """The description of the interface, where LibreTranslate has it."""
        return JSONResponse(app.openapi())


def settings_of(service: Service, keys: bool, suggestions: bool) -> FrontendSettings:
    """What LibreTranslate's clients ask before they show themselves."""
    start = service.start
    return FrontendSettings(
        charLimit=service.limits.characters,
        frontendTimeout=250,
        apiKeys=keys,
        keyRequired=keys,
        suggestions=suggestions,
        supportedFilesFormat=list(SUPPORTED),
        language={"source": service.language(start.source), "target": service.language(start.target)},
        model=service.translator.name,
    )


def characters_of(keys: Keys | None, api_key: str | None) -> int | None:
    """The characters that a request with a key may have, where they differ from the server's limit; counts it.

    Raises:
        Refused: the key is missing or wrong, or has been used too often.
    """
    return keys.admit(api_key).characters if keys is not None else None


async def left(request: Request) -> None:
    """Return when the client has left; to be awaited once the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
