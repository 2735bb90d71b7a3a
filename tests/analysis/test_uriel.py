"""Distances of URIEL: places and relations of languages that everyone knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neuronspec.analysis import uriel
from neuronspec.core.errors import DirectionError, MissingExtraError

needs_data = pytest.mark.skipif(not uriel.available(), reason="the linguistics extra (lang2vec) is not installed")


@needs_data
def test_known_languages_are_near_and_far() -> None:
    codes = ["de", "nl", "fr", "pt_BR", "hi", "ja"]
    tables = uriel.uriel_distances(codes)
    assert set(tables) == set(uriel.KINDS)
    for table in tables.values():
        np.testing.assert_array_equal(table, table.T)
        assert not table.diagonal().any() and table.min() >= 0 and table.max() <= 1
    genetic, geographic = tables["genetic"], tables["geographic"]
    at = {code: index for index, code in enumerate(codes)}
    assert genetic[at["de"], at["nl"]] < genetic[at["de"], at["fr"]] < genetic[at["de"], at["ja"]] == 1
    assert genetic[at["fr"], at["pt_BR"]] < genetic[at["fr"], at["hi"]]
    # Berlin to Tokyo is 8,900 km of the 20,000 to the other side of the earth
    assert geographic[at["de"], at["ja"]] == pytest.approx(8_900 / 20_015, abs=0.04)
    assert geographic[at["de"], at["nl"]] < 0.05
    assert tables["syntactic"][at["de"], at["nl"]] < tables["syntactic"][at["de"], at["ja"]]


@needs_data
@pytest.mark.parametrize("code", ["nb", "zh", "ar", "lv", "sq", "mg", "et", "fa"])
def test_macrolanguages_have_branches_in_the_tree(code: str) -> None:
    assert uriel.known_languages([code]) == [code]
    genetic = uriel.uriel_distances([code, "ja"])["genetic"]
    assert genetic[0, 1] == 1 and np.isfinite(genetic).all()
    assert uriel._rows("family_features.npz", [str(uriel._iso(code))]).sum() > 0


@needs_data
def test_unknown_languages_are_named() -> None:
    assert uriel.known_languages(["de", "qqq"]) == ["de"]
    with pytest.raises(DirectionError, match="URIEL has no language qqq"):
        uriel.uriel_distances(["de", "qqq"])


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uriel, "_found", lambda: None)
    assert not uriel.available()
    uriel._table.cache_clear()
    uriel._index.cache_clear()
    uriel._letter_codes.cache_clear()
    with pytest.raises(MissingExtraError, match=r"lang2vec.*pip install 'neuronspec\[linguistics\]'"):
        uriel.uriel_distances(["de"])


def test_a_script_beside_python_is_not_taken_for_the_package() -> None:
    """The wheel of lang2vec installs a script of its name; a command in that folder has it first on its path."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from neuronspec.analysis import uriel; "
    code += "print(uriel.available() and len(uriel.uriel_distances(['de', 'en'])))"
    scripts = str(Path(sys.executable).parent)
    done = subprocess.run([sys.executable, "-c", code, scripts], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr
