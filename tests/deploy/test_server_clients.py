"""What LibreTranslate's clients send: bodies of all kinds, spellings of languages, lists, detection, files."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from tests.helpers.running_server import ask, running

from neuronspec.translation.alignment import Aligned, units
from neuronspec.translation.engine import Translations

GERMAN = "Das ist ein deutscher Satz, und er ist lang genug für den Test."
FRENCH = "Ceci est une phrase en français, assez longue pour être reconnue."
RUSSIAN = "Это предложение написано на русском языке и достаточно длинное."
FORM = "application/x-www-form-urlencoded"


class Marks:
    """A translator that says what it was asked: `en>de:text`, and its further hypotheses."""

    loaded, n_best, name = 1, 3, "marks"

    def __init__(self, *directions: str) -> None:
        self.directions = list(directions)

    def reachable(self) -> list[str]:
        return self.directions

    def neurons(self, direction: str) -> tuple[int, int]:
        return 10, 20

    def best_direction(self) -> str:
        return self.directions[0]

    def translate(self, lines: list[str], direction: Any, progress: Any = None) -> Translations:
        best = [f"{str(direction).replace('-', '>')}:{line}" for line in lines]
        return Translations(best, nbest=[[(f"{line}{'!' * rank}", -1.0) for rank in range(3)] for line in best])

    def align(self, lines: list[str], translations: list[str], direction: Any) -> list[Aligned]:
        """Word by word; the mark belongs to the first."""
        pairs = [(units(source), units(target)) for source, target in zip(lines, translations, strict=True)]
        return [
            Aligned(
                source, target, np.eye(len(source))[np.maximum(0, np.arange(len(target)) - len(target) + len(source))]
            )
            for source, target in pairs
        ]


class Watched(Marks):
    """Works until nobody waits any more."""

    def __init__(self) -> None:
        super().__init__("en-de")
        self.busy, self.dropped = threading.Event(), threading.Event()

    def translate(self, lines: list[str], direction: Any, progress: Any = None) -> Translations:
        if lines != ["stuck"]:
            return super().translate(lines, direction)
        self.busy.set()
        try:
            while True:
                progress(0)
        finally:
            self.dropped.set()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    directions = ("en-de", "de-en", "fr-en", "ru-en", "en-pt_BR", "en-zh_Hant", "fr-ru")
    with running(Marks(*directions), characters=1000, texts=5) as address:
        yield address


def multipart(
    fields: list[tuple[str, str]], files: dict[str, tuple[str, bytes]] | None = None, boundary: str = "xyz"
) -> tuple[bytes, str]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    body = "".join(parts).encode()
    for name, (file, content) in (files or {}).items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        body += f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_a_query_string_with_an_empty_body(url: str) -> None:
    """What deep-translator sends."""
    query = urlencode({"q": "Save ä", "source": "en", "target": "de", "format": "text", "api_key": "x"})
    answer = ask(f"{url}/translate?{query}", b"", "")
    assert (answer.status, answer.json["translatedText"]) == (200, "en>de:Save ä")
    assert ask(f"{url}/detect?{urlencode({'q': GERMAN})}", b"", "").json[0]["language"] == "de"
    assert "q is missing" in ask(f"{url}/translate?source=en&target=de", b"", FORM).json["error"]


def test_multipart_forms(url: str) -> None:
    """What `FormData` in a browser sends."""
    body, kind = multipart([("q", "a\r\nb ü"), ("source", "en"), ("target", "de")])
    assert ask(f"{url}/translate", body, kind).json["translatedText"] == "en>de:a\r\nen>de:b ü"
    for wrong, message in (
        (body[:-20], "the body isn't valid"),
        (b"", "the body isn't valid"),
        (body.replace("ü".encode(), b"\xff"), "send a form in UTF-8"),
        (body.replace(b'name="q"', b'name="p"'), "q is missing"),
        (body.replace(b"Content-Disposition", b"Content-Nothing"), "the body isn't valid"),
    ):
        answer = ask(f"{url}/translate", wrong, kind)
        assert answer.status == 400 and message in answer.json["error"], wrong
    assert ask(f"{url}/translate", body, "multipart/form-data").status == 400
    many = [("q", "a")] * 1001
    assert ask(f"{url}/translate", *multipart([*many, ("source", "en"), ("target", "de")])).status in (400, 413)


@pytest.mark.parametrize("several", [True, False])
def test_a_field_given_several_times_is_a_batch(url: str, several: bool) -> None:
    pairs = [*[("q", text) for text in ("one", "two")[: 1 + several]], ("source", "en"), ("target", "de")]
    expected = ["en>de:one", "en>de:two"] if several else "en>de:one"
    assert ask(f"{url}/translate", urlencode(pairs).encode(), FORM).json["translatedText"] == expected
    assert ask(f"{url}/translate", *multipart(pairs)).json["translatedText"] == expected


@pytest.mark.parametrize("value", [None, "", "text"])
def test_a_format_that_says_nothing_is_text(url: str, value: Any) -> None:
    answer = ask(f"{url}/translate", {"q": "a", "source": "en", "target": "de", "format": value})
    assert (answer.status, answer.json["translatedText"]) == (200, "en>de:a")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Save", "en>de:Save"),
        ("<p>Save <b>the file</b> now</p>", "<p>en>de:Save <b>the file</b> now</p>"),
        (
            '<p class="x > y">\n  Save &amp; <A HREF="/?a=1&amp;b=2">close</A>\n</p><!-- no --><br>Log in',
            '<p class="x > y">\n  en>de:Save &amp; <A HREF="/?a=1&amp;b=2">close</A>\n</p><!-- no --><br>en>de:Log in',
        ),
        ("<script>if (a < b) {}</script><pre>x</pre>", "<script>if (a < b) {}</script><pre>x</pre>"),
        ("Run <code>ls <b></code> now", "en>de:Run <code>ls <b></code> now"),
        ("a < b", "en>de:a < b"),
        ("<p> </p>", "<p> </p>"),
        ("<b>" * 60 + "x" + "</b>" * 60, "<b>" * 60 + "en>de:x" + "</b>" * 60),
        ("<b>" * 101 + "</b>" * 100 + "x<br>y", "<b>" * 101 + "</b>" * 100 + "x<br>en>de:y"),
        ("", ""),
    ],
)
def test_html_keeps_its_tags(url: str, text: str, expected: str) -> None:
    answer = ask(f"{url}/translate", {"q": text, "source": "en", "target": "de", "format": "html"})
    assert answer.status == 200, answer.body
    assert answer.json["translatedText"].replace("&gt;", ">").replace("&lt;", "<") == expected
    assert answer.json["model"]["direction"] == "en-de"


def test_html_in_several_languages(url: str) -> None:
    texts = [f"<p>{GERMAN}</p>", f"<p>{FRENCH}</p>"]
    answer = ask(f"{url}/translate", {"q": texts, "source": "auto", "target": "en", "format": "html"}).json
    assert answer["translatedText"] == [f"<p>de&gt;en:{GERMAN}</p>", f"<p>fr&gt;en:{FRENCH}</p>"]
    assert [each["language"] for each in answer["detectedLanguage"]] == ["de", "fr"]


@pytest.mark.parametrize(("wanted", "got"), [(None, None), (-1, None), (0, None), ("", None), (1, 1), (2, 2), (99, 2)])
def test_alternatives_are_none_or_clipped(url: str, wanted: Any, got: int | None) -> None:
    answer = ask(f"{url}/translate", {"q": "a", "source": "en", "target": "de", "alternatives": wanted})
    assert answer.status == 200
    alternatives = answer.json.get("alternatives")
    assert alternatives == (None if got is None else ["en>de:a!", "en>de:a!!"][:got])


def test_each_text_of_a_list_is_detected_by_itself(url: str) -> None:
    answer = ask(f"{url}/translate", {"q": [FRENCH, GERMAN, RUSSIAN], "source": "auto", "target": "en"})
    assert [text[:6] for text in answer.json["translatedText"]] == ["fr>en:", "de>en:", "ru>en:"]
    assert [each["language"] for each in answer.json["detectedLanguage"]] == ["fr", "de", "ru"]
    assert [each["direction"] for each in answer.json["model"]] == ["fr-en", "de-en", "ru-en"]


def test_short_texts_are_detected_together(url: str) -> None:
    """A word or two say little; LibreTranslate does so, too."""
    answer = ask(f"{url}/translate", {"q": ["Nein", GERMAN], "source": "auto", "target": "en"})
    assert [text[:6] for text in answer.json["translatedText"]] == ["de>en:", "de>en:"]


def test_only_sources_that_lead_to_the_target_are_detected(url: str) -> None:
    answer = ask(f"{url}/translate", {"q": "Save", "source": "auto", "target": "de"})
    assert (answer.json["translatedText"], answer.json["detectedLanguage"]["language"]) == ("en>de:Save", "en")
    answer = ask(f"{url}/translate", {"q": GERMAN, "source": "auto", "target": "de"})
    assert answer.json["translatedText"] == GERMAN, "it is in the language already"
    nothing = ask(f"{url}/translate", {"q": GERMAN, "source": "auto", "target": "fr"})
    assert nothing.status == 400 and "nothing is translated to 'fr'" in nothing.json["error"]


@pytest.mark.parametrize(
    ("spelled", "code"),
    [
        ("pb", "pt_BR"), ("pt", "pt_BR"), ("por_Latn", "pt_BR"), ("pt-BR", "pt_BR"), ("PT_br", "pt_BR"),
        ("zt", "zh_Hant"), ("zh-TW", "zh_Hant"), ("zho_Hant", "zh_Hant"),
    ],
)  # fmt: skip
def test_languages_in_any_spelling(url: str, spelled: str, code: str) -> None:
    answer = ask(f"{url}/translate", {"q": "a", "source": "eng_Latn", "target": spelled})
    assert (answer.status, answer.json["translatedText"]) == (200, f"en>{code}:a")


def test_an_alias_that_isnt_served_is_named_as_it_was_sent() -> None:
    with running(Marks("en-de")) as address:
        answer = ask(f"{address}/translate", {"q": "a", "source": "en", "target": "pb"})
    assert answer.status == 400 and "language 'pb' is not among" in answer.json["error"]


def test_languages_have_hyphens_outside(url: str) -> None:
    languages = {each["code"]: each["targets"] for each in ask(f"{url}/languages").json}
    assert languages["en"] == ["de", "pt-BR", "zh-Hant"] and "pt-BR" in languages
    with running(Marks("eng_Latn-por_Latn_BR", "por_Latn_BR-eng_Latn")) as address:
        assert [each["code"] for each in ask(f"{address}/languages").json] == ["en", "pt-BR"]
        text = {"q": "a", "source": "en", "target": "pt-BR"}
        assert ask(f"{address}/translate", text).json["translatedText"] == "eng_Latn>por_Latn_BR:a"


def test_detection_of_a_list_and_of_nothing(url: str) -> None:
    found = ask(f"{url}/detect", {"q": [GERMAN, FRENCH]}).json
    assert {each["language"] for each in found} == {"de", "fr"} and all(30 < each["confidence"] < 70 for each in found)
    assert [each["language"] for each in ask(f"{url}/detect", {"q": [GERMAN, GERMAN]}).json] == ["de"]
    for empty in ("", []):
        answer = ask(f"{url}/detect", {"q": empty})
        assert answer.status == 400 and "q is" in answer.json["error"]
    assert ask(f"{url}/detect", b"q=", FORM).status == 400
    assert ask(f"{url}/detect", {"q": ["", " "]}).json[0]["confidence"] == 0


@pytest.mark.parametrize(
    "path", ["", "languages", "health", "metrics", "docs", "spec", "openapi.json", "frontend/settings"]
)
def test_head_is_answered_wherever_get_is(url: str, path: str) -> None:
    head, get = ask(f"{url}/{path}", method="HEAD"), ask(f"{url}/{path}")
    assert (head.status, head.body, get.status) == (200, b"", 200) and get.body
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "metrics":
        assert head.headers["content-length"] == str(len(get.body))


def test_a_slash_at_the_end_makes_no_difference(url: str) -> None:
    body = {"q": "a", "source": "en", "target": "de"}
    assert ask(f"{url}/translate/", body).json["translatedText"] == "en>de:a"
    assert ask(f"{url}/languages/").json == ask(f"{url}/languages").json


def test_settings_of_frontends_and_the_description(url: str) -> None:
    settings = ask(f"{url}/frontend/settings").json
    assert (settings["charLimit"], settings["model"]) == (1000, "marks")
    assert settings["language"]["source"] == {"code": "en", "name": "English"}
    assert settings["language"]["target"] == {"code": "de", "name": "German"}
    assert (settings["keyRequired"], settings["apiKeys"]) == (False, False)
    assert {".po", ".xliff", ".txt"} <= set(settings["supportedFilesFormat"])
    spec = ask(f"{url}/spec").json
    assert spec["openapi"].startswith("3.") and {"/translate", "/detect", "/languages"} <= set(spec["paths"])
    assert ask(f"{url}/redoc").status == 404


def test_libretranslatepy(url: str) -> None:
    package = pytest.importorskip("libretranslatepy", reason="libretranslatepy is not installed")
    client = package.LibreTranslateAPI(url)
    assert client.translate("Save", "en", "de") == "en>de:Save"
    assert client.translate(GERMAN, "auto", "en") == f"de>en:{GERMAN}"
    assert client.detect(GERMAN)[0]["language"] == "de"
    assert {"code", "name"} <= set(client.languages()[0])


def test_deep_translator(url: str) -> None:
    package = pytest.importorskip("deep_translator", reason="deep-translator is not installed")
    client = package.LibreTranslator("en", "de", api_key="any", custom_url=f"{url}/")
    assert client.translate("Save ä") == "en>de:Save ä"
    assert client.translate_batch(["a", "b"]) == ["en>de:a", "en>de:b"]


def test_libretranslate_aio(url: str, tmp_path: Path) -> None:
    package = pytest.importorskip("libretranslate_aio", reason="libretranslate-aio is not installed")
    (tmp_path / "a.txt").write_text("Save\nLog in\n", "utf-8")
    with package.LibreTranslate(url) as client:
        assert client.health() is True
        assert client.translate("Save ä", "en", "de").translated_text == "en>de:Save ä"
        several = client.translate(["Save", "Log in"], "en", "pt", alternatives=1)
        assert several.translated_text == ["en>pt_BR:Save", "en>pt_BR:Log in"]
        assert several.alternatives == [["en>pt_BR:Save!"], ["en>pt_BR:Log in!"]]
        assert client.translate("<p>Save <b>it</b></p>", "en", "de", format="html").translated_text.endswith("</b></p>")
        found = client.translate([FRENCH, GERMAN], "auto", "en")
        assert [each.language for each in found.detected_language] == ["fr", "de"]
        assert client.detect(GERMAN)[0].language == "de"
        assert {each.code: each.targets for each in client.languages()}["en"] == ["de", "pt-BR", "zh-Hant"]
        settings = client.frontend_settings()
        assert (settings.char_limit, settings.language.target.code) == (1000, "de")
        link = client.translate_file(tmp_path / "a.txt", "en", "de").translated_file_url
        assert ask(link).body == b"en>de:Save\nen>de:Log in\n"
        with pytest.raises(package.ForbiddenError, match="suggestions are disabled"):
            client.suggest("Save", "Sichern", "en", "de")
        with pytest.raises(package.BadRequestError, match="fr-de is not served"):
            client.translate("a", "fr", "de")
        with pytest.raises(package.LibreTranslateError, match="1001 characters"):
            client.translate("a" * 1001, "en", "de")
    kept = tmp_path / "suggestions.jsonl"
    with running(Marks("en-de"), suggestions=kept) as address, package.LibreTranslate(address) as client:
        assert client.suggest("Save", "Sichern", "en", "de") is True
    assert json.loads(kept.read_text("utf-8"))["s"] == "Sichern"


def test_libretranslate_aio_at_once(url: str) -> None:
    package = pytest.importorskip("libretranslate_aio", reason="libretranslate-aio is not installed")

    async def all_at_once() -> list[str]:
        async with package.AsyncLibreTranslate(url) as client:
            found = await asyncio.gather(*(client.translate(f"text {place}", "en", "de") for place in range(20)))
        return [each.translated_text for each in found]

    assert asyncio.run(all_at_once()) == [f"en>de:text {place}" for place in range(20)]


def test_what_weblate_sends(url: str) -> None:
    """The form of its older versions, and the list of its newer ones."""
    old = urlencode({"api_key": "", "q": "Save", "source": "en", "target": "pt-BR"}).encode()
    assert ask(f"{url}/translate", old, FORM).json["translatedText"] == "en>pt_BR:Save"
    new = {"api_key": "", "q": ["Save", "Log in"], "source": "en", "target": "de", "alternatives": 2}
    answer = ask(f"{url}/translate", new).json
    assert answer["translatedText"] == ["en>de:Save", "en>de:Log in"] and len(answer["alternatives"][1]) == 2


NPM_CLIENT = """
// the requests of the package libretranslate 1.0.1, in its order
const [url, query, source, target] = process.argv.slice(1);
const kind = {"Content-Type": "application/json"};
(async () => {
    const languages = await (await fetch(`${url}/languages`, {method: "GET", headers: kind})).json();
    const known = ["auto", ...languages.map(language => language.code)];
    if (!known.includes(source) || !known.includes(target)) throw new TypeError("This language was not found");
    const body = JSON.stringify({q: query, source, target, format: "text", apiKey: ""});
    const answer = await fetch(`${url}/translate`, {method: "POST", body, headers: kind});
    console.log((await answer.json()).translatedText);
})();
"""
NODE_FILE = """
const [url] = process.argv.slice(1);
(async () => {
    const form = new FormData();
    form.append("source", "en");
    form.append("target", "de");
    form.append("api_key", "");
    form.append("file", new Blob(["Save"]), "a.txt");
    const {translatedFileUrl} = await (await fetch(`${url}/translate_file`, {method: "POST", body: form})).json();
    console.log(await (await fetch(translatedFileUrl)).text());
})();
"""


def node(code: str, *arguments: str) -> str:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    done = subprocess.run(["node", "-e", code, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


@pytest.mark.parametrize(
    ("query", "source", "target", "expected"),
    [
        ("Save ä", "en", "de", "en>de:Save ä"),
        (GERMAN, "auto", "en", f"de>en:{GERMAN}"),
        ("Save", "en", "pt-BR", "en>pt_BR:Save"),
        ("one\ntwo", "en", "de", "en>de:one\nen>de:two"),
    ],
)
def test_what_the_npm_client_sends(url: str, query: str, source: str, target: str, expected: str) -> None:
    assert node(NPM_CLIENT, url, query, source, target) == expected


def test_what_node_sends_for_files(url: str) -> None:
    assert node(NODE_FILE, url) == "en>de:Save"


def test_formats_that_scripts_leave_undefined(url: str) -> None:
    answer = ask(f"{url}/translate", {"q": "a", "source": "en", "target": "de", "format": None, "api_key": None})
    assert answer.json["translatedText"] == "en>de:a"
