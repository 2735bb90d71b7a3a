"""The colours of figures: seen on both grounds, and one for each arm."""

from __future__ import annotations

import re

import pytest

from neuronspec.report.colors import COLORS, GROUNDS, NEUTRAL, SIDES, arm_colors, family_colors
from neuronspec.report.page.html import WEB
from neuronspec.report.series import _SHARING_COLORS

CSS = (WEB / "report.css").read_text(encoding="utf-8")


def luminance(color: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def in_css(name: str, theme: str) -> str:
    """A colour of the style sheet in a theme."""
    found = re.search(rf"--{name}: light-dark\((#\w+), (#\w+)\)", CSS)
    assert found is not None, name
    return found[1 if theme == "light" else 2]


def test_the_measure() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", GROUNDS)
def test_figures_have_contrast(theme: str) -> None:
    assert in_css("card", theme) == GROUNDS[theme]
    arms = arm_colors(["copy", "base", "specialized", "dense", "random", *map(str, range(12))])
    for color in {*COLORS, NEUTRAL, *SIDES.values(), *_SHARING_COLORS, *arms.values(), *family_colors("abc").values()}:
        assert contrast(color, GROUNDS[theme]) >= 3, (color, theme)


@pytest.mark.parametrize("theme", GROUNDS)
def test_text_has_contrast(theme: str) -> None:
    for text in ("text", "dim", "accent"):
        for ground in ("page", "card", "soft"):
            assert contrast(in_css(text, theme), in_css(ground, theme)) >= 4.5, (text, ground)
    assert contrast(in_css("mark-text", theme), in_css("mark", theme)) >= 4.5


def test_an_arm_keeps_its_color_and_shares_it_with_none() -> None:
    arms = ["copy", "base", "lora", "specialized", "dense", "random", "lape-g"]
    colors = arm_colors(arms)
    assert len(set(colors.values())) == len(arms)
    assert {arm: arm_colors(["dense", "specialized"])[arm] for arm in ("dense", "specialized")} == {
        arm: colors[arm] for arm in ("dense", "specialized")
    }
