"""Running the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from neuronspec.errors import MissingExtraError, ModelError

GRACE = 30
"""Seconds that requests which run get to end when the server is told to stop."""


def serve(model: Path, host: str, port: int, limits: dict[str, Any], options: dict[str, Any], console: Console) -> None:
    """Serve until SIGTERM or Ctrl-C: then no new requests are taken, and those that run are answered.

    Raises:
        MissingExtraError: fastapi, uvicorn or prometheus-client isn't installed.
        ModelError: the model can't be loaded, or serves no direction.
    """
    try:
        import uvicorn

        from neuronspec.deploy.server.app import create_app
        from neuronspec.deploy.server.limits import Limits
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the server") from None
    from neuronspec.deploy.translator import Translator

    translator = Translator(model, **options)
    if not translator.directions:
        raise ModelError(f"{model} is a dense model, which says nothing about its directions: serve a specialized one")
    console.print(
        f"serving {len(translator.directions)} directions of {model} at http://{host}:{port}/ (its interface: /docs)",
        highlight=False,
        soft_wrap=True,
    )
    app = create_app(translator, Limits(**limits))
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE, server_header=False)
