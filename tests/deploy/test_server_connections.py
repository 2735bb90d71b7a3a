"""Clients that are slow, many, or leave: nobody else waits for them, and nothing of it is an error of the server."""

from __future__ import annotations

import logging
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.deploy.test_server_clients import Marks, Watched
from tests.helpers.running_server import ask, running

from neuronspec.deploy.server.posture import Posture
from neuronspec.translation.engine import Translations

BODY = {"q": "a", "source": "en", "target": "de"}
HEAD = b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def opened(url: str, content: bytes = b"") -> socket.socket:
    client = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=20)
    client.sendall(content)
    return client


def answer_of(client: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionError:
        pass
    return found


def status_counts(url: str) -> dict[str, float]:
    text = ask(f"{url}/metrics").body.decode()
    return {
        status: float(value)
        for status, value in re.findall(
            r'^neuronspec_requests_total{path="/translate",status="(\d+)"} (\S+)', text, flags=re.MULTILINE
        )
    }


@pytest.mark.parametrize("begun", [b"", b"POST /trans", HEAD])
def test_a_head_that_never_ends_is_given_up(begun: bytes) -> None:
    with running(Marks("en-de"), head_seconds=0.2) as url, opened(url, begun) as client:
        assert answer_of(client) == b""


def test_a_second_head_on_a_connection_that_never_ends_is_given_up() -> None:
    with running(Marks("en-de"), head_seconds=0.2) as url, opened(url) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /hea")
        assert b"HTTP/1.1" not in answer_of(client)


def test_a_body_that_never_ends_is_given_up() -> None:
    with running(Marks("en-de"), body_seconds=0.2) as url:
        for begun in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
            with opened(url, HEAD + begun) as client:
                answer = answer_of(client)
            assert answer.startswith(b"HTTP/1.1 408") and b"more than 0.2 seconds to arrive" in answer
        assert status_counts(url)["408"] == 2


def test_half_open_connections_hold_nobody_up() -> None:
    with running(Marks("en-de"), head_seconds=60, connections=50) as url:
        held = [opened(url, b"POST /") for _ in range(200)]
        try:
            for _ in range(20):
                assert ask(f"{url}/translate", BODY).status == 200
            assert answer_of(held[0]) == b"", "those that have waited longest make room"
        finally:
            for client in held:
                client.close()
        assert ask(f"{url}/translate", BODY).status == 200


@pytest.mark.parametrize(
    "begun", [b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n10\r\n{"], ids=["sized", "chunked"]
)
def test_a_client_that_leaves_in_its_body_is_no_error(begun: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), running(Marks("en-de")) as url:
        opened(url, HEAD + begun).close()
        counts: dict[str, float] = {}
        for _ in range(200):
            if counts := status_counts(url):
                break
        assert counts == {"499": 1}
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_client_that_leaves_frees_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    content = b'{"q": "stuck", "source": "en", "target": "de"}'
    with caplog.at_level(logging.WARNING), running(watched) as url:
        client = opened(url, HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode() + content)
        assert watched.busy.wait(10)
        client.close()
        assert watched.dropped.wait(10)
        assert ask(f"{url}/translate", BODY).json["translatedText"] == "en>de:a"
        assert status_counts(url) == {"499": 1, "200": 1}
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_fault_of_the_server_is_answered_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Faulty(Marks):
        def translate(self, lines: list[str], direction: Any, progress: Any = None) -> Translations:
            if lines == ["bad"]:
                raise RuntimeError("broken")
            return super().translate(lines, direction)

    with caplog.at_level(logging.WARNING), running(Faulty("en-de"), Posture(cors=("*",))) as url:
        answer = ask(f"{url}/translate", BODY | {"q": "bad"}, Origin="https://example.org")
        assert (answer.status, answer.json) == (500, {"error": "the server failed; its log says where"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert ask(f"{url}/translate", BODY).json["translatedText"] == "en>de:a"
        assert status_counts(url) == {"500": 1, "200": 1}
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "/translate failed" and "broken" in caplog.text


def test_a_text_that_takes_too_long_frees_the_engine() -> None:
    watched = Watched()
    with running(watched, seconds=0.2) as url:
        assert ask(f"{url}/translate", BODY | {"q": "stuck"}).status == 504
        assert watched.dropped.wait(10)
        assert ask(f"{url}/translate", BODY).json["translatedText"] == "en>de:a"


def test_clients_that_hang_at_the_end_are_no_error(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), running(Marks("en-de"), body_seconds=1.0) as url:
        idle, begun = opened(url, b"POST /"), opened(url, HEAD + b"Content-Length: 100\r\n\r\n{")
        assert ask(f"{url}/health").status == 200
    for client in (idle, begun):
        client.close()
    assert [record for record in caplog.records if record.exc_info] == []
