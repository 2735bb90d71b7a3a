"""The server's application: its paths, its page, and what every request passes through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import neuronspec
from neuronspec.deploy.server.limits import Guard, Limits
from neuronspec.deploy.server.posture import Doorman, Posture, cors_options
from neuronspec.deploy.server.routes import add_operator_routes, add_text_routes
from neuronspec.deploy.server.schemas import Refused
from neuronspec.deploy.server.service import Service
from neuronspec.deploy.translator import Translator

PAGES = {"/": "page.html", "/docs": "docs.html"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(translator: Translator, limits: Limits | None = None, posture: Posture | None = None) -> FastAPI:
    """The application of a server.

    Args:
        translator: what translates; its `settings.n_best` bounds `alternatives`.
        limits: of requests.
        posture: from where it may be used.
    """
    limits, posture = limits or Limits(), posture or Posture()
    service = Service(translator, limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.batcher.close, limits.seconds)

    app = FastAPI(
        title="neuronspec",
        version=neuronspec.__version__,
        description="Translation by models whose neurons specialize. The paths and fields are those of LibreTranslate.",
        lifespan=lifespan,
        docs_url=None,  # its assets come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    add_text_routes(app, service)
    add_operator_routes(app, service)
    for path, file in PAGES.items():
        _add_page(app, path, file)
    paths = {getattr(route, "path", "") for route in app.routes}
    app.add_middleware(Doorman, posture=posture)
    app.add_middleware(
        Guard, limits=limits, metrics=service.metrics, label=lambda path: path if path in paths else "other"
    )
    if posture.cors:
        app.add_middleware(CORSMiddleware, **cors_options(posture.cors))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    return app


def _add_page(app: FastAPI, path: str, file: str) -> None:
    content = Path(__file__).with_name(file).read_text(encoding="utf-8")

    @app.get(path, response_class=HTMLResponse, include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(content, headers=SECURITY)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse({"error": error.message}, error.status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)
