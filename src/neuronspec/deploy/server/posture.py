"""Who may ask: names of the server, pages of other sites; and spellings of paths and methods that mean the same."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from neuronspec.core.errors import RecipeError

ANY = "*"
_SAFE = ("GET", "HEAD", "OPTIONS")
_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"null|file://|[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]+)?")
"""`null` and `file://` are what pages in files send. Names are ASCII, others in Punycode."""
_HOST = re.compile(r"[a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Posture:
    """From where a server may be used.

    A page of a foreign site can point a name of its own at this machine (DNS rebinding), so only names that are known
    are answered: this machine's own ones and those that are allowed.

    Args:
        host: the address that the server listens at.
        allowed: names that it may be reached by, beside those, as `parse_host` gives them; `*` for any.
        cors: origins whose pages may use it, such as `https://example.org`, as `parse_origin` gives them; `*` for any.
    """

    host: str = "127.0.0.1"
    allowed: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()

    def answers_to(self, name: str) -> bool:
        """Whether a host name, without port, is one of the server's."""
        if ANY in self.allowed or name in (*self.allowed, self.host.lower()):
            return True
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # whoever listens at all addresses is reached by any of them; only names can be rebound
        return address.is_loopback or self.host in ("0.0.0.0", "::", "")  # noqa: S104 (compared, not bound)

    def trusts(self, headers: Headers) -> bool:
        """Whether a request that makes the server work may come from where it does; programs send no origin."""
        if ANY in self.cors:
            return True
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        try:
            page = urlsplit(origin)
        except ValueError:  # no browser sends it, so nobody needs it answered
            return False
        own = page.netloc.lower() == headers.get("host", "").lower() or _name(page.netloc) in self.allowed
        return origin in self.cors or (page.scheme in ("http", "https") and own)


def parse_origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without the port that its scheme has anyway; or `*`.

    Raises:
        RecipeError: no browser sends it, so it could never match.
    """
    origin = text.lower()
    for scheme, port in _PORTS.items():
        if origin.startswith(f"{scheme}://"):
            origin = origin.removesuffix(port)
    if origin == ANY or _ORIGIN.fullmatch(origin):
        return origin
    raise RecipeError(
        f"--cors {text}: not an origin: it has a scheme and a name, perhaps a port, and neither a path nor a slash at "
        "its end: https://example.org or http://localhost:3000 (or '*' for any)"
    )


def parse_host(text: str) -> str:
    """A name of the server as `Posture` compares it: in lower case, without brackets and the dot at its end; or `*`.

    Raises:
        RecipeError: no request names a host so, so it could never match.
    """
    name = text.lower().rstrip(".")
    if name == ANY or _HOST.fullmatch(name):
        return name
    with suppress(ValueError):
        ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]"))
        return name.removeprefix("[").removesuffix("]")
    raise RecipeError(
        f"--allow-host {text}: not a name: it has neither a scheme, a port nor a path: mt.example.org (or '*' for any)"
    )


class Doorman:
    """ASGI middleware: refuses names that aren't the server's and work for foreign pages.

    A slash at a path's end makes no difference, and HEAD is answered as GET, without the body.
    """

    def __init__(self, app: Any, posture: Posture) -> None:
        self._app, self._posture = app, posture

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), scope["method"]
        name = _name(headers.get("host", ""))
        if name and not self._posture.answers_to(name):
            text = f"this server isn't known as {name!r}: start it with --allow-host {name} to answer to that name"
            await JSONResponse({"error": text}, 421)(scope, receive, send)
            return
        if method not in _SAFE and not self._posture.trusts(headers):
            origin = headers.get("origin", "another site")
            text = f"pages of {origin} may not use this server: start it with --cors {origin} to allow them"
            await JSONResponse({"error": text}, 403)(scope, receive, send)
            return
        changed = {"path": scope["path"].rstrip("/") or "/", "method": "GET" if method == "HEAD" else method}
        await self._app({**scope, **changed}, receive, _without_body(send) if method == "HEAD" else send)


def _name(host: str) -> str:
    """A host without its port, in lower case: `::1` of `[::1]:8000`."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return host.lower()


def _without_body(send: Any) -> Any:
    async def headers_alone(message: Any) -> None:
        if message["type"] == "http.response.body":
            if not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b""})
            return
        await send(message)

    return headers_alone


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """For Starlette's `CORSMiddleware`."""
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "HEAD", "POST"],
        "allow_headers": ["Authorization", "Content-Type"],
        "max_age": 86_400,
    }
