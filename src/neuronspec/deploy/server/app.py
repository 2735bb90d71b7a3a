"""The server's application: its paths, its page, and what every request passes through."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

import neuronspec
from neuronspec.core.files import scratch_folder
from neuronspec.deploy.server.file_routes import DOWNLOAD, add_file_routes
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.limits import Guard, Limits
from neuronspec.deploy.server.posture import Doorman, Posture, cors_options
from neuronspec.deploy.server.routes import add_operator_routes, add_text_routes
from neuronspec.deploy.server.schemas import Refused
from neuronspec.deploy.server.service import Service
from neuronspec.deploy.server.suggestions import Suggestions
from neuronspec.deploy.server.uploads import Documents, Downloads
from neuronspec.deploy.translator import Translator

PAGES = {"/": "page.html", "/docs": "docs.html"}
STYLE = "style.css"
"""What the pages share; each names it in a comment, in whose place it is put."""
TIDY_SECONDS = 60
SECURITY = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def create_app(
    translator: Translator,
    limits: Limits | None = None,
    posture: Posture | None = None,
    keys: Keys | None = None,
    suggestions: Path | None = None,
) -> FastAPI:
    """The application of a server.

    Args:
        translator: what translates; its `settings.n_best` bounds `alternatives`.
        limits: of requests.
        posture: from where it may be used.
        keys: without one of them nothing is translated; None: no key is needed.
        suggestions: file for what users suggest; None: suggestions are refused.
    """
    limits, posture = limits or Limits(), posture or Posture()
    service = Service(translator, limits)
    documents = Documents(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with scratch_folder() as folder:
            app.state.downloads = Downloads(folder, limits)
            tidying = asyncio.create_task(_tidy(app.state.downloads))
            yield
            tidying.cancel()
            documents.close()
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
    add_text_routes(app, service, documents, keys, Suggestions(suggestions))
    add_file_routes(app, service, documents, keys)
    add_operator_routes(app, service)
    for path, file in PAGES.items():
        _add_page(app, path, file)
    paths = {getattr(route, "path", "") for route in app.routes}
    app.add_middleware(Doorman, posture=posture)
    most = replace(limits, characters=max(limits.characters, keys.most_characters if keys else 0))
    app.add_middleware(Guard, limits=most, metrics=service.metrics, label=partial(_label, paths))
    if posture.cors:
        app.add_middleware(CORSMiddleware, **cors_options(posture.cors))
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    return app


def _add_page(app: FastAPI, path: str, file: str) -> None:
    content, style = (Path(__file__).with_name(name).read_text(encoding="utf-8") for name in (file, STYLE))
    content = content.replace(f"/* {STYLE} */\n", style)
    headers = SECURITY | {"Content-Security-Policy": _policy(content)}

    @app.get(path, response_class=HTMLResponse, include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(content, headers=headers)


def _policy(page: str) -> str:
    """What a page may load and run: its own style and script, by their hashes, and this server's answers."""
    sources = []
    for tag in ("style", "script"):
        start = page.index(f"<{tag}>") + len(f"<{tag}>")
        digest = hashlib.sha256(page[start : page.index(f"</{tag}>")].encode()).digest()
        sources.append(f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'")
    return (
        f"default-src 'none'; {'; '.join(sources)}; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _label(paths: set[str], path: str) -> str:
    """The name of a path in the metrics: one of a few."""
    path = path.rstrip("/") or "/"
    if path.startswith(DOWNLOAD):
        return DOWNLOAD.rstrip("/")
    return path if path in paths else "other"


async def _tidy(downloads: Downloads) -> None:
    """Remove translated files when their time has come, even where nobody asks for anything."""
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        downloads.tidy()


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse({"error": error.message}, error.status, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)
