"""The numbers behind the report are those of the analyses, corrected for the number of sites."""

from __future__ import annotations

import pytest
import torch
from tests.helpers.fake_run import FAMILY_OF, fake_activations, family_masks

from neuronspec.analysis import uriel
from neuronspec.analysis.overlap import overlap
from neuronspec.analysis.permutation import family_test
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
    for site in numbers.sites:
        width, share = MASKS.widths[site.site], sum(site.sizes.values()) / len(site.sizes)
        assert set(site.sizes) == set(site.families) and site.compared == pytest.approx(share * width, abs=1)
    # six tests, of which the least p-value counts six times
    assert min(site.adjusted or 1 for site in numbers.sites) == pytest.approx(6 * 0.0005)
    assert [curve.site for curve in numbers.curves] == list(MASKS.sites) and numbers.effects


def test_identical_and_disjoint_masks_have_no_structure() -> None:
    same = NeuronMasks.from_dict({f"en-{code}": {"decoder.0": torch.arange(40) < 10} for code in FAMILY_OF})
    (site,) = compute(same, "en", FAMILY_OF, fake_activations(same)).sites
    assert site.compared == 10 and site.agreement is None
    assert (site.sharing.shared, site.sharing.unused) == (10, 30)
    apart = NeuronMasks.from_dict(
        {f"en-{code}": {"decoder.0": torch.arange(25) == at} for at, code in enumerate(FAMILY_OF)}
    )
    (site,) = compute(apart, "en", FAMILY_OF).sites
    assert site.iou.sum() == 25 and site.sharing.language == 25
    assert (site.test.p, site.adjusted, site.compared) == (None, None, 0), "untested without activations"


def test_families_that_differ_in_the_size_of_their_masks_alone_are_no_finding() -> None:
    generator = torch.Generator().manual_seed(1)
    families = {code: "ab"[place % 2] for place, code in enumerate(FAMILY_OF)}
    names = [f"en-{code}" for code in families]
    rank = torch.randn(400, generator=generator)
    activity = [rank + torch.randn(400, generator=generator) for _ in names]
    masks = {}
    for name, values, family in zip(names, activity, families.values(), strict=True):
        size = 160 if family == "a" else 320
        masks[name] = {"decoder.0": torch.zeros(400, dtype=torch.bool).scatter(0, values.topk(size).indices, True)}
    made = NeuronMasks.from_dict(masks)
    acts = fake_activations(made)
    for name, values in zip(names, activity, strict=True):
        acts.counts[name]["decoder.0"].copy_((100 * (values + 10)).long())  # type: ignore[index]
    (site,) = compute(made, "en", families, acts).sites
    assert family_test(site.above, site.families).p == pytest.approx(0.0005), "the size of masks alone is a finding"
    assert site.test.p is not None and site.test.p > 0.05
    assert site.sizes == {"a": pytest.approx(0.4), "b": pytest.approx(0.8)} and site.compared in (236, 237, 238)


@pytest.mark.skipif(not uriel.available(), reason="the linguistics extra (lang2vec) is not installed")
def test_families_show_in_genetic_distances_most() -> None:
    site = compute(MASKS, "en", FAMILY_OF, fake_activations(MASKS)).sites[-1]
    r = {kind: test.r or 0.0 for kind, test in site.mantel.items()}
    assert max(r, key=lambda kind: r[kind]) == "genetic" and r["genetic"] > 0.7
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
