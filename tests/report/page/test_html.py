"""The report: complete, self-contained, and nothing in it is run that came from the corpus."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.fake_run import (
    ARMS,
    FAMILIES,
    FAMILY_OF,
    HOSTILE,
    changed,
    fake_activations,
    fake_run,
    family_masks,
)

from neuronspec.analysis.overlap import overlap
from neuronspec.core.errors import MissingExtraError
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report import numbers
from neuronspec.report.data import ReportData
from neuronspec.report.page.html import render, write_report
from neuronspec.report.page.sections import structure_blocks

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
BLOCKS = ["gain", "overlap", "progression", "tree", "map", "families", "sparsity", "sharing", "coverage", "effect",
          "neuron", "ablation-decoder", "ablation-matrix-decoder", "drift", "stability", "curves"]  # fmt: skip


def blocks_of(page: Page) -> dict[str, Any]:
    """The blocks of figures by id."""
    return {block["id"]: block for block in json.loads(page.scripts[1])}


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


def test_captions_are_of_all_layers_whose_languages_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into the pivot, all languages are of one family, so nothing is permuted in the encoder."""
    kept = [*(f"{code}-en" for code in ("de", "nl", "da")), *(f"en-{code}" for code in ("de", "nl", "da", "es", "fr"))]
    every = family_masks()
    masks = NeuronMasks.from_dict({name: every[name] for name in kept})
    codes = ["de", "nl", "da", "es", "fr"]
    distance = {(a, b): float(abs(codes.index(a) - codes.index(b))) for a in codes for b in codes}
    monkeypatch.setattr(numbers, "_uriel", lambda *_: ({"genetic": distance}, ""))
    found = numbers.compute(masks, "en", FAMILY_OF, fake_activations(masks))
    assert found.sites[0].test.permutations == 0 < found.sites[-1].test.permutations
    captions = {block.id: block.caption for block in structure_blocks(fake_run(SMALL), found)}
    assert f"permutation test of {found.sites[-1].test.permutations} draws" in captions["families"]
    assert "over 3 to 5 languages" in captions["uriel"]


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
    assert ("button", {"id": "theme", "type": "button", "hidden": None}) in page.elements
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.elements


def test_text_of_the_corpus_is_shown_as_text() -> None:
    data = fake_run(SMALL, hostile=True)
    families = {"de": HOSTILE, "nl": HOSTILE, "fr": "Romance"}
    results = changed(data.results, families=families)
    hostile = dataclasses.replace(data, name=HOSTILE, results=results, families=families)
    plain, found = Page(render(data)), Page(render(hostile))
    assert found.text.count(HOSTILE) > plain.text.count(HOSTILE) > 40
    assert len(found.scripts) == len(Page(render(fake_run(SMALL))).scripts) == 4
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


def test_only_the_scripts_of_the_page_may_run(page: Page) -> None:
    (policy,) = (a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0] and "unsafe-eval" not in policy
    for place in (0, 2, 3):
        digest = base64.b64encode(hashlib.sha256(page.scripts[place].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_tables_come_as_csv_without_formulas() -> None:
    data = fake_run(SMALL)
    assert data.results is not None
    arms = dict(data.results.arms) | {"=cmd|1": data.results.arms["dense"]}
    page = Page(render(dataclasses.replace(data, results=changed(data.results, arms=arms))))
    links = {a["download"]: str(a["href"]) for tag, a in page.elements if tag == "a" and "download" in a}
    assert {"arms-mean-of-6-directions.csv", "chrf-by-direction.csv", "signatures-of-the-scores.csv"} <= set(links)
    content = base64.b64decode(links["arms-mean-of-6-directions.csv"].partition(",")[2]).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(content)))
    assert rows[0][:4] == ["arm", "BLEU", "chrF++", "loss"] and rows[-1][0] == "'=cmd|1"


def test_signatures_are_labelled(page: Page) -> None:
    assert "Signatures of the scores" in page.text
    after = page.text.partition("Signatures of the scores")[2]
    assert after.index("BLEU") < after.index("nrefs:1|tok:13a") < after.index("chrF++") < after.index("nrefs:1|nw:2")


def test_neurons_show_the_directions_that_their_heading_is_about(page: Page) -> None:
    block, masks = blocks_of(page)["neuron"], fake_run(SMALL).masks
    for site in block["content"]["sites"]:
        into = site["label"].startswith("encoder")
        assert len(site["directions"]) == 3
        assert all(name.endswith("-en") if into else name.startswith("en-") for name in site["directions"])
        bits = np.unpackbits(np.frombuffer(base64.b64decode(site["selected"]), np.uint8), bitorder="little")
        chosen = bits[: 3 * site["width"]].reshape(3, -1).astype(bool)
        name = f"{site['label'].split()[0]}.{int(site['label'].split()[1]) - 1}"
        assert (chosen == np.stack([masks[one][name].numpy() for one in site["directions"]])).all()


def test_an_adaptation_has_a_section() -> None:
    data = fake_run(SMALL)
    assert data.results is not None
    adapted = changed(data.results, adapted=["en-de", "de-en"])
    page = Page(render(dataclasses.replace(data, results=adapted)))
    assert "adaptation-section" in {a.get("id") for tag, a in page.elements if tag == "section"}
    block = blocks_of(page)["adaptation"]
    assert [row[0] for row in block["rows"]] == ["specialized", "dense", "random"]
    gains = [adapted.arms["dense"][n].chrf - adapted.arms["base"][n].chrf for n in ("en-de", "de-en")]  # type: ignore[operator]
    assert block["rows"][1][1] == pytest.approx(sum(gains) / 2, abs=1e-3)
    assert "gains most in the adapted directions (en-de, de-en)" in page.text


def test_a_pretrained_run_has_a_section() -> None:
    data = fake_run(SMALL)
    facts = {"name": "facebook/nllb", "revision": "abc", "sha256": "f" * 64}
    change = {"ids": [256206, 60000]}
    page = Page(render(dataclasses.replace(data, results=changed(data.results, pretrained=facts, vocabulary=change))))
    assert "checkpoint" in {a.get("id") for tag, a in page.elements if tag == "section"}
    assert all(value in page.text for value in (*facts.values(), "vocabulary, ids", "256,206 → 60,000"))
    assert len(blocks_of(page)["checkpoint-gains"]["rows"]) == 6
    assert "specialized is above the checkpoint in 6 of 6 directions." in page.text


@pytest.mark.slow
def test_sixty_directions_of_a_wide_model_stay_below_ten_megabytes() -> None:
    """60 directions, each way past the pivot; six layers a side of 2048 neurons, so 1.5 million frequencies."""
    families = {name: [f"{codes[0]}{n}" for n in range(5)] for name, codes in FAMILIES.items()}
    assert 2 * sum(map(len, families.values())) == 60
    data = fake_run(families, layers=6, width=2048)
    assert len(render(data).encode()) < 10_000_000
