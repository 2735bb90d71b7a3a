"""The server's pages in a real browser, and pages of other sites that use the server."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.test_server_clients import GERMAN, Marks
from tests.helpers.browser import Watched, launched, opened
from tests.helpers.running_server import ask, running

import neuronspec as ns
from neuronspec.deploy.server.keys import Keys
from neuronspec.deploy.server.posture import Posture

LOOKS = [("light", 1200), ("dark", 390)]
CONTRAST = """() => {
    const light = color => {
        const parts = color.match(/[0-9.]+/g).slice(0, 3).map(each => each / 255);
        const linear = parts.map(each => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = element => {
        for (let each = element; each; each = each.parentElement) {
            const color = getComputedStyle(each).backgroundColor;
            if (!/, 0\\)$/.test(color)) return color;
        }
    };
    const found = [];
    const measure = (element, color, text) => {
        const [low, high] = [light(color), light(behind(element))].sort((a, b) => a - b);
        found.push([(high + 0.05) / (low + 0.05), text]);
    };
    for (const element of document.querySelectorAll("body *")) {
        if (!element.checkVisibility() || element.disabled) continue;
        const texts = [...element.childNodes].filter(node => node.nodeType === 3 && node.data.trim());
        if (texts.length && !["SCRIPT", "STYLE"].includes(element.tagName))
            measure(element, getComputedStyle(element).color, texts[0].data.trim());
        const hint = element.placeholder;
        if (hint) measure(element, getComputedStyle(element, "::placeholder").color, hint);
    }
    return found;
}"""
UNNAMED = """() => [...document.querySelectorAll("a, button, input, select, textarea, output")]
    .filter(each => each.checkVisibility())
    .filter(each => !(each.getAttribute("aria-label") || each.labels?.length || each.textContent.trim()))
    .map(each => each.outerHTML)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def url(exported: Path) -> Iterator[str]:
    with running(ns.Translator(exported, threads=1, beam=2, n_best=2), characters=500, texts=5) as address:
        yield address


@pytest.fixture(scope="module")
def marks() -> Iterator[str]:
    with running(Marks("en-de", "de-en", "fr-en")) as address:
        yield address


def wait_for(watched: Watched, selector: str, text: str | re.Pattern[str]) -> None:
    from playwright.sync_api import expect

    expect(watched.page.locator(selector)).to_contain_text(text, timeout=20_000)


def screenshot(watched: Watched, name: str, folder: Path) -> None:
    watched.page.screenshot(path=os.environ.get("SCREENSHOTS", str(folder)) + f"/{name}.png", full_page=True)


@pytest.mark.parametrize(("theme", "width"), LOOKS)
def test_the_page_translates_what_one_types(browser: Any, url: str, theme: str, width: int, tmp_path: Path) -> None:
    with opened(browser, f"{url}/", theme=theme, width=width) as watched:
        page = watched.page
        page.select_option("#source", "en")
        wait_for(watched, "#target", "French")
        page.select_option("#target", "de")
        page.fill("#text", "w1 w2")
        wait_for(watched, "#translation", "w2 w1")
        wait_for(watched, "#model", re.compile(r"^model int8 · en-de · \d+ of 192 FFN neurons \(\d\d%\) · \d+ ms$"))
        page.fill("#text", "w1 w2 w3\n\nw4 w5")
        wait_for(watched, "#translation", "w5 w4")
        assert page.text_content("#translation") == "w3 w2 w1\n\nw5 w4"
        page.select_option("#target", "fr")
        wait_for(watched, "#model", "en-fr")
        assert page.locator("#swap").is_disabled(), "nothing is translated from French"
        page.select_option("#target", "de")
        wait_for(watched, "#model", "en-de")
        page.click("#swap")
        wait_for(watched, "#model", "de-en")
        assert page.input_value("#text") == "w3 w2 w1\n\nw5 w4"
        page.fill("#text", "w" * 600)
        wait_for(watched, "#model", "at most 500")
        wait_for(watched, "#count.wrong", "600 of 500 characters")
        assert page.text_content("#translation") == "", "it was that of another text"
        page.fill("#text", "w1 w2")
        wait_for(watched, "#model", "neurons")
        screenshot(watched, f"page-{theme}", tmp_path)
    assert [text for text in watched.messages if "413" not in text] == []
    assert all(address.startswith((url, "data:")) for address in watched.requests)


def test_the_page_starts_with_what_the_model_does_best(browser: Any) -> None:
    class Scored(Marks):
        def best_direction(self) -> str:
            return "fr-ru"

    with running(Scored("de-en", "en-de", "fr-en", "fr-ru")) as address, opened(browser, f"{address}/") as watched:
        wait_for(watched, "#target", "Russian")
        assert (watched.page.input_value("#source"), watched.page.input_value("#target")) == ("fr", "ru")


def test_the_page_detects_the_language(browser: Any, marks: str) -> None:
    with opened(browser, f"{marks}/") as watched:
        page = watched.page
        wait_for(watched, "#target", "German")
        page.select_option("#source", "auto")
        assert page.locator("#swap").is_disabled(), "from what is not known yet"
        page.select_option("#target", "en")
        page.fill("#text", GERMAN)
        wait_for(watched, "#count", "detected: German")
        wait_for(watched, "#translation", f"de>en:{GERMAN}")
        page.click("#swap")
        wait_for(watched, "#translation", f"en>de:de>en:{GERMAN}")
        assert (page.input_value("#source"), page.input_value("#target")) == ("en", "de")
    assert watched.messages == []


def test_the_page_has_alternatives_and_copies(browser: Any, marks: str) -> None:
    with opened(browser, f"{marks}/", permissions=["clipboard-read", "clipboard-write"]) as watched:
        page = watched.page
        assert page.locator("#copy").is_disabled() and page.locator("#others").is_hidden()
        page.fill("#text", "Save")
        wait_for(watched, "#translation", "en>de:Save")
        assert page.locator("#others button").all_text_contents() == ["en>de:Save!", "en>de:Save!!"]
        page.locator("#others button").nth(1).click()
        assert page.text_content("#translation") == "en>de:Save!!"
        assert page.locator("#others button").all_text_contents() == ["en>de:Save!", "en>de:Save"]
        page.click("#copy")
        wait_for(watched, "#copy", "Copied")
        assert page.evaluate("navigator.clipboard.readText()") == "en>de:Save!!"
        page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); }")
        page.locator("#others button").nth(0).click()
        page.click("#copy")
        page.wait_for_function("() => navigator.clipboard.readText().then(text => text === 'en>de:Save!')")
    assert watched.messages == []


