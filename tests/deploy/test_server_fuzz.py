"""No request gives a fault of the server (5xx): fuzzed by its own description, and with files of any content."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.deploy.test_archives import W, packed, run
from tests.deploy.test_server_clients import Marks, multipart
from tests.deploy.test_server_connections import answer_of, opened
from tests.deploy.test_server_files import hashed
from tests.helpers.running_server import ask, running

import neuronspec as ns
from neuronspec.deploy.documents.registry import SUPPORTED
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.posture import Posture

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
PATHS = {
    "/translate", "/translate_file", "/download_file/{token}", "/detect", "/suggest", "/languages",
    "/frontend/settings", "/health", "/metrics",
}  # fmt: skip
SAMPLES = {
    ".po": b'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Save"\nmsgstr ""\n',
    ".tsv": b"a\tb\n1\t2\n",
    ".jsonl": b'{"text": "Save"}\n',
    ".srt": b"1\n00:00:01,000 --> 00:00:02,000\nSave <i>it</i>\nnow\n\n2\n00:00:03,000 --> 00:00:04,000\nLog in\n",
    ".vtt": b"WEBVTT\n\nNOTE a\n\n1\n00:01.000 --> 00:02.000 align:start\n<v Ann>Save <i>it</i>\n",
    ".md": b"# Save\n\n- *one* [two](a.html) `code`\n\n| a | b |\n|---|---|\n| c | d |\n\n```\nx\n```\n",
    ".json": b'{"a": {"b": "Save {name}", "c": ["one", "two"]}, "d": 1}\n',
    ".csv": b'text\n"Save ""it"""\nLog in\n',
    ".strings": b'/* a */\n"key" = "Save %@ \\"it\\"";\n',
    ".properties": b"# a\nkey = Save {0} \\\n  it\nother: \\u0041b\n",
    ".resx": b'<?xml version="1.0"?><root><data name="a" xml:space="preserve"><value>Save {0}</value></data></root>',
    "strings.xml": b'<resources><string name="a">Save <b>it</b> %1$s</string><plurals name="b"><item quantity="one">a'
    b"</item></plurals></resources>",
    ".tmx": b'<?xml version="1.0"?><tmx version="1.4"><header srclang="en"/><body><tu><tuv xml:lang="en"><seg>a <bpt '
    b'i="1">x</bpt>b<ept i="1">y</ept></seg></tuv></tu></body></tmx>',
    ".xlf": b'<?xml version="1.0"?><xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2">'
    b'<file original="a" source-language="en" target-language="de" datatype="plaintext"><body><trans-unit id="1">'
    b'<source>a <g id="1">b</g></source></trans-unit></body></file></xliff>',
}
MEMBERS = {
    ".docx": (
        "word/document.xml",
        f"<w:document {W}><w:body><w:p>{run('Save ')}{run('it')}</w:p></w:body></w:document>",
    ),
    ".pptx": ("ppt/slides/slide1.xml", '<s xmlns:a="a"><a:p><a:r><a:t>Save</a:t></a:r></a:p></s>'),
    ".odt": ("content.xml", '<o xmlns:text="t"><text:p>Save <text:span>it</text:span><text:s/></text:p></o>'),
    ".odp": ("content.xml", '<o xmlns:text="t"><text:p>Save</text:p></o>'),
    ".epub": ("a.xhtml", '<html xmlns="x" lang="en"><body><p>Save <i>it</i></p></body></html>'),
}
"""Of documents that are archives, the member with the text: it is damaged, and packed then."""
REQUEST = (
    b"POST /translate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 67\r\n"
    b'Connection: close\r\n\r\n{"q": "Save", "source": "en", "target": "de",       "api_key": "k"}\r\n'
)
DAMAGE = st.tuples(st.integers(0, 400), st.integers(0, 30), st.binary(max_size=12))


