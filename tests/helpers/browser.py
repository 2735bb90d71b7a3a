"""A real browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def need_browser() -> None:
    """Skip with the reason where there is no browser; in CI there must be one."""
    missing = "chromium is not installed (apt-get install chromium)" if CHROMIUM is None else ""
    try:
        import playwright  # noqa: F401
    except ImportError:
        missing = "playwright is not installed (pip install 'neuronspec[test]')"
    if missing and os.environ.get("CI"):
        pytest.fail(f"in CI pages are tested in a browser: {missing}")
    if missing:
        pytest.skip(missing)


@dataclass
class Watched:
    """A page, and what it said and asked for."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def launched() -> Iterator[Any]:
    """A running browser; playwright allows one at a time in a thread."""
    need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Any, address: Path | str, *, theme: str = "light", width: int = 1200, permissions: Sequence[str] = ()
) -> Iterator[Watched]:
    """The page in a file, opened offline, or of a server; closed afterwards."""
    offline = isinstance(address, Path)
    context = browser.new_context(
        color_scheme=theme,
        viewport={"width": width, "height": 900},
        offline=offline,
        accept_downloads=True,
        permissions=list(permissions),
    )
    watched = Watched(context.new_page())
    watched.page.set_default_timeout(20_000)
    watched.page.on("console", lambda message: watched.messages.append(f"{message.type}: {message.text}"))
    watched.page.on("pageerror", lambda error: watched.messages.append(f"error: {error}"))
    watched.page.on("request", lambda request: watched.requests.append(request.url))
    watched.page.on("dialog", lambda dialog: watched.messages.append(f"dialog: {dialog.message}"))
    try:
        watched.page.goto(address.as_uri() if isinstance(address, Path) else address)
        yield watched
    finally:
        context.close()


def downloaded(page: Any, button: Any) -> Any:
    """What a click downloads.

    Chromium 156 loses some of the downloads that are asked for within a tenth of a second of another one, which no
    person does: then the button is clicked again.
    """
    from playwright.sync_api import TimeoutError as Lost

    for _ in range(4):
        with suppress(Lost):
            with page.expect_download(timeout=5_000) as found:
                button.click()
            return found.value
    pytest.fail(f"nothing was downloaded by {button}")