@pytest.mark.parametrize("way", ["chosen", "dropped"])
def test_the_page_translates_files(browser: Any, marks: str, way: str, tmp_path: Path) -> None:
    content = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Save"\nmsgstr ""\n'
    files = {"a.po": content, "a.exe": "x"}
    with opened(browser, f"{marks}/") as watched:
        page = watched.page
        wait_for(watched, "#endings", ".po")

        def give(name: str) -> None:
            if way == "chosen":
                page.set_input_files("#file", {"name": name, "mimeType": "", "buffer": files[name].encode()})
                return
            given = page.evaluate_handle(
                """([name, text]) => {
                    const all = new DataTransfer();
                    all.items.add(new File([text], name));
                    return all;
                }""",
                [name, files[name]],
            )
            page.dispatch_event("#text", "dragover", {"dataTransfer": given})
            assert page.locator("#files.over").count() == 1, "it shows where files go"
            page.dispatch_event("#text", "drop", {"dataTransfer": given})
            assert page.locator("#files.over").count() == 0

        give("a.po")
        wait_for(watched, "#ready a", "a.po")
        with page.expect_download() as download:
            page.keyboard.press("Enter")  # the link has the focus
        assert download.value.suggested_filename == "a.de.po"
        download.value.save_as(tmp_path / "a.de.po")
        give("a.exe")
        wait_for(watched, "#ready.wrong", "files that end in .exe aren't supported")
    assert 'msgid "Save"\nmsgstr "en>de:Save"\n' in (tmp_path / "a.de.po").read_text("utf-8")
    assert [text for text in watched.messages if "400" not in text] == []


def test_the_page_is_used_by_keyboard(browser: Any, marks: str) -> None:
    with opened(browser, f"{marks}/") as watched:
        page = watched.page
        wait_for(watched, "#target", "German")
        assert page.evaluate("document.activeElement.id") == "text", "one can type at once"
        page.evaluate("settings.frontendTimeout = 1e9")  # it doesn't translate while one types
        page.keyboard.type("Save")
        page.keyboard.press("Enter")
        page.keyboard.type("Log in")
        page.keyboard.press("Control+Enter")
        wait_for(watched, "#translation", "en>de:Log in")
        assert page.text_content("#translation") == "en>de:Save\nen>de:Log in"
        reached = []
        for _ in range(5):
            page.keyboard.press("Tab")
            outline = page.evaluate("getComputedStyle(document.activeElement).outline")
            assert "2px" in outline and "solid" in outline
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        others = ["en>de:Save!\nen>de:Log in!", "en>de:Save!!\nen>de:Log in!!"]
        assert reached == ["target", "copy", *others, "file"]
        page.focus("#swap")
        page.keyboard.press("Space")
        wait_for(watched, "#model", "de-en")
        assert page.evaluate(UNNAMED) == []
    assert watched.messages == []