@pytest.fixture(scope="module")
def url(exported: Path) -> Iterator[str]:
    """With a model."""
    with running(ns.Translator(exported, threads=1, beam=2, n_best=2), characters=500, texts=5) as address:
        yield address


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With all that can be switched on."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "keys.json").write_text(json.dumps([{"name": "a", "sha256": hashed("k")}]), "utf-8")
    suggestions, keys = folder / "suggestions.jsonl", Keys.load(folder / "keys.json")
    with running(Marks("en-de", "de-en"), Posture(cors=("*",)), keys, suggestions, document=100_000) as address:
        yield address


def fuzz(address: str, examples: int, **given_to_all: Any) -> set[str]:
    """Ask all that the description describes; the paths of it."""
    fuzzed = set()
    for result in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        def ask_it(case: Any) -> None:
            if isinstance(case.body, dict) and given_to_all:
                case.body |= given_to_all
            case.call_and_validate(checks=CHECKS)

        ask_it()
        fuzzed.add(operation.path)
    return fuzzed


def fuzz_files(address: str, ending: str, examples: int) -> None:
    """Send whole files, damaged ones, and bytes that are none."""
    member, text = MEMBERS.get(ending, ("", "<p>Save <b>it</b></p>\n"))
    sample = SAMPLES.get(ending, text.encode())
    name = f"a{ending}" if ending.startswith(".") else ending

    @given(
        source=st.sampled_from(["en", "auto"]),
        changes=st.lists(DAMAGE, max_size=4),
        other=st.none() | st.binary(max_size=200),
    )
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    def send(source: str, changes: list[tuple[int, int, bytes]], other: bytes | None) -> None:
        content = sample if other is None else other
        fields = [("source", source), ("target", "de"), ("api_key", "k")]
        for place, length, new in changes:
            content = content[:place] + new + content[place + length :]
        if member and other is None:
            content = packed({member: content})
        answer = ask(f"{address}/translate_file", *multipart(fields, {"file": (name, content)}))
        assert answer.status in (200, 400, 413), (answer.status, answer.body, content)
        if answer.status == 200:
            assert ask(answer.json["translatedFileUrl"]).status == 200
        else:
            assert answer.json["error"]

    send()


def fuzz_bytes(address: str, examples: int) -> None:
    """Send requests that are damaged anywhere, heads included."""

    @given(changes=st.lists(DAMAGE, min_size=1, max_size=3))
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    def send(changes: list[tuple[int, int, bytes]]) -> None:
        content = REQUEST
        for place, length, new in changes:
            content = content[:place] + new + content[place + length :]
        with opened(address, content) as client:
            client.shutdown(socket.SHUT_WR)
            answer = answer_of(client)
        statuses = re.findall(rb"^HTTP/1.1 (\d\d\d)", answer, flags=re.MULTILINE)
        assert not any(status.startswith(b"5") for status in statuses), (content, answer)

    send()
    assert ask(f"{address}/health").status == 200


def test_no_request_breaks_it(url: str) -> None:
    assert fuzz(url, 20) == PATHS


def test_no_request_with_a_key_breaks_it(marks: str) -> None:
    assert fuzz(marks, 20, api_key="k") == PATHS


@pytest.mark.slow
@pytest.mark.parametrize("given_to_all", [{}, {"api_key": "k"}], ids=["keyless", "with a key"])
def test_many_requests_do_not_break_it(marks: str, given_to_all: dict[str, str]) -> None:
    assert fuzz(marks, 1000, **given_to_all) == PATHS


def test_no_bytes_break_it(marks: str) -> None:
    fuzz_bytes(marks, 60)


@pytest.mark.slow
def test_many_bytes_do_not_break_it(marks: str) -> None:
    fuzz_bytes(marks, 3000)


@pytest.mark.parametrize("ending", SUPPORTED)
def test_no_file_breaks_it(marks: str, ending: str) -> None:
    fuzz_files(marks, ending, 15)


@pytest.mark.slow
@pytest.mark.parametrize("ending", SUPPORTED)
def test_many_files_do_not_break_it(marks: str, ending: str) -> None:
    fuzz_files(marks, ending, 500)
