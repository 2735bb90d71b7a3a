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
from tests.helpers.fake_run import ARMS, HOSTILE, changed, fake_run

from neuronspec.analysis.overlap import overlap
from neuronspec.core.errors import MissingExtraError
from neuronspec.report.data import ReportData
from neuronspec.report.page.html import render, write_report

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


SECTIONS = ["summary", "results", "overlap-section", "structure", "neurons", "causes", "training", "samples", "setup"]
BLOCKS = ["overlap", "progression", "tree", "map", "families", "sparsity", "sharing", "coverage", "effect", "neuron",
          "ablation-decoder", "ablation-matrix-decoder", "drift", "stability", "curves"]  # fmt: skip


def blocks_of(page: Page) -> dict[str, Any]:
    """The blocks of figures by id."""
    return {block["id"]: block for block in json.loads(page.scripts[0])}


def test_every_section_is_there(page: Page) -> None:
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == SECTIONS
    for fragment in ("Mean chrF++ over 6 directions", "chrF++ by resource tier", "chrF++ by language family",
                     "loss by direction", "The site administrator", "Imaginary CPU", "name: fake", *ARMS):  # fmt: skip
        assert fragment in page.text
    assert sum(tag == "dl" for tag, _ in page.elements) == 12, "two samples for each of six directions"


def test_what_arms_were_computed_in_is_shown() -> None:
    data = fake_run(SMALL)
    assert "Computed in" not in render(data), "runs from before don't tell it"
    arithmetic = {"dense": {"weights": "bfloat16", "training": "bf16", "evaluation": "transformers, bfloat16"}}
    told = Page(render(dataclasses.replace(data, results=changed(data.results, arithmetic=arithmetic)))).text
    assert "Computed in" in told and "transformers, bfloat16" in told


def test_every_figure_has_a_place_a_caption_and_a_table(page: Page) -> None:
    blocks = blocks_of(page)
    assert [name for name in blocks if name != "uriel"] == BLOCKS
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert set(blocks) <= ids
    assert sum(tag == "figcaption" for tag, _ in page.elements) == len(blocks)
    for block in blocks.values():
        assert block["rows"] and all(len(row) == len(block["columns"]) for row in block["rows"]), block["id"]


def test_the_heatmap_has_the_numbers_in_every_order(page: Page) -> None:
    block, masks = blocks_of(page)["overlap"], fake_run(SMALL).masks
    assert [site["label"] for site in block["content"]["sites"]][:2] == ["encoder 1", "encoder 2"]
    site = block["content"]["sites"][-1]
    assert site["names"] == ["Dutch", "German", "French"][: len(site["names"])] or sorted(site["codes"]) == [
        "de",
        "fr",
        "nl",
    ]
    expected = overlap(masks, "decoder.2", [f"en-{code}" for code in site["codes"]])
    assert site["iou"] == [[round(float(value), 4) for value in row] for row in expected]
    for order in site["orders"].values():
        assert sorted(order) == [0, 1, 2]
    pairs = [row for row in block["rows"] if row[0] == "decoder 3"]
    assert [row[1:3] for row in pairs] == [[site["names"][a], site["names"][b]] for a, b in ((0, 1), (0, 2), (1, 2))]
    assert pairs[0][3] == site["iou"][0][1]


def test_parts_that_are_missing_leave_their_sections_out() -> None:
    data = fake_run(SMALL)
    alone = ReportData("model", data.masks, "en", data.families, {"python": "3"})
    page = Page(render(alone))
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    assert sections == ["summary", "overlap-section", "structure", "neurons", "setup"]
    assert "coverage" not in blocks_of(page) and "neuron" not in blocks_of(page)


def test_nothing_is_fetched_and_nothing_is_sent(page: Page) -> None:
    loading = [(tag, name, value) for tag, attributes in page.elements for name, value in attributes.items()
               if name in ("src", "srcset", "href", "action", "data", "poster")]  # fmt: skip
    loading = [item for item in loading if item[1] != "data-block"]
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
    results = changed(data.results, families=families)
    hostile = dataclasses.replace(data, name=HOSTILE, results=results, families=families)
    plain, found = Page(render(data)), Page(render(hostile))
    assert found.text.count(HOSTILE) > plain.text.count(HOSTILE) > 40
    assert len(found.scripts) == len(Page(render(fake_run(SMALL))).scripts) == 3
    assert not any(tag == "b" for tag, _ in found.elements)
    assert "{{ 7 * 7 }}" in found.text and "49" not in found.text.partition("Sample translations")[2][:2000]
    # plotly reads a little markup in texts, so there they are escaped once more.
    bounds = [bound[0] for site in blocks_of(found)["overlap"]["content"]["sites"] for bound in site["bounds"]]
    assert any(unescape(name) == HOSTILE for name in bounds)
    assert not any("<b>" in name for name in bounds)


def test_the_file_is_complete_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "report" / "index.html"
    write_report(fake_run(SMALL), path)
    before = path.read_bytes()
    assert before.endswith(b"</html>")
    broken = dataclasses.replace(fake_run(SMALL), results=object())  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        write_report(broken, path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == ["index.html"]


def test_a_missing_direction_is_said() -> None:
    data = fake_run(SMALL)
    assert data.results is not None
    arms = dict(data.results.arms)
    arms["random"] = {name: score for name, score in arms["random"].items() if name != "en-fr"}
    page = Page(render(dataclasses.replace(data, results=changed(data.results, arms=arms))))
    assert "(5 of 6)" in page.text


def test_without_jinja_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"jinja2.*pip install 'neuronspec\[report\]'"):
        render(fake_run(SMALL))
