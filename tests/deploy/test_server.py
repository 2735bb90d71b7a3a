"""The server: LibreTranslate's interface, limits, batching."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.running_server import ask, running
from tests.helpers.toy_corpus import toy_tokenizer
from tests.helpers.trained_toy import trained_model

import neuronspec as ns
from neuronspec.deploy.server.batcher import Batcher, QueueFull
from neuronspec.deploy.server.schemas import Refused
from neuronspec.deploy.server.spellings import Spellings
from neuronspec.translation.engine import Translations


@pytest.fixture(scope="module")
def url(exported: Path) -> Iterator[str]:
    with running(ns.Translator(exported, threads=1, beam=2, n_best=2), characters=500, texts=5) as address:
        yield address


def test_translate_as_libretranslate_does(url: str) -> None:
    one = ask(f"{url}/translate", {"q": "w1 w2", "source": "en", "target": "de", "format": "text"})
    assert (one.status, one.json["translatedText"]) == (200, "w2 w1")
    assert one.json["model"]["direction"] == "en-de"
    assert 0 < one.json["model"]["neurons"] < one.json["model"]["dense_neurons"] == 192
    assert "alternatives" not in one.json and "detectedLanguage" not in one.json
    many = ask(f"{url}/translate", {"q": ["w1 w2\n\nw3 w4", ""], "source": "en", "target": "de", "alternatives": 1})
    assert many.json["translatedText"] == ["w2 w1\n\nw4 w3", ""]
    assert [len(each) for each in many.json["alternatives"]] == [1, 0]
    framed = ask(f"{url}/translate", {"q": " w1 w2\r\n\tw3 w4\r", "source": "en", "target": "de", "alternatives": 1})
    assert framed.json["translatedText"] == " w2 w1\r\n\tw4 w3\r"
    other = framed.json["alternatives"][0]
    assert other.startswith(" ") and other.endswith("\r") and "\r\n\t" in other
    form = ask(f"{url}/translate", b"q=w1+w2&source=en&target=de", "application/x-www-form-urlencoded")
    assert form.json["translatedText"] == "w2 w1"
    same = ask(f"{url}/translate", {"q": "w1", "source": "en", "target": "en"})
    assert same.json["translatedText"] == "w1"
    spelled = ask(f"{url}/translate", {"q": "w1 w2", "source": "eng_Latn", "target": "de-DE"})
    assert spelled.json["translatedText"] == "w2 w1"


def test_html_is_translated_by_a_model(url: str) -> None:
    body = {"q": "<p>w1 <b>w2</b></p>\n<p>w3</p>", "source": "en", "target": "de", "format": "html"}
    answer = ask(f"{url}/translate", body)
    assert answer.status == 200
    found = answer.json["translatedText"]
    assert re.sub(r"</?b>", "", found) == "<p>w2 w1</p>\n<p>w3</p>" and found.count("<b>") == found.count("</b>") == 1


def test_languages_health_and_detection(url: str) -> None:
    assert ask(f"{url}/languages").json == [
        {"code": "de", "name": "German", "targets": ["en"]},
        {"code": "en", "name": "English", "targets": ["de", "fr"]},
        {"code": "fr", "name": "French", "targets": []},
    ]
    assert ask(f"{url}/health").json == {"status": "ok"}
    text = "Das ist ein deutscher Satz, und er ist lang genug."
    (found,) = ask(f"{url}/detect", {"q": text}).json
    assert found["language"] == "de" and found["confidence"] > 50
    auto = ask(f"{url}/translate", {"q": text, "source": "auto", "target": "en"})
    assert auto.json["detectedLanguage"]["language"] == "de" and auto.json["model"]["direction"] == "de-en"


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "message"),
    [
        ("translate", {"q": "w1", "source": "fr", "target": "de"}, "json", 400, "fr-de is not served; from 'fr'"),
        ("translate", {"q": "w1", "source": "xx", "target": "de"}, "json", 400, "this server has de, en, fr"),
        ("translate", {"source": "en", "target": "de"}, "json", 400, "q is missing"),
        ("translate", {"q": 5, "source": "en", "target": "de"}, "json", 400, "q is 5 and should be text"),
        ("translate", {"q": "a", "source": "en", "target": "de", "format": "rtf"}, "json", 400, "format is 'rtf'"),
        ("translate", b"{", "json", 400, "isn't valid (not JSON: Expecting property name"),
        ("translate", b'{"q": "\\ud800", "source": "en", "target": "de"}', "json", 400, "half of a surrogate"),
        ("translate", b"[" * 5000, "json", 400, "(nested more than 100 levels deep): send JSON in UTF-8"),
        ("translate", b"q=w1\xff&source=en&target=de", "x-www-form-urlencoded", 400, "send a form in UTF-8"),
        ("translate", b"q=w1%FF&source=en&target=de", "x-www-form-urlencoded", 400, "send a form in UTF-8"),
        ("detect", b"q=na%EFve", "x-www-form-urlencoded", 400, "send a form in UTF-8"),
        ("detect", {"q": ""}, "json", 400, "q is '' and should be text of at least 1 character"),
        ("detect", {}, "json", 400, "q is missing"),
        ("languages", {}, "json", 405, "Method Not Allowed"),
        ("translate", b"q", "xml", 415, "content type 'application/xml'"),
        ("translate", {"q": "w" * 501, "source": "en", "target": "de"}, "json", 413, "501 characters; send at most"),
        ("translate", {"q": ["a"] * 6, "source": "en", "target": "de"}, "json", 413, "6 texts; send at most 5"),
        ("translate", b" " * 20_000, "json", 413, "the body is over"),
        ("detect", {"q": "w" * 501}, "json", 413, "501 characters"),
        ("nothing", {}, "json", 404, "Not Found"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(url: str, path: str, body: Any, kind: str, status: int, message: str) -> None:
    answer = ask(f"{url}/{path}", body, f"application/{kind}")
    assert answer.status == status
    assert message in answer.json["error"]


def test_bodies_without_a_length_are_bounded_too(url: str) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1000

    request = urllib.request.Request(f"{url}/translate", endless(), {"Content-Type": "application/json"})
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as caught:
        urllib.request.urlopen(request, timeout=20)
    assert getattr(caught.value, "code", 413) == 413


def test_metrics_count(url: str) -> None:
    before = ask(f"{url}/metrics").body.decode()
    ask(f"{url}/translate", {"q": "w1 w2", "source": "en", "target": "fr"})
    ask(f"{url}/some/path")
    after = ask(f"{url}/metrics").body.decode()

    def value(text: str, name: str) -> float:
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    texts = 'neuronspec_texts_total{direction="en-fr"}'
    assert value(after, texts) == value(before, texts) + 1
    assert value(after, 'neuronspec_requests_total{path="other",status="404"}') >= 1
    assert value(after, "neuronspec_batch_requests_count") > value(before, "neuronspec_batch_requests_count")


def test_many_at_once_get_their_own(url: str) -> None:
    pairs = [(f"w{number % 12} w{(number + 1) % 12}", target) for number in range(60) for target in ("de", "fr")]

    def one(pair: tuple[str, str]) -> str:
        return ask(f"{url}/translate", {"q": pair[0], "source": "en", "target": pair[1]}).json["translatedText"]

    alone = [one(pair) for pair in pairs]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, pairs)) == alone


class Slow:
    """A translator that waits to be let go."""

    loaded, n_best, name = 1, 1, "slow"

    def __init__(self) -> None:
        self.directions = ["en-de"]
        self.go, self.busy = threading.Event(), threading.Event()
        self.calls: list[int] = []

    def reachable(self) -> list[str]:
        return self.directions

    def neurons(self, direction: str) -> None:
        return None

    def best_direction(self) -> str:
        return self.directions[0]

    def translate(self, lines: list[str], direction: str, progress: Any = None) -> Translations:
        self.calls.append(len(lines))
        self.busy.set()
        assert self.go.wait(20)
        return Translations([line.upper() for line in lines], nbest=[[(line.upper(), -1.0)] for line in lines])


def test_a_full_queue_is_told_and_nothing_is_lost() -> None:
    slow = Slow()
    body = {"q": "x" * 40, "source": "en", "target": "de"}
    with running(slow, queue=100) as address, ThreadPoolExecutor(12) as pool:
        first = pool.submit(ask, f"{address}/translate", body)
        assert slow.busy.wait(10)
        others = [pool.submit(ask, f"{address}/translate", body) for _ in range(8)]
        full = [each.result() for each in list(_first_done(others, 6))]
        assert [answer.status for answer in full] == [429] * 6
        assert all(answer.headers["retry-after"] == "1" and "try again" in answer.json["error"] for answer in full)
        assert ask(f"{address}/health").status == 200
        slow.go.set()
        served = [first.result(), *(each.result() for each in others if each.result().status == 200)]
        assert [answer.json["translatedText"] for answer in served] == ["X" * 40] * 3
    assert slow.calls == [1, 2], "those that waited were translated together"


def _first_done(futures: list[Any], number: int) -> Iterator[Any]:
    from concurrent.futures import as_completed

    for _, future in zip(range(number), as_completed(futures, timeout=20), strict=False):
        yield future


def test_what_takes_too_long_is_given_up() -> None:
    slow = Slow()
    with running(slow, seconds=0.2) as address:
        answer = ask(f"{address}/translate", {"q": "x", "source": "en", "target": "de"})
        slow.go.set()
        assert answer.status == 504 and "more than 0.2 seconds" in answer.json["error"]
        assert ask(f"{address}/translate", {"q": "x", "source": "en", "target": "de"}).json["translatedText"] == "X"


def test_errors_of_a_call_reach_its_requests_and_the_next_is_served() -> None:
    def broken(lines: list[str], direction: str, progress: Any) -> Translations:
        if "bad" in lines:
            raise RuntimeError("broken")
        return Translations(lines, nbest=[[] for _ in lines])

    batcher = Batcher(broken)
    with pytest.raises(RuntimeError, match="broken"):
        batcher.submit(["bad"], "en-de").result(10)
    assert list(batcher.submit(["good"], "en-de").result(10)) == ["good"]
    last = batcher.submit(["last"], "en-de")
    batcher.close()
    assert list(last.result(10)) == ["last"], "what waits is finished"
    with pytest.raises(QueueFull):
        batcher.submit(["more"], "en-de")


@pytest.mark.cli
def test_killed_in_the_middle_it_starts_again_and_ends_when_told(exported: Path) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "neuronspec",
        "serve",
        str(exported),
        "--port",
        str(port),
        "--threads",
        "1",
    ]
    body = {"q": "w1 w2", "source": "en", "target": "de"}
    for stop, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130), (signal.SIGINT, 130)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
        try:
            assert process.stderr is not None
            assert f"http://127.0.0.1:{port}/" in process.stderr.readline()
            answer = _when_up(f"http://127.0.0.1:{port}/translate", body)
            assert answer.json["translatedText"] == "w2 w1"
            process.send_signal(stop)
            assert process.wait(30) == code
            said = process.stderr.read()
            assert "Traceback" not in said
            if code == 130:
                assert said == f"stopped by {stop.name}; the requests in progress were answered\n"
        finally:
            process.kill()


def test_a_taken_port_is_told_before_anything_is_announced(exported: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "neuronspec", "serve", str(exported), "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "choose another --port" in done.stderr, done.stderr
    assert "serving" not in done.stdout + done.stderr and "Traceback" not in done.stderr


@pytest.mark.cli
def test_a_damaged_folder_is_told_and_the_others_are_served(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "exported"))
    (folder / "en-fr" / "model.bin").write_bytes(b"cut")
    command = [sys.executable, "-m", "neuronspec", "serve", str(folder), "--port", "0", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"})
    try:
        assert process.stderr is not None
        assert re.match(
            r"warning: not served: en-fr: .*model.bin is damaged: it has 3 bytes instead of", process.stderr.readline()
        )
        started = process.stderr.readline()
        assert "serving 2 directions" in started
        languages = ask(re.findall(r"http://\S+/", started)[0] + "languages").json
        assert {each["code"]: each["targets"] for each in languages} == {"de": ["en"], "en": ["de"]}
    finally:
        process.kill()


def _when_up(url: str, body: Any) -> Any:
    import time

    for _ in range(200):
        try:
            return ask(url, body)
        except urllib.error.URLError:
            time.sleep(0.05)
    raise AssertionError("the server didn't come up")


@pytest.mark.parametrize(
    ("code", "known", "found"),
    [
        ("pt-BR", ["en", "pt_BR"], "pt_BR"),
        ("por_Latn", ["en", "pt_BR"], "pt_BR"),
        ("EN-us", ["en", "pt_BR"], "en"),
        ("zho_Hans", ["zh", "zh_Hant"], "zh"),
        ("zh-TW", ["zh", "zh_Hant"], "zh_Hant"),
        ("de", ["deu_Latn"], "deu_Latn"),
    ],
)
def test_languages_as_clients_spell_them(code: str, known: list[str], found: str) -> None:
    assert Spellings(known).resolve(code) == found


@pytest.mark.parametrize(
    ("code", "known", "message"),
    [
        ("zh-TW", ["en", "zh"], "language 'zh-TW' is not among the languages; this server has zh, en"),
        ("pt", ["en", "pt_BR", "pt_PT"], "language 'pt' may mean pt_BR or pt_PT; this server has pt_"),
        ("sr-Latn", ["en", "sr"], "'sr-Latn' is not among"),
    ],
)
def test_languages_that_are_not_served_are_never_another(code: str, known: list[str], message: str) -> None:
    with pytest.raises(Refused, match=message) as caught:
        Spellings(known).resolve(code)
    assert caught.value.status == 400


def test_directions_that_a_bundle_composes_are_served(specialized: Path, tmp_path: Path) -> None:
    from neuronspec.deploy.directions import export_one_bundle

    export_one_bundle(specialized, tmp_path / "bundle", "float32", 0, None)
    for folder in (tmp_path / "bundle", specialized):
        translator = ns.Translator(folder, threads=1, beam=2)
        assert translator.directions == ["de-en", "en-de", "en-fr"]
        assert translator.reachable() == ["de-en", "de-fr", "en-de", "en-fr"]
        expected = translator("w1 w2", "de-fr")
        with running(translator) as address:
            languages = {each["code"]: each["targets"] for each in ask(f"{address}/languages").json}
            assert languages["de"] == ["en", "fr"]
            answer = ask(f"{address}/translate", {"q": "w1 w2", "source": "de", "target": "fr"})
            assert (answer.status, answer.json["translatedText"]) == (200, expected)
            assert answer.json["model"]["composed"] == ["de-en", "en-fr"]


def test_a_dense_model_folder_is_served_in_all_its_languages(tmp_path: Path) -> None:
    trained_model().save_pretrained(tmp_path)
    toy_tokenizer().save_pretrained(tmp_path)
    translator = ns.Translator(tmp_path, threads=1, beam=2)
    with running(translator) as address:
        languages = {each["code"]: each["targets"] for each in ask(f"{address}/languages").json}
        assert languages["cs"] == ["de", "en", "fr"] and set(languages) == {"cs", "de", "en", "fr"}
        answer = ask(f"{address}/translate", {"q": "w1 w2", "source": "en", "target": "de"})
        assert (answer.status, answer.json["translatedText"]) == (200, translator("w1 w2", "en-de"))


def test_what_is_given_up_leaves_the_queue_and_the_engine() -> None:
    """The engine asks after each batch whether anyone still waits."""
    going, go, steps = threading.Event(), threading.Event(), []

    def engine(lines: list[str], direction: str, progress: Any) -> Translations:
        for line in lines:
            going.set()
            assert go.wait(20)
            steps.append(line)
            progress(1)
        return Translations(lines, nbest=[[] for _ in lines])

    batcher = Batcher(engine)
    long = batcher.submit(["first", "second", "third"], "en-de")
    assert going.wait(10)
    waiting, other = batcher.submit(["never"], "en-de"), batcher.submit(["other"], "en-fr")
    before = batcher.waiting
    batcher.drop(waiting)
    assert waiting.cancelled() and batcher.waiting == before - len("never") - 1
    batcher.drop(long)
    go.set()
    assert list(other.result(10)) == ["other"]
    assert steps == ["first", "other"], "the call ended after its first batch"
    batcher.close()
