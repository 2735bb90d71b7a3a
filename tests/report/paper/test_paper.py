"""Vector figures: all of them, readable as XML and PDF, the same bytes every time."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
from tests.helpers.fake_run import HOSTILE, fake_activations, fake_run

from neuronspec.core.errors import MaskError, MissingExtraError
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.numbers import compute
from neuronspec.report.paper.canvas import overlap_figure
from neuronspec.report.paper.figures import paper_figures
from neuronspec.report.paper.write import save, write_figures

pytest.importorskip("matplotlib", reason="the report extra is not installed")
SMALL = {"Germanic": ["de", "nl"], "Romance": ["fr", "es"]}
NAMES = {"overlap-encoder", "overlap-decoder", "tree-encoder", "tree-decoder", "map-encoder", "map-decoder", "sharing",
         "progression", "sparsity", "families", "coverage", "effect-of-k", "ablation-decoder", "stability",
         "drift"}  # fmt: skip


def text_of(path: Path) -> str:
    """What an SVG shows as text."""
    root = ElementTree.parse(path).getroot()
    return " ".join("".join(item.itertext()) for item in root.iter("{http://www.w3.org/2000/svg}text"))


def test_every_figure_is_written_with_its_caption(tmp_path: Path) -> None:
    files = write_figures(fake_run(SMALL), tmp_path)
    made = {path.stem for path in files if path.suffix == ".svg"} - {"uriel"}
    assert made == NAMES
    captions = (tmp_path / "captions.md").read_text(encoding="utf-8")
    assert all(f"## {name}\n" in captions for name in NAMES)
    for name in NAMES:
        pdf = (tmp_path / f"{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    shown = text_of(tmp_path / "overlap-decoder.svg")
    for fragment in ("Dutch", "German", "French", "Spanish", "Germanic", "Romance", "decoder, layer 1"):
        assert fragment in shown
    assert "own" in text_of(tmp_path / "ablation-decoder.svg")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [["en-de", "en-nl", "en-fr"], ["de-en", "nl-en", "fr-en"]], ids=["out", "into"])
def test_a_side_may_have_fewer_than_two_directions(names: list[str]) -> None:
    """As the encoder has where all directions are out of one language."""
    data = fake_run(SMALL, layers=2, width=64)
    masks = NeuronMasks.from_dict({name: data.masks[name] for name in names})
    part = replace(data, masks=masks, activations=fake_activations(masks), findings=None, results=None)
    numbers = compute(masks, part.pivot, part.families, part.activations)
    assert {"progression", "sparsity", "families"} <= {made.name for made in paper_figures(part, numbers)}


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    masks = fake_run(SMALL).masks
    for name in ("a", "b"):
        for kind in ("svg", "pdf"):
            save(overlap_figure(masks, ["decoder.0", "decoder.2"]), tmp_path / f"{name}.{kind}")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_names_with_markup_are_text(tmp_path: Path) -> None:
    families = {"de": HOSTILE, "nl": "a $ b_{c}", "fr": "x", "es": "x"}
    figure = overlap_figure(fake_run(SMALL).masks, ["decoder.0"], families=families)
    shown = text_of(save(figure, tmp_path / "overlap.svg"))
    assert HOSTILE in shown and "a $ b_{c}" in shown


def test_wrong_sites_are_errors() -> None:
    masks = fake_run(SMALL).masks
    with pytest.raises(MaskError, match="at least one site"):
        overlap_figure(masks, [])
    with pytest.raises(MaskError, match="did you mean"):
        overlap_figure(masks, ["decoder.9"])


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*pip install 'neuronspec\[report\]'"):
        overlap_figure(fake_run(SMALL).masks, ["decoder.0"])
