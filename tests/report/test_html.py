"""The report: complete, self-contained, and nothing in it is run that came from the corpus."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fake_run import ARMS, HOSTILE, fake_run
from neuronspec.errors import MissingExtraError
from neuronspec.report import write_report
from neuronspec.report.html import render

pytest.importorskip("plotly", reason="the report extra is not installed")
SMALL = {"Germanic": ["de", "nl"], "Romance": ["fr"]}


class Page(HTMLParser):
    """What a browser would make of the page: elements with attributes, visible text, scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            self.scripts += [""] if tag == "script" else []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if "script" in self._inside:
            self.scripts[-1] += data
        elif "style" not in self._inside:
            self.text += data


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(fake_run(SMALL)))


def test_every_section_is_there(page: Page) -> None:
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == ["summary", "results", "neurons", "training", "samples", "setup"]
    for fragment in ("Mean chrF++ over 6 directions", "chrF++ by resource tier", "chrF++ by language family",
                     "loss by direction", "The site administrator", "Imaginary CPU", "name: fake", *ARMS):  # fmt: skip
        assert fragment in page.text
    assert sum(tag == "dl" for tag, _ in page.elements) == 12, "two samples for each of six directions"


def test_figures_are_drawn_from_json_in_the_page(page: Page) -> None:
    drawn = json.loads(page.scripts[0])
    assert set(drawn) == {"overlap", "progression", "sparsity", "curves"}
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert set(drawn) <= ids
    assert drawn["overlap"]["data"][0]["type"] == "heatmap"


def test_nothing_is_fetched_and_nothing_is_sent(page: Page) -> None:
    loading = [(tag, name, value) for tag, attributes in page.elements for name, value in attributes.items()
               if name in ("src", "srcset", "href", "action", "data", "poster")]  # fmt: skip
    assert [item for item in loading if not re.match(r"#|data:", str(item[2]))] == []
    own = page.scripts[-1]
    assert "fetch(" not in own and "http" not in own
    assert 'plotlyServerURL: ""' in own and "showSendToCloud: false" in own


def test_light_and_dark_and_phone(page: Page) -> None:
    text = render(fake_run(SMALL))
    assert "prefers-color-scheme: dark" in text
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.elements


def test_text_of_the_corpus_is_shown_as_text() -> None:
    data = fake_run(SMALL, hostile=True)
    families = {"de": HOSTILE, "nl": HOSTILE, "fr": "Romance"}
    hostile = dataclasses.replace(data, name=HOSTILE, results={**data.results, "families": families})
    plain, found = Page(render(data)), Page(render(hostile))
    assert found.text.count(HOSTILE) > plain.text.count(HOSTILE) > 40
    assert len(found.scripts) == len(Page(render(fake_run(SMALL))).scripts) == 3
    assert not any(tag == "b" for tag, _ in found.elements)
    assert "{{ 7 * 7 }}" in found.text and "49" not in found.text.partition("Sample translations")[2][:2000]
    drawn = json.loads(found.scripts[0])
    # plotly reads a little markup in texts, so there they are escaped once more.
    assert any(unescape(mark["text"]) == HOSTILE for mark in drawn["overlap"]["layout"]["annotations"])
    assert not any("<b>" in mark["text"] for mark in drawn["overlap"]["layout"]["annotations"])


def test_the_file_is_complete_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "report" / "index.html"
    write_report(fake_run(SMALL), path)
    before = path.read_bytes()
    assert before.endswith(b"</html>")
    broken = dataclasses.replace(fake_run(SMALL), results={"arms": {}})
    with pytest.raises(KeyError):
        write_report(broken, path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]


def test_a_missing_direction_is_said() -> None:
    data = fake_run(SMALL)
    arms: dict[str, Any] = {**data.results["arms"]}
    arms["random"] = {name: score for name, score in arms["random"].items() if name != "en-fr"}
    page = Page(render(dataclasses.replace(data, results={**data.results, "arms": arms})))
    assert "(5 of 6)" in page.text


def test_without_jinja_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"jinja2.*pip install 'neuronspec\[report\]'"):
        render(fake_run(SMALL))
