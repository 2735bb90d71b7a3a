"""From where a server may be used: names, pages of other sites, keys; and clients that are slow or leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.test_server_clients import Marks
from tests.helpers.running_server import ask, running

from neuronspec.core.errors import RecipeError
from neuronspec.deploy.server.posture import Posture, parse_host, parse_origin
from neuronspec.deploy.server.serve import serve

BODY = {"q": "a", "source": "en", "target": "de"}
FOREIGN = "https://evil.example"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Marks("en-de")) as address:
        yield address


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:8000", "192.168.1.7", "localhost.evil.example", "[", "a b"]
)
def test_names_that_are_not_the_servers_are_refused(url: str, name: str) -> None:
    """A page can point a name of its own at this machine, and would then be of the same origin."""
    for path, body in (("languages", None), ("translate", BODY), ("translate/", BODY)):
        answer = ask(f"{url}/{path}", body, Host=name)
        assert answer.status in (400, 421)
        assert answer.status == 400 or "--allow-host" in answer.json["error"]


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.1.2.3:9", "[::1]:8000", "localhost."])
def test_names_of_this_machine_are_answered(url: str, name: str) -> None:
    assert ask(f"{url}/languages", Host=name).status == 200


@pytest.mark.parametrize(
    ("posture", "name", "status"),
    [
        (Posture(allowed=("mt.example.org",)), "mt.example.org:443", 200),
        (Posture(allowed=("mt.example.org",)), "other.example.org", 421),
        (Posture(allowed=("*",)), "anything", 200),
        (Posture(host="10.0.0.5"), "10.0.0.5:8000", 200),
        (Posture(host="10.0.0.5"), "10.0.0.6", 421),
        (Posture(host="0.0.0.0"), "10.0.0.6", 200),
        (Posture(host="0.0.0.0"), "evil.example", 421),
    ],
)
def test_names_that_are_allowed(posture: Posture, name: str, status: int) -> None:
    with running(Marks("en-de"), posture) as address:
        assert ask(f"{address}/health", Host=name).status == status


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "", "application/json"])
@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://localhost:1", "file://"])
def test_pages_of_other_sites_do_not_make_it_work(url: str, kind: str, origin: str) -> None:
    body = b"q=a&source=en&target=de" if "form" in kind else b'{"q": "a", "source": "en", "target": "de"}'
    answer = ask(f"{url}/translate", body, kind, Origin=origin)
    assert answer.status == 403 and "--cors" in answer.json["error"]
    assert "access-control-allow-origin" not in answer.headers
    assert ask(f"{url}/translate", body, kind, Sec_Fetch_Site="cross-site").status == 403


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "https://[x]"])
def test_an_origin_that_is_none_is_refused(url: str, origin: str) -> None:
    assert ask(f"{url}/translate", BODY, Origin=origin).status == 403


def test_its_own_page_and_programs_may(url: str) -> None:
    assert ask(f"{url}/translate", BODY).status == 200
    assert ask(f"{url}/translate", BODY, Origin=url, Sec_Fetch_Site="same-origin").status == 200
    behind_a_proxy = Posture(allowed=("mt.example.org",))
    with running(Marks("en-de"), behind_a_proxy) as address:
        assert ask(f"{address}/translate", BODY, Origin="https://mt.example.org").status == 200


def test_without_cors_no_page_is_told_that_it_may(url: str) -> None:
    answer = ask(f"{url}/languages", Origin=FOREIGN)
    assert answer.status == 200 and "access-control-allow-origin" not in answer.headers
    preflight = ask(f"{url}/translate", method="OPTIONS", Origin=FOREIGN, Access_Control_Request_Method="POST")
    assert preflight.status == 405 and "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize("cors", ["*", FOREIGN])
def test_cors_lets_pages_in(cors: str) -> None:
    with running(Marks("en-de"), Posture(cors=(cors,)), characters=10) as address:
        asked: dict[str, Any] = {
            "Origin": FOREIGN,
            "Access_Control_Request_Method": "POST",
            "Access_Control_Request_Headers": "content-type",
        }
        preflight = ask(f"{address}/translate", method="OPTIONS", **asked)
        assert preflight.status == 200 and preflight.headers["access-control-allow-origin"] == cors
        assert "POST" in preflight.headers["access-control-allow-methods"]
        assert "content-type" in preflight.headers["access-control-allow-headers"].lower()
        answer = ask(f"{address}/translate", BODY, Origin=FOREIGN, Sec_Fetch_Site="cross-site")
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == cors
        refused = ask(f"{address}/translate", BODY | {"q": "long enough"}, Origin=FOREIGN)
        assert refused.status == 413 and refused.headers["access-control-allow-origin"] == cors, "errors can be read"
        if cors != "*":
            assert ask(f"{address}/translate", BODY, Origin="https://other.example").status == 403


def test_nothing_redirects(url: str) -> None:
    for path in ("translate/", "languages/", "//evil.example/", "docs/", "nothing/"):
        answer = ask(f"{url}/{path}", None if "translate" not in path else BODY)
        assert answer.status in (200, 404) and "location" not in answer.headers


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("*", "*"),
        ("https://example.org", "https://example.org"),
        ("HTTPS://Example.ORG:443", "https://example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://example.org:80", "https://example.org:80"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("null", "null"),
    ],
)
def test_origins_are_read_as_browsers_send_them(given: str, sent: str) -> None:
    assert parse_origin(given) == sent


@pytest.mark.parametrize(
    "origin",
    ["https://a.b/path", "https://a.b/", "example.org", "a.b:80", "https://", "https://u@a.b", "https://ü.de", ""],
)
def test_an_origin_that_can_never_match_is_refused_at_the_start(origin: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--cors .*: not an origin: .*https://example.org") as refused:
        serve(tmp_path, "127.0.0.1", 0, {}, {}, {"cors": (origin,)})
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("*", "*"),
        ("MT.Example.org.", "mt.example.org"),
        ("192.0.2.7", "192.0.2.7"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("my_machine", "my_machine"),
    ],
)
def test_names_are_read_as_requests_send_them(given: str, known: str) -> None:
    assert parse_host(given) == known


@pytest.mark.parametrize("name", ["https://a.b", "a.b:80", "a.b/path", "*.a.b", "ü.de", "[::1]:80", "a b", ""])
def test_a_name_that_can_never_match_is_refused_at_the_start(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--allow-host .*: not a name: .*mt.example.org") as refused:
        serve(tmp_path, "127.0.0.1", 0, {}, {}, {"allowed": (name,)})
    assert refused.value.exit_code == 2
