"""The report in a real browser: it works offline, its controls do what they say, and corpus text stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.browser import Watched, downloaded, launched, opened
from tests.helpers.fake_run import FAMILIES, HOSTILE, fake_run

from neuronspec.report.page.html import write_report

BLOCKS = ["gain", "overlap", "progression", "tree", "map", "families", "sparsity", "sharing", "coverage", "effect",
          "neuron", "ablation-decoder", "ablation-matrix-decoder", "drift", "stability", "curves"]  # fmt: skip
SMALL = {"Germanic": ["de", "nl", "da"], "Romance": ["fr", "es"]}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose corpus text is hostile."""
    path = tmp_path_factory.mktemp("report") / "index.html"
    write_report(fake_run(SMALL, hostile=True), path)
    return path


@pytest.fixture(scope="module")
def shared(chromium: Any, report: Path) -> Iterator[Watched]:
    with opened(chromium, report) as watched:
        yield watched


def block(watched: Watched, name: str) -> Any:
    """The card of a figure, drawn."""
    card = watched.page.locator(f'figure[data-block="{name}"]')
    card.scroll_into_view_if_needed()
    card.locator(".main-svg").first.wait_for()
    return card


def plotted(watched: Watched, name: str) -> Any:
    """What plotly shows: data and layout as it was given."""
    return watched.page.evaluate(f"(({{data, layout}}) => ({{data, layout}}))(document.getElementById('{name}'))")


def slide(card: Any, to: int) -> None:
    card.locator('input[type="range"]').evaluate(
        "(range, to) => { range.value = to; range.dispatchEvent(new Event('input', {bubbles: true})); }", to
    )


