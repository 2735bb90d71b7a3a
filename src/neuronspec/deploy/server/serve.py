"""Running the server."""

from __future__ import annotations

import logging
import signal
import socket
from pathlib import Path
from typing import Any

from neuronspec.core.errors import MissingExtraError, ModelError, NeuronspecError
from neuronspec.core.signals import STOPPING, Interrupted

logger = logging.getLogger(__name__)

_DOCUMENTS = "neuronspec.deploy.documents"
"""The log of documents names what it couldn't translate: text of users, which a server doesn't log."""


def serve(
    model: Path,
    host: str,
    port: int,
    limits: dict[str, Any],
    options: dict[str, Any],
    posture: dict[str, Any],
    keys: Path | None = None,
    suggestions: Path | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C: then no new requests are taken, and those that run are answered.

    Args:
        model: a folder that `Translator` takes.
        host: address to listen at.
        port: to listen at; 0 for any that is free.
        limits: see `Limits`.
        options: of `Translator`.
        posture: see `Posture`.
        keys: file of API keys; see `Keys`.
        suggestions: file for what users suggest.

    Raises:
        MissingExtraError: fastapi, uvicorn, werkzeug or prometheus-client isn't installed.
        RecipeError: an origin in `cors`, or a name in `allowed`, is none.
        PathError: the file of keys can't be read, or isn't one; suggestions can't be appended to theirs.
        ModelError: the model can't be loaded, or serves no direction.
        NeuronspecError: the port is taken, or the address isn't this machine's.
        Interrupted: a signal came, and the requests that ran have been answered.
    """
    try:
        import uvicorn

        from neuronspec.deploy.server.app import create_app
        from neuronspec.deploy.server.connections import configured
        from neuronspec.deploy.server.keys import Keys
        from neuronspec.deploy.server.limits import Limits
        from neuronspec.deploy.server.posture import Posture, parse_host, parse_origin
        from neuronspec.deploy.server.suggestions import check_kept
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the server") from None
    from neuronspec.deploy.translator import Translator

    known = None if keys is None else Keys.load(keys)
    posture = {
        "cors": tuple(map(parse_origin, posture.get("cors", ()))),
        "allowed": tuple(map(parse_host, posture.get("allowed", ()))),
    }
    if suggestions is not None:
        check_kept(suggestions)
    translator = Translator(model, **options)
    directions = translator.reachable()
    if not directions:
        raise ModelError(f"{model} is a dense model whose tokenizer has no tags of languages: serve a specialized one")
    _tell(translator.damaged)
    bounds = Limits(**limits)
    app = create_app(translator, bounds, Posture(host, **posture), known, suggestions)
    logging.getLogger(_DOCUMENTS).setLevel(logging.WARNING)
    with _bound(host, port) as listener:
        address = f"http://{host}:{listener.getsockname()[1]}/"
        what = f"{len(directions)} directions" if len(directions) > 1 else directions[0]
        logger.info("serving %s of %s at %s (its interface: /docs)", what, model, address)
        config = configured(app, bounds, log_level="warning")
        signal.set_wakeup_fd(-1)  # nothing cuts the running requests off
        stopped: list[str] = []
        # uvicorn sends itself the signal again after it has ended in peace
        note = lambda number, frame: stopped.append(signal.Signals(number).name)  # noqa: E731
        before = {number: signal.signal(number, note) for number in STOPPING}
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if stopped:
            raise Interrupted(f"stopped by {stopped[0]}; the requests in progress were answered")


def _tell(damaged: dict[str, str]) -> None:
    """Warn of directions that aren't served, those of a folder together."""
    for problem in dict.fromkeys(damaged.values()):
        names = [name for name, found in damaged.items() if found == problem]
        logger.warning("not served: %s: %s", ", ".join(names), problem)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NeuronspecError(f"can't serve at {host}:{port}: {reason}; choose another --port or --host") from None