@pytest.mark.parametrize(("theme", "width"), [*LOOKS, ("light", 320), ("dark", 1200)])
@pytest.mark.parametrize("path", ["", "docs"])
def test_pages_are_legible_at_any_width(
    browser: Any, marks: str, path: str, theme: str, width: int, tmp_path: Path
) -> None:
    with opened(browser, f"{marks}/{path}", theme=theme, width=width) as watched:
        page = watched.page
        if path == "":
            page.fill("#text", "Save " + "x" * 200)
            wait_for(watched, "#others", "en>de:Save")
            page.set_input_files("#file", {"name": "y" * 100 + ".exe", "mimeType": "", "buffer": b"x"})
            wait_for(watched, "#ready.wrong", "exe")
        else:
            page.click("summary:has-text('POST /translate ')")
            wait_for(watched, "details[open]", "language to translate to")
        found = page.evaluate(CONTRAST)
        assert len(found) > 10
        assert [each for each in found if each[0] < 4.5] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 28)"
        assert dark == (theme == "dark")
        screenshot(watched, f"{path or 'filled'}-{theme}-{width}", tmp_path)


def test_the_page_asks_for_a_key_where_one_is_needed(browser: Any, marks: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([{"name": "a", "sha256": hashlib.sha256(b"secret").hexdigest()}]), "utf-8")
    with running(Marks("en-de"), keys=Keys.load(keys)) as address, opened(browser, f"{address}/") as watched:
        watched.page.fill("#text", "Save")
        wait_for(watched, "#model.wrong", "needs an API key")
        watched.page.fill("#key", "secret")
        watched.page.press("#key", "Tab")
        wait_for(watched, "#translation", "en>de:Save")
        watched.page.set_input_files("#file", {"name": "a.txt", "mimeType": "", "buffer": b"x"})
        wait_for(watched, "#ready a", "a.txt")
    with opened(browser, f"{marks}/") as watched:
        wait_for(watched, "#target", "German")
        assert watched.page.locator("#key").is_hidden()


@pytest.mark.parametrize("path", ["", "docs"])
def test_nothing_but_its_own_script_runs_in_a_page(browser: Any, marks: str, path: str) -> None:
    with opened(browser, f"{marks}/{path}") as watched:
        watched.page.evaluate("""() => {
            const script = document.createElement("script"), style = document.createElement("style");
            script.textContent = "window.ran = true";
            style.textContent = "body { display: none }";
            document.body.append(script, style);
        }""")
        assert watched.page.evaluate("window.ran") is None
        assert watched.page.locator("main").is_visible()
    assert len([text for text in watched.messages if "Content Security Policy" in text]) == 2


def test_the_interface_is_described_without_the_internet(browser: Any, url: str, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    assert "default-src 'none'" in ask(f"{url}/docs").headers["content-security-policy"]
    with opened(browser, f"{url}/") as watched:
        watched.page.click("a:has-text('API')")
        number = len(ask(f"{url}/spec").json["paths"])
        expect(watched.page.locator("summary")).to_have_count(number, timeout=20_000)
        watched.page.click("summary:has-text('POST /translate ')")
        wait_for(watched, "details[open]", "language to translate to")
        screenshot(watched, "docs", tmp_path)
    assert watched.messages == []
    assert all(address.startswith((url, "data:")) for address in watched.requests)


def test_a_page_of_an_allowed_site_translates(browser: Any, url: str, exported: Path) -> None:
    """LibreTranslate's own example: `fetch` of JSON from another origin."""
    code = """async address => {
        const res = await fetch(address + "/translate", {
            method: "POST",
            body: JSON.stringify({
                q: "w1 w2", source: "en", target: "de", format: "text", alternatives: 3, api_key: ""
            }),
            headers: {"Content-Type": "application/json"},
        });
        return (await res.json()).translatedText;
    }"""
    translator = ns.Translator(exported, threads=1, beam=2, n_best=2)
    with running(translator, Posture(cors=("*",))) as open_to_all:
        with opened(browser, f"{url}/languages") as watched:  # a page of another origin, without a policy of its own
            assert watched.page.evaluate(code, open_to_all) == "w2 w1"
        with opened(browser, f"{open_to_all}/languages") as watched, pytest.raises(Exception, match="Failed to fetch"):
            watched.page.evaluate(code, url)
