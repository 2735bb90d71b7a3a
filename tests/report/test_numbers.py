"""The numbers behind the report are those of the analyses, corrected for the number of sites."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.fake_run import FAMILY_OF, fake_activations, family_masks

from neuronspec.analysis import uriel
from neuronspec.analysis.overlap import overlap
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.report.numbers import compute

MASKS = family_masks()


def test_constructed_families_are_found_at_every_site() -> None:
    numbers = compute(MASKS, "en", FAMILY_OF, fake_activations(MASKS))
    assert [site.site for site in numbers.sites] == list(MASKS.sites)
    for site in numbers.sites:
        expected = overlap(MASKS, site.site, site.directions)
        torch.testing.assert_close(torch.from_numpy(site.iou), expected)
        assert site.families == sorted(site.families)
        assert sorted(site.order("cluster")) == list(range(25))
        assert [site.names[index] for index in site.order("name")] == sorted(site.names)
    decoder = numbers.of("decoder")
    assert all(site.adjusted is not None and site.adjusted < 0.01 for site in decoder)
    assert all(site.agreement is not None and site.agreement > 0.9 for site in decoder)
    # six tests, of which the least p-value counts six times
    assert min(site.adjusted or 1 for site in numbers.sites) == pytest.approx(6 * 0.0005)
    assert [curve.site for curve in numbers.curves] == list(MASKS.sites) and numbers.effects


def test_identical_and_disjoint_masks_have_no_structure() -> None:
    same = NeuronMasks.from_dict({f"en-{code}": {"decoder.0": torch.arange(40) < 10} for code in FAMILY_OF})
    (site,) = compute(same, "en", FAMILY_OF).sites
    assert site.test.p == 1.0 and site.agreement is None
    assert (site.sharing.shared, site.sharing.unused) == (10, 30)
    apart = NeuronMasks.from_dict(
        {f"en-{code}": {"decoder.0": torch.arange(25) == at} for at, code in enumerate(FAMILY_OF)}
    )
    (site,) = compute(apart, "en", FAMILY_OF).sites
    assert site.iou.sum() == 25 and site.sharing.language == 25
    assert site.test.p == 1.0


@pytest.mark.skipif(not uriel.available(), reason="the linguistics extra (lang2vec) is not installed")
def test_families_show_in_genetic_distances_most() -> None:
    site = compute(MASKS, "en", FAMILY_OF).sites[-1]
    r = {kind: test.r or 0.0 for kind, test in site.mantel.items()}
    assert max(r, key=lambda kind: r[kind]) == "genetic" and r["genetic"] > 0.8
    assert site.mantel["genetic"].p == pytest.approx(0.0005)


def test_without_lang2vec_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uriel, "available", lambda: False)
    numbers = compute(MASKS, "en", FAMILY_OF)
    assert "pip install 'neuronspec[linguistics]'" in numbers.uriel
    assert not numbers.sites[0].mantel


def test_a_single_direction_has_no_pairs() -> None:
    alone = NeuronMasks.from_dict({"en-de": {"encoder.0": torch.arange(8) < 3, "decoder.0": torch.arange(8) < 5}})
    numbers = compute(alone, "en", {"de": "Germanic"})
    assert [row.mean for row in numbers.progression] == [None, None]
    assert all(site.test.p is None for site in numbers.sites)