@pytest.mark.parametrize(("theme", "width"), [("light", 1200), ("dark", 390)])
def test_it_opens_without_errors_and_without_a_network(chromium: Any, report: Path, theme: str, width: int) -> None:
    with opened(chromium, report, theme=theme, width=width) as watched:
        for name in BLOCKS:
            block(watched, name)
        assert watched.page.locator(".main-svg").count() >= len(BLOCKS)
        assert watched.messages == []
        assert [url for url in watched.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"
        background = watched.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(251, 250, 247)" if theme == "light" else "rgb(20, 24, 27)")
        text = watched.page.evaluate("document.getElementById('overlap').layout.template.layout.font.color")
        assert text == ("#1d2429" if theme == "light" else "#e6e3dc")


def test_the_slider_changes_the_heatmap(shared: Watched) -> None:
    card = block(shared, "overlap")
    before = plotted(shared, "overlap")["data"][0]["z"]
    assert card.locator("output").inner_text() == "encoder 1"
    slide(card, 5)
    assert card.locator("output").inner_text() == "decoder 3"
    after = plotted(shared, "overlap")["data"][0]["z"]
    assert after != before and len(after) == len(before)
    spec = shared.page.evaluate("JSON.parse(document.getElementById('blocks').textContent)[1].content.sites[5]")
    shown = [value for row in after for value in row if value is not None]
    expected = [value for a, row in enumerate(spec["iou"]) for b, value in enumerate(row) if a != b]
    assert shown == expected
    slide(card, 0)
    assert plotted(shared, "overlap")["data"][0]["z"] == before


def test_the_order_and_the_measure_can_be_chosen(shared: Watched) -> None:
    card = block(shared, "overlap")
    slide(card, 5)
    order, measure = card.locator("select").nth(0), card.locator("select").nth(1)
    by_family = plotted(shared, "overlap")["layout"]["yaxis"]["ticktext"]
    assert by_family == ["Danish", "Dutch", "German", "French", "Spanish"]
    assert {mark["text"] for mark in plotted(shared, "overlap")["layout"]["annotations"]} == {"Germanic", "Romance"}
    order.select_option("name")
    by_name = plotted(shared, "overlap")
    assert by_name["layout"]["yaxis"]["ticktext"] == sorted(by_family) and not by_name["layout"].get("annotations")
    order.select_option("cluster")
    clustered = plotted(shared, "overlap")["layout"]["yaxis"]["ticktext"]
    assert sorted(clustered) == sorted(by_family)
    assert {frozenset(clustered[:2]), frozenset(clustered[:3])} & {
        frozenset({"French", "Spanish"}), frozenset({"Danish", "Dutch", "German"})
    }  # fmt: skip
    order.select_option("family")
    iou = plotted(shared, "overlap")["data"][0]["z"]
    measure.select_option("above")
    assert plotted(shared, "overlap")["data"][0]["z"] != iou
    measure.select_option("iou")
    slide(card, 0)


def test_trees_and_maps_follow_their_sliders(shared: Watched) -> None:
    for name in ("tree", "map"):
        card = block(shared, name)
        before = plotted(shared, name)["data"]
        slide(card, 4)
        assert plotted(shared, name)["data"] != before
        assert card.locator("output").inner_text() == "decoder 2"


@pytest.mark.parametrize("name", BLOCKS)
def test_every_figure_gives_csv_svg_and_png(shared: Watched, name: str) -> None:
    card = block(shared, name)
    content: dict[str, bytes] = {}
    for kind in ("CSV", "SVG", "PNG"):
        found = downloaded(shared.page, card.get_by_role("button", name=kind, exact=True))
        assert found.suggested_filename == f"{name}.{kind.lower()}"
        content[kind] = Path(found.path()).read_bytes()
    columns, rows = shared.page.evaluate(
        "(name) => { const found = JSON.parse(document.getElementById('blocks').textContent)"
        ".find((block) => block.id === name); return [found.columns, found.rows.length]; }",
        name,
    )
    table = list(csv.reader(io.StringIO(content["CSV"].decode("utf-8-sig"))))
    assert table[0] == columns and len(table) == rows + 1
    assert content["SVG"].startswith(b"<svg") and b"<path" in content["SVG"] and content["SVG"].endswith(b"</svg>")
    assert content["PNG"].startswith(b"\x89PNG") and len(content["PNG"]) > 5_000
    assert shared.messages == []


def test_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers(chromium: Any, tmp_path: Path) -> None:
    families = {"=cmd|1": ["de", "nl", "da"], "-2+3": ["fr", "es"]}
    write_report(fake_run(families), tmp_path / "index.html")
    found = []
    with opened(chromium, tmp_path / "index.html") as watched:
        for name in ("map", "overlap", "drift"):
            card = block(watched, name)
            download = downloaded(watched.page, card.get_by_role("button", name="CSV", exact=True))
            content = Path(download.path()).read_bytes().decode("utf-8-sig")
            found += [cell for row in csv.reader(io.StringIO(content)) for cell in row]
        assert watched.messages == []
    assert any("'=cmd|1" in cell for cell in found)
    formulas = [cell for cell in found if cell[:1] in tuple("=+-@") and not cell[1:].replace(".", "").isdigit()]
    assert [cell for cell in formulas if "e-" not in cell] == []
    assert not [cell for cell in found if cell[:2] == "'-" and cell[2:].replace(".", "").isdigit()]


def test_the_table_under_a_figure_follows_the_slider(shared: Watched) -> None:
    card = block(shared, "overlap")
    card.get_by_text("Table", exact=True).click()
    slide(card, 3)
    rows = card.locator("tbody tr")
    assert rows.count() == 10, "pairs of five directions"
    assert rows.first.locator("th").inner_text() == "decoder 1"
    slide(card, 0)
    assert rows.first.locator("th").inner_text() == "encoder 1"


def test_a_neuron_can_be_chosen(shared: Watched) -> None:
    card = block(shared, "neuron")
    slide(card, 5)
    card.get_by_role("button", name="3", exact=True).click()
    assert "decoder 3, neuron 3" in plotted(shared, "neuron")["layout"]["title"]["text"]
    data = fake_run(SMALL)
    acts = data.activations
    assert acts is not None
    selected, others = plotted(shared, "neuron")["data"]
    names = list(selected["x"])
    assert sorted(names) == sorted(str(name) for name in acts.directions if str(name).startswith("en-"))
    rates = [mine if mine is not None else other for mine, other in zip(selected["y"], others["y"], strict=True)]
    assert rates == pytest.approx([float(acts.counts[name]["decoder.2"][3]) / 1000 for name in names], abs=0.003)
    chosen = [rate is not None for rate in selected["y"]]
    assert chosen == [bool(data.masks[name]["decoder.2"][3]) for name in names]
    assert plotted(shared, "neuron")["layout"]["title"]["text"].endswith(f"selected in {sum(chosen)} of {len(names)}")
    assert card.locator(".firings b").inner_text() == HOSTILE
    number = card.locator('input[type="number"]')
    number.fill("100000")
    number.press("Enter")
    assert "neuron 511" in plotted(shared, "neuron")["layout"]["title"]["text"]


def test_text_of_the_corpus_is_shown_as_text(shared: Watched) -> None:
    shown = shared.page.locator("#samples dd").first.inner_text()
    assert shown == HOSTILE
    assert "{{ 7 * 7 }}" in shown and '<script>alert("x")</script>' in shown
    assert shared.page.locator("#samples b").count() == 0
    card = block(shared, "neuron")
    assert card.locator("script, .firings b b").count() == 0
    assert not [message for message in shared.messages if message.startswith("dialog")]


def test_samples_have_their_differences_marked(shared: Watched) -> None:
    assert shared.page.locator("#samples mark").count() > 0
    assert shared.page.locator("#samples mark").first.inner_text().startswith("base says")


def test_a_printed_page_is_light_and_has_every_figure(chromium: Any, report: Path) -> None:
    with opened(chromium, report, theme="dark") as watched:
        watched.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        assert watched.page.locator("details:not([open])").count() == 0, "collapsed tables are printed"
        assert watched.page.locator("figure tbody tr").count() > len(BLOCKS)
        assert watched.page.evaluate("document.querySelectorAll('.plot .main-svg').length") >= len(BLOCKS)
        assert watched.page.evaluate("document.getElementById('curves').layout.template.layout.font.color") == "#1d2429"
        assert len(watched.page.pdf()) > 20_000
        watched.page.set_viewport_size({"width": 718, "height": 1046})  # A4 within its margins
        watched.page.emulate_media(media="print")
        cut = "tables => tables.filter(each => each.scrollWidth > each.clientWidth).map(each => each.innerText)"
        assert watched.page.locator(".scroll:has(> table)").evaluate_all(cut) == []
        assert watched.page.locator(".sort").first.evaluate("head => getComputedStyle(head).whiteSpace") == "normal"


def test_the_theme_can_be_chosen_and_is_kept(chromium: Any, report: Path) -> None:
    with opened(chromium, report, theme="light") as watched:
        page = watched.page
        block(watched, "overlap")
        button = page.locator("#theme")
        seen = []
        for _ in range(3):
            button.click()
            seen.append((
                button.inner_text(),
                page.evaluate("getComputedStyle(document.body).backgroundColor"),
                page.evaluate("document.getElementById('overlap').layout.template.layout.font.color"),
            ))  # fmt: skip
        light, dark = ("rgb(251, 250, 247)", "#1d2429"), ("rgb(20, 24, 27)", "#e6e3dc")
        assert seen == [("Theme: light", *light), ("Theme: dark", *dark), ("Theme: system", *light)]
        button.click()
        button.click()
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert watched.messages == []


def test_tables_are_sorted_by_key_and_click_and_show_that_they_scroll(chromium: Any, report: Path) -> None:
    with opened(chromium, report, width=390) as watched:
        table = watched.page.locator("#results table").first
        heads, first = table.locator("thead th"), table.locator("tbody th")
        assert heads.nth(2).get_attribute("aria-sort") is None
        heads.nth(2).locator("button").focus()
        watched.page.keyboard.press("Enter")
        assert heads.nth(2).get_attribute("aria-sort") == "ascending"
        rising = first.all_inner_texts()
        scores = [float(text) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()]
        assert scores == sorted(scores) and rising[0] == "copy"
        heads.nth(2).locator("button").click()
        assert heads.nth(2).get_attribute("aria-sort") == "descending"
        assert first.all_inner_texts() == rising[::-1]
        heads.nth(0).locator("button").click()
        assert first.all_inner_texts() == sorted(rising) and heads.nth(2).get_attribute("aria-sort") is None
        scroll = watched.page.locator("#results .scroll").first
        width = scroll.evaluate("box => [box.scrollWidth, box.clientWidth, getComputedStyle(box).backgroundImage]")
        assert width[0] > width[1] and width[2].count("gradient") == 4
        assert watched.messages == []


def test_thirty_languages_stay_below_ten_megabytes(chromium: Any, tmp_path: Path) -> None:
    families = {name: [f"{code}{n}" for n in range(5) for code in [codes[0]]] for name, codes in FAMILIES.items()}
    assert sum(map(len, families.values())) == 30
    write_report(fake_run(families, layers=6), tmp_path / "index.html")
    assert (tmp_path / "index.html").stat().st_size < 10_000_000
    with opened(chromium, tmp_path / "index.html") as watched:
        block(watched, "overlap")
        assert watched.messages == []
