"""`/translate_file`, what is kept for download, suggestions, and API keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deploy.test_server_clients import GERMAN, Marks, Watched, multipart
from tests.helpers.running_server import Answer, ask, running

from neuronspec.core.errors import PathError
from neuronspec.deploy.server.keys import Key, Keys
from neuronspec.deploy.server.limits import Limits
from neuronspec.deploy.server.schemas import Refused
from neuronspec.deploy.server.serve import serve
from neuronspec.deploy.server.uploads import Downloads, translated_name

PO = b'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Save"\nmsgstr ""\n'
XLIFF = b"""<?xml version="1.0"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2"><file original="a" source-language="en"
 target-language="de" datatype="plaintext"><body>
<trans-unit id="1"><source>Save <g id="1">the file</g> now</source></trans-unit></body></file></xliff>"""
EN_DE = [("source", "en"), ("target", "de")]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(Marks("en-de", "de-en"), characters=100, document=3000) as address:
        yield address


def sent(url: str, name: str, content: bytes, fields: list[tuple[str, str]] = EN_DE) -> Answer:
    return ask(f"{url}/translate_file", *multipart(fields, {"file": (name, content)}))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"one\r\n\r\n\ttwo", "en>de:one\r\n"),
        ("a.po", PO, 'msgid "Save"\nmsgstr "en>de:Save"\n'),
        ("a.xlf", XLIFF, ' <g id="1">the file</g> now</target>'),
        ("Ä ö.jsonl", b'{"text": "Save"}\n', '"translation": "en>de:Save"'),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nSave\n", "00:00:02,000\nen>de:Save\n"),
        ("a.html", b"<p title='x'>Save <b>the file</b> now", "<p title='en&gt;de:x'>en&gt;de:Save <b>the file</b> now"),
        ("Strings.xml", b"<resources><string>Save</string></resources>", "<string>en&gt;de:Save</string>"),
        ("a.json", b'\xef\xbb\xbf{"a": "Save"}', '\ufeff{"a": "en>de:Save"}'),
        ("a.txt", b"\xef\xbb\xbfSave", "\ufeffen>de:Save"),
    ],
)
def test_a_file_comes_back_in_its_format(url: str, name: str, content: bytes, expected: str) -> None:
    answer = sent(url, name, content)
    assert answer.status == 200, answer.body
    link = answer.json["translatedFileUrl"]
    assert link.startswith(f"{url}/download_file/"), "absolute, as LibreTranslate's"
    fetched = ask(link)
    assert fetched.status == 200 and expected in fetched.body.decode()
    stem, _, ending = name.rpartition(".")
    assert "attachment" in fetched.headers["content-disposition"]
    assert stem != "a" or f'filename="a.de.{ending}"' in fetched.headers["content-disposition"]
    assert ask(link, method="HEAD").body == b""
    assert ask(f"{url}/download_file/nothing").status == 404
    assert ask(f"{url}/download_file/../page.html").status == 404


def test_a_column_of_a_table_is_translated(url: str) -> None:
    table = b"id,title\n1,Save\n"
    answer = sent(url, "a.csv", table)
    assert answer.status == 400 and "a.csv has 2 columns" in answer.json["error"]
    assert "say with the field 'column' which one" in answer.json["error"] and "--" not in answer.json["error"]
    for source in ("en", "auto"):
        answer = sent(url, "a.csv", table, [("source", source), ("target", "de"), ("column", "title")])
        assert ask(answer.json["translatedFileUrl"]).body == b"id,title,translation\n1,Save,en>de:Save\n"
    assert sent(url, "a.csv", table, [*EN_DE, ("column", "none")]).status == 400
    assert sent(url, "a.txt", b"Save", [*EN_DE, ("column", "")]).status == 200


def test_a_long_file_is_translated_piece_by_piece_in_order(url: str) -> None:
    text = "".join(f"line {number}\n" for number in range(100))
    link = sent(url, "a.txt", text.encode()).json["translatedFileUrl"]
    assert ask(link).body.decode() == "".join(f"en>de:line {number}\n" for number in range(100))


def test_the_language_of_a_file_is_detected(url: str) -> None:
    link = sent(url, "a.txt", GERMAN.encode(), [("source", "auto"), ("target", "en")]).json["translatedFileUrl"]
    assert ask(link).body.decode() == f"de>en:{GERMAN}"
    link = sent(url, "a.txt", b"x", [("source", "de"), ("target", "de")]).json["translatedFileUrl"]
    assert ask(link).body == b"x"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "a.po",
            "# This catalog was made by people who write their comments in English, at some length.\n"
            'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n#. shown at the top of the page\n'
            'msgid "Änderungen wurden gespeichert"\nmsgstr ""\n',
        ),
        ("a.json", '{"the_changes_have_been_saved": "Änderungen wurden gespeichert"}'),
        ("strings.xml", '<resources><string name="title_of_this_page">Änderungen gespeichert</string></resources>'),
        ("a.xlf", XLIFF.decode().replace('"de"', '"fr"').replace('"en"', '"de"').replace('"fr"', '"en"')),
        ("a.html", '<html lang="de"><!-- some words in English, and more of them here --><p>Save</p></html>'),
        ("b.html", '<html class="some words in English and more of them"><p>Änderungen gespeichert</p></html>'),
    ],
    ids=["po", "json", "android", "xliff says", "html says", "html"],
)
def test_the_language_of_a_file_is_that_of_its_texts(url: str, name: str, content: str) -> None:
    """Markup, keys and comments are in English, mostly."""
    answer = sent(url, name, content.encode(), [("source", "auto"), ("target", "en")])
    assert answer.status == 200, answer.body
    found = ask(answer.json["translatedFileUrl"]).body.decode()
    assert "de>en:" in found or "de&gt;en:" in found


def test_a_damaged_file_of_an_unknown_language_is_told(url: str) -> None:
    answer = sent(url, "a.xlf", b"<xliff", [("source", "auto"), ("target", "en")])
    assert answer.status == 400 and "a.xlf:1" in answer.json["error"]


@pytest.mark.parametrize(
    ("name", "content", "fields", "status", "message"),
    [
        ("a.exe", b"x", EN_DE, 400, "files that end in .exe aren't supported; supported: .txt, .po"),
        ("a", b"x", EN_DE, 400, "names have no ending aren't supported"),
        ("a.txt", b"\xff", EN_DE, 400, "a.txt"),
        ("a.po", b"nonsense", EN_DE, 400, "a.po"),
        ("a.xlf", XLIFF.replace(b"the file", b"<g>" * 400 + b"x" + b"</g>" * 400), EN_DE, 400, "nested too deeply"),
        ("a.txt", b"x" * 9000, EN_DE, 413, "a file of 3000 bytes"),
        ("a.txt", b"x", [("source", "en"), ("target", "fr")], 400, "'fr' is not among"),
        ("a.txt", b"x", [("target", "de")], 400, "source is missing"),
    ],
)
def test_files_that_are_refused(
    url: str, name: str, content: bytes, fields: list[tuple[str, str]], status: int, message: str
) -> None:
    answer = sent(url, name, content, fields)
    assert answer.status == status and message in answer.json["error"]


def test_a_slash_at_the_end_makes_no_difference_to_limits(url: str) -> None:
    limits = Limits(characters=1, texts=1, document=50_000)
    assert limits.body("/translate_file/") == limits.body("/translate_file") > limits.body("/translate")
    refused = ask(f"{url}/translate_file/", *multipart(EN_DE, {"file": ("a.txt", b"x" * 30_000)}))
    assert refused.status == 413 and "a file of 3000 bytes" in refused.json["error"]


def test_without_a_file_nothing_is_translated(url: str) -> None:
    answer = ask(f"{url}/translate_file", *multipart([*EN_DE, ("file", "text")]))
    assert answer.status == 400 and "file is missing" in answer.json["error"]
    assert ask(f"{url}/translate_file", {"source": "en", "target": "de"}).status == 400


def test_bytes_of_a_file_arrive_as_they_are(url: str) -> None:
    content = b"--xyz-\r\r\n\n--xy\r\n"
    assert (
        ask(sent(url, "a.txt", content, [("source", "de"), ("target", "de")]).json["translatedFileUrl"]).body == content
    )


def test_a_file_that_takes_too_long_is_given_up() -> None:
    stuck = Watched()
    with running(stuck, document_seconds=0.3) as address:
        answer = sent(address, "a.txt", b"stuck")
        assert answer.status == 504 and "more than 0.3 seconds" in answer.json["error"]
        assert stuck.dropped.wait(10), "the engine is free again"
        assert ask(sent(address, "a.txt", b"x").json["translatedFileUrl"]).body == b"en>de:x"


def test_what_is_kept_is_bounded_in_size_and_age(tmp_path: Path) -> None:
    now = [0.0]
    kept = Downloads(tmp_path, Limits(kept_bytes=10, kept_seconds=60), clock=lambda: now[0])
    first, second = kept.add("a", b"12345"), kept.add("b", b"12345")
    assert kept.get(first) is not None and kept.get(second) is not None
    third = kept.add("c", b"1")
    assert kept.get(first) is None and kept.get(second) is not None
    with pytest.raises(Refused, match="10 are kept at most"):
        kept.add("d", b"x" * 11)
    now[0] = 61.0
    kept.tidy()
    assert kept.get(second) is None and kept.get(third) is None and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.txt", "a.de.txt"), ("../../etc/a.po", "a.de.po"), ("C:\\x\\a.b.po", "a.b.de.po"), ("Ä.txt", "Ä.de.txt")],
)
def test_names_of_translated_files(name: str, expected: str) -> None:
    assert translated_name(name, "de") == expected


def test_suggestions_are_refused_unless_a_file_is_named(url: str, tmp_path: Path) -> None:
    body = {"q": "Save", "s": "Sichern", "source": "en", "target": "de"}
    answer = ask(f"{url}/suggest", body)
    assert answer.status == 403 and "disabled" in answer.json["error"]
    assert ask(f"{url}/frontend/settings").json["suggestions"] is False
    file = tmp_path / "suggestions.jsonl"
    with running(Marks("en-de"), suggestions=file) as address, ThreadPoolExecutor(8) as pool:
        assert ask(f"{address}/frontend/settings").json["suggestions"] is True
        answers = list(pool.map(lambda _: ask(f"{address}/suggest", body | {"target": "deu_Latn"}).json, range(20)))
        assert answers == [{"success": True}] * 20
        assert ask(f"{address}/suggest", body | {"s": ""}).status == 400
    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == [body] * 20


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def test_keys_open_the_server_and_have_limits_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    entries = [
        {"name": "few", "sha256": hashed("secret-1"), "requests": 2},
        {"name": "long", "sha256": hashed("secret-2"), "characters": 50},
    ]
    file.write_text(json.dumps(entries), "utf-8")
    with running(Marks("en-de"), keys=Keys.load(file), characters=10) as address:
        body = {"q": "a", "source": "en", "target": "de"}
        for path, asked in (
            ("translate", body),
            ("detect", {"q": "a"}),
            ("suggest", body | {"s": "b"}),
        ):
            for key in ({}, {"api_key": None}, {"api_key": ""}, {"api_key": "wrong"}, {"api_key": hashed("secret-1")}):
                answer = ask(f"{address}/{path}", asked | key)
                assert answer.status == 403 and "key" in answer.json["error"].lower()
        assert sent(address, "a.txt", b"x").status == 403
        settings = ask(f"{address}/frontend/settings").json
        assert (settings["apiKeys"], settings["keyRequired"]) == (True, True)
        assert ask(f"{address}/languages").status == 200
        few = [ask(f"{address}/translate?api_key=secret-1&q=a&source=en&target=de", b"", "") for _ in range(3)]
        assert [answer.status for answer in few] == [200, 200, 429]
        assert int(few[2].headers["retry-after"]) in range(1, 31) and "2 requests a minute" in few[2].json["error"]
        long = body | {"q": "x" * 40, "api_key": "secret-2"}
        assert ask(f"{address}/translate", long).status == 200
        assert ask(f"{address}/translate", long | {"q": "x" * 51}).status == 413
        assert sent(address, "a.txt", b"x", [*EN_DE, ("api_key", "secret-2")]).status == 200


def test_keys_that_nobody_could_use_name_their_file(tmp_path: Path) -> None:
    twice = [{"name": "a", "sha256": hashed("k")}, {"name": "b", "sha256": hashed("k")}]
    for entries, message in (([], "keys.json has no key"), (twice, "keys.json: two API keys have the same hash")):
        (tmp_path / "keys.json").write_text(json.dumps(entries), "utf-8")
        with pytest.raises(PathError, match=message):
            Keys.load(tmp_path / "keys.json")


def test_suggestions_that_could_not_be_kept_are_told_at_the_start(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "Is a directory"), (tmp_path / "none" / "file", "No such file or directory")):
        with pytest.raises(PathError, match=f"--suggestions .* can't be written: {reason}"):
            serve(tmp_path, "127.0.0.1", 0, {}, {}, {}, suggestions=path)


def test_the_keys_of_the_page_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "keys.json").write_text(block, "utf-8")
    keys = Keys.load(tmp_path / "keys.json")
    assert (keys.admit("secret").name, keys.most_characters) == ("weblate", 50_000)


def test_requests_of_a_key_come_back_with_time() -> None:
    now = [0.0]
    keys = Keys([Key(name="a", sha256=hashed("k"), requests=2)], clock=lambda: now[0])
    keys.admit("k")
    keys.admit("k")
    with pytest.raises(Refused) as caught:
        keys.admit("k")
    assert caught.value.retry_after == 30
    now[0] = 30.0
    keys.admit("k")


@pytest.mark.parametrize(
    "content",
    [
        "[", "{}", '[{"name": "a"}]', '[{"name": "a", "sha256": "secret"}]', '[{"name": "a", "key": "secret"}]',
        json.dumps([{"name": "a", "sha256": "0" * 64}] * 2), None,
    ],
)  # fmt: skip
def test_files_that_hold_no_keys(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_text(content, "utf-8")
    with pytest.raises(PathError):
        Keys.load(file)
