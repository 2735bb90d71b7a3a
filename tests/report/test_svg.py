"""The picture of overlap: well-formed, on one scale, in both colour modes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from fake_run import FAMILIES, family_masks
from neuronspec.errors import MaskError, RecipeError
from neuronspec.neurons import NeuronMasks
from neuronspec.report.svg import BINS, overlap_svg

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def cells(picture: str) -> dict[str, int]:
    """Squares by colour, the legend's aside."""
    counts: dict[str, int] = {}
    for path in ElementTree.fromstring(picture).iter(f"{SVG}path"):
        name, drawn = path.get("class", ""), path.get("d", "")
        if name != "bracket" and "v10h" not in drawn:
            counts[name] = counts.get(name, 0) + drawn.count("M")
    return counts


def test_two_panels_side_by_side_with_names_and_families() -> None:
    found = texts(overlap_svg(family_masks(), ["decoder.0", "decoder.2"]))
    assert found.count("decoder, layer 1") == found.count("decoder, layer 3") == 1
    assert found.count("Portuguese (Brazil)") == 1, "rows are named once"
    assert found.count("pt_BR") == 2, "columns under each panel"
    assert all(found.count(family) == 1 for family in FAMILIES)


def test_colours_follow_the_values() -> None:
    half, other = torch.arange(8) < 4, torch.arange(8) >= 4
    masks = NeuronMasks.from_dict(
        {name: {"decoder.0": mask} for name, mask in {"en-de": half, "en-nl": half, "en-fr": other}.items()}
    )
    picture = overlap_svg(masks, ["decoder.0"])
    assert cells(picture) == {"self": 3, f"c{BINS - 1}": 2, "c0": 4}
    assert {"0", "0.5", "1"} <= set(texts(picture))


def test_equal_values_have_a_scale_too() -> None:
    mask = torch.arange(8) < 4
    masks = NeuronMasks.from_dict({name: {"decoder.0": mask} for name in ("en-de", "en-fr")})
    assert {"0.95", "1"} <= set(texts(overlap_svg(masks, ["decoder.0"])))


def test_both_modes_fetch_nothing_and_are_escaped() -> None:
    masks = family_masks({"Odd <&> family": ["de", "nl"], "Other": ["fr", "it"]})
    picture = overlap_svg(masks, ["encoder.0"], families={"de": "Odd <&> family", "nl": "Odd <&> family"})
    assert "Odd <&> family" in texts(picture)
    assert "prefers-color-scheme:dark" in picture
    assert re.findall(r"https?://[^\"']+", picture) == ["http://www.w3.org/2000/svg"]


def test_order_by_name_marks_no_families() -> None:
    found = texts(overlap_svg(family_masks(), ["encoder.1"], order="name"))
    assert not set(FAMILIES) & set(found)
    names = [text for text in found if len(text) > 5 and text[0].isupper()]
    assert names == sorted(names)


def test_what_cannot_be_drawn_is_refused() -> None:
    masks = family_masks()
    with pytest.raises(MaskError, match=r"no masks for site 'decoder.9'"):
        overlap_svg(masks, ["decoder.9"])
    with pytest.raises(MaskError, match="at least one site"):
        overlap_svg(masks, [])
    with pytest.raises(RecipeError, match="did you mean 'family'"):
        overlap_svg(masks, ["decoder.0"], order="familly")  # type: ignore[arg-type]
    single = NeuronMasks.from_dict({"en-de": {"decoder.0": torch.ones(4, dtype=torch.bool)}})
    with pytest.raises(MaskError, match="at least two directions"):
        overlap_svg(single, ["decoder.0"])
