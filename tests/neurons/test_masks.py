"""Masks: set algebra, composing, packed files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.helpers.families import build_family

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.packing import MaskInfo

Make = Callable[..., NeuronMasks]
BITS = {
    "en-fr": {"encoder.0": "1100", "decoder.0": "110"},
    "en-de": {"encoder.0": "1100", "decoder.0": "011"},
    "de-en": {"encoder.0": "0011", "decoder.0": "000"},
    "fr-en": {"encoder.0": "0101", "decoder.0": "111"},
}


def _bits(masks: NeuronMasks, direction: str, site: str) -> str:
    return "".join(str(int(bit)) for bit in masks[direction][site])


@st.composite
def mask_pairs(draw: st.DrawFn) -> tuple[NeuronMasks, NeuronMasks]:
    """Two sets of masks of the same directions and sites, of any widths."""
    directions = draw(st.lists(st.sampled_from(["en-de", "de-en", "en-fr", "pt_BR-en"]), min_size=1, unique=True))
    widths = draw(
        st.dictionaries(st.sampled_from(["encoder.0", "decoder.0", "decoder.10"]), st.integers(1, 33), min_size=1)
    )

    def masks() -> NeuronMasks:
        return NeuronMasks.from_dict(
            {d: {s: torch.tensor(draw(st.lists(st.booleans(), min_size=w, max_size=w))) for s, w in widths.items()}
             for d in directions}
        )  # fmt: skip

    return masks(), masks()


@given(mask_pairs())
def test_set_algebra(pair: tuple[NeuronMasks, NeuronMasks]) -> None:
    a, b = pair
    assert ~~a == a
    assert a | b == b | a == ~(~a & ~b)
    assert a - b == a & ~b
    assert (a & b) | (a - b) == a
    assert not any(mask.any() for sites in (a - a).values() for mask in sites.values())
    assert a.sparsity() + (~a).sparsity() == pytest.approx(1)


@given(pair=mask_pairs())
def test_saved_and_loaded_bit_by_bit(
    pair: tuple[NeuronMasks, NeuronMasks], tmp_path_factory: pytest.TempPathFactory
) -> None:
    masks, _ = pair
    path = tmp_path_factory.mktemp("masks") / "masks.safetensors"
    masks.save(path)
    again = NeuronMasks.load(path)
    assert again == masks
    assert again.sites == masks.sites
    tensors = load_file(path)
    for site, width in masks.widths.items():
        packed = tensors[f"masks/{site}"]
        assert packed.dtype == torch.uint8
        assert packed.shape[1] == (width + 7) // 8
        assert len(packed) == len({_bits(masks, direction, site) for direction in masks})


def test_the_bits_are_where_the_format_says(tmp_path: Path) -> None:
    mask = torch.zeros(11, dtype=torch.bool)
    mask[[0, 3, 9]] = True
    NeuronMasks.from_dict({"en-de": {"decoder.0": mask}}).save(tmp_path / "masks.safetensors")
    tensors = load_file(tmp_path / "masks.safetensors")
    assert tensors["masks/decoder.0"].tolist() == [[0b00001001, 0b00000010]]
    assert tensors["rows/decoder.0"].tolist() == [0]


def test_a_read_only_mapping_by_direction(make_masks: Make) -> None:
    masks = make_masks(BITS)
    assert list(masks) == ["de-en", "en-de", "en-fr", "fr-en"]
    assert masks.directions[0] == Direction("de", "en")
    assert masks.sites == ("encoder.0", "decoder.0")
    assert masks.widths == {"encoder.0": 4, "decoder.0": 3}
    assert masks[Direction("en", "de")]["decoder.0"].tolist() == [False, True, True]
    assert masks["en-de"]["encoder.0"] is masks["en-fr"]["encoder.0"]
    with pytest.raises(DirectionError, match="no masks for direction en-it; valid: en-de, en-fr, "):
        masks["en-it"]
    with pytest.raises(DirectionError, match="no masks for direction ende; did you mean 'en-de'"):
        masks["ende"]


def test_equality_minds_neurons_and_nothing_else(make_masks: Make) -> None:
    masks = make_masks(BITS)
    assert masks == make_masks(dict(reversed(BITS.items()))).with_info(coverage=0.9)
    assert masks != make_masks(BITS | {"en-de": {"encoder.0": "1101", "decoder.0": "011"}})
    assert masks != make_masks({d: BITS[d] for d in ("en-de", "de-en")})
    assert masks != {"en-de": {}}


def test_sparsity(make_masks: Make) -> None:
    masks = make_masks(
        {"en-de": {"encoder.0": "1000", "decoder.0": "11"}, "en-fr": {"encoder.0": "1000", "decoder.0": "01"}}
    )
    assert masks.sparsity() == pytest.approx(7 / 12)
    assert masks.sparsity("direction") == pytest.approx({"en-de": 3 / 6, "en-fr": 4 / 6})
    assert masks.sparsity("site") == pytest.approx({"encoder.0": 6 / 8, "decoder.0": 1 / 4})
    with pytest.raises(MaskError, match="did you mean 'site'"):
        masks.sparsity("sites")  # type: ignore[call-overload]


def test_composing_a_zero_shot_direction(make_masks: Make, tmp_path: Path) -> None:
    masks = make_masks(BITS)
    more = masks.compose("de-fr", encoder="de-en", decoder=Direction("en", "fr"))
    assert "de-fr" not in masks
    assert list(more) == ["de-en", "de-fr", "en-de", "en-fr", "fr-en"]
    assert _bits(more, "de-fr", "encoder.0") == "0011"
    assert _bits(more, "de-fr", "decoder.0") == "110"
    more.save(tmp_path / "masks.safetensors")
    again = NeuronMasks.load(tmp_path / "masks.safetensors")
    assert again.info.composed == {"de-fr": ("de-en", "en-fr")}
    assert again.for_direction("de-fr").composed
    with pytest.raises(DirectionError, match="de-fr has masks already"):
        more.compose("de-fr", encoder="de-en", decoder="en-fr")
    with pytest.raises(DirectionError, match="no masks for direction it-en"):
        masks.compose("it-fr", encoder="it-en", decoder="en-fr")


def test_masks_made_of_composed_ones_are_composed_where_both_are(make_masks: Make) -> None:
    masks = make_masks(BITS)
    more = masks.compose("de-fr", encoder="de-en", decoder="en-fr")
    own = NeuronMasks.from_dict(more)  # the same neurons, as selected for de-fr itself
    for derived in (~more, more | more, more & more, more - more):
        assert derived.for_direction("de-fr").composed and not derived.for_direction("en-fr").composed
        assert derived.info.composed == more.info.composed
    assert not (more | own).for_direction("de-fr").composed and not (own | more).info.composed


def test_masks_for_a_direction(make_masks: Make) -> None:
    masks = make_masks(BITS)
    own = masks.for_direction("en-de")
    assert not own.composed and own.masks is masks["en-de"]
    derived = masks.for_direction("de-fr")
    assert derived.composed and (str(derived.encoder), str(derived.decoder)) == ("de-en", "en-fr")
    assert derived.masks == {"encoder.0": masks["de-en"]["encoder.0"], "decoder.0": masks["en-fr"]["decoder.0"]}
    with pytest.raises(DirectionError, match=r"no masks for direction it-de.*\(it-PIVOT and PIVOT-de\)"):
        masks.for_direction("it-de")
    assert masks.for_direction("DE-fra", pivot="eng_Latn").masks == derived.masks
    with pytest.raises(DirectionError, match="'it' is not among the languages; the masks have "):
        masks.for_direction("de-fr", pivot="it")


def test_languages_in_any_spelling(make_masks: Make) -> None:
    masks = make_masks(BITS)
    assert masks["EN-deu_Latn"] is masks["en-de"] is masks.get("en-DE-AT")
    assert "eng-DE" in masks and "en-zh" not in masks and "nonsense" not in masks and None not in masks
    assert masks.compose("DE-fr", encoder="DE-en", decoder="EN-fr").info.composed == {"de-fr": ("de-en", "en-fr")}
    with pytest.raises(DirectionError, match="no masks for direction en-zh; valid: en-de, en-fr, "):
        masks["EN-zh"]


def test_a_choice_of_pivots_must_be_made(make_masks: Make) -> None:
    two = BITS | {
        "de-it": {"encoder.0": "1111", "decoder.0": "000"},
        "it-fr": {"encoder.0": "1111", "decoder.0": "110"},
    }
    with pytest.raises(DirectionError, match="composed over en, it: say which with pivot="):
        make_masks(two).for_direction("de-fr")
    assert make_masks(two).for_direction("de-fr", pivot="it").masks["encoder.0"].all()
    two["de-it"]["encoder.0"] = BITS["de-en"]["encoder.0"]
    assert make_masks(two).for_direction("de-fr").composed  # both give the same masks


def test_decoder_only_masks_are_not_composed(make_masks: Make) -> None:
    masks = make_masks({"de-en": {"layers.0": "10"}, "en-fr": {"layers.0": "01"}})
    with pytest.raises(MaskError, match="decoder-only"):
        masks.for_direction("de-fr")


def test_masks_that_do_not_fit_each_other(make_masks: Make) -> None:
    masks = make_masks(BITS)
    with pytest.raises(DirectionError, match="only one of them has the directions de-en, fr-en"):
        masks | make_masks({d: BITS[d] for d in ("en-de", "en-fr")})
    wider = make_masks({d: {"encoder.0": "11111", "decoder.1": "1"} for d in BITS})
    with pytest.raises(
        MaskError, match=r"only left: decoder\.0; only right: decoder\.1; encoder\.0 has 4 neurons left, 5 right"
    ):
        masks & wider
    with pytest.raises(TypeError):
        masks | 3  # type: ignore[operator]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({}, "at least one direction"),
        ({"en-de": {}}, "at least one site"),
        ({"en-de": {"decoder.0": torch.ones(3)}}, r"en-de at decoder.0 is torch.float32 \[3\]: expected a BoolTensor"),
        ({"en-de": {"decoder.0": torch.ones(1, 3, dtype=torch.bool)}}, r"torch.bool \[1, 3\]"),
        ({"en-de": {"decoder.0": [True]}}, "is list"),
        ({"en-de": {"ffn": torch.ones(3, dtype=torch.bool)}}, "expected a name such as 'encoder.0'"),
        (
            {
                "en-de": {"decoder.0": torch.ones(3, dtype=torch.bool)},
                "en-fr": {"decoder.1": torch.ones(3, dtype=torch.bool)},
            },
            "masks of en-fr: only here: decoder.1; only in en-de: decoder.0",
        ),
    ],
)
def test_what_are_no_masks(masks: dict[str, dict[str, torch.Tensor]], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        NeuronMasks.from_dict(masks)


def test_masks_of_another_model_say_how_they_differ() -> None:
    sites = find_ffn_sites(build_family("m2m100"))
    fitting = {site.name: torch.ones(site.width, dtype=torch.bool) for site in sites}
    NeuronMasks.from_dict({"en-de": fitting}).validate_against(sites)
    other = {name: mask for name, mask in fitting.items() if name != "decoder.2"}
    other |= {"encoder.0": torch.ones(5, dtype=torch.bool), "encoder.7": torch.ones(5, dtype=torch.bool)}
    with pytest.raises(
        MaskError,
        match=r"only in the masks: encoder\.7; only in the model: decoder\.2; "
        r"encoder\.0 has 5 neurons in the masks, 12 in the model",
    ):
        NeuronMasks.from_dict({"en-de": other}).validate_against(sites)


def test_info_is_kept_in_the_file(make_masks: Make, tmp_path: Path) -> None:
    info = MaskInfo(
        criterion="mine", coverage={"encoder": 0.9}, granularity="language", semantics="neuron", fingerprint="ab"
    )
    masks = NeuronMasks.from_dict(make_masks(BITS), info)
    masks.save(tmp_path / "masks.safetensors")
    assert NeuronMasks.load(tmp_path / "masks.safetensors").info == info
    assert masks.with_info(semantics="weight").info.coverage == {"encoder": 0.9}
    assert (masks | masks).info.fingerprint == "ab"
    assert (masks | make_masks(BITS)).info.fingerprint is None
    assert (~masks).info.criterion == "~mine"


def _change(path: Path, header: dict[str, object] | None = None, **tensors: torch.Tensor | None) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    fields = json.loads(metadata["header"]) | (header or {})
    changed = load_file(path) | {name.replace("__", "/").replace("_", "."): t for name, t in tensors.items()}
    save_file(
        {n: t for n, t in changed.items() if t is not None}, path, metadata=metadata | {"header": json.dumps(fields)}
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-3]), "is damaged or not a file of masks"),
        (lambda path: _change(path, masks__decoder_0=None), "tensor 'masks/decoder.0' is missing"),
        (lambda path: _change(path, masks__decoder_0=torch.zeros(4, 2, dtype=torch.uint8)), "for 3 neurons"),
        (lambda path: _change(path, masks__decoder_0=torch.zeros(4, 1)), "float32"),
        (
            lambda path: _change(path, rows__decoder_0=torch.tensor([0, 1, 2, 4], dtype=torch.int32)),
            "doesn't name a mask",
        ),
        (lambda path: _change(path, rows__decoder_0=torch.tensor([0, 1, 2], dtype=torch.int32)), "doesn't name a mask"),
        (lambda path: _change(path, {"semantics": "weights"}), "header: semantics is 'weights'"),
        (lambda path: _change(path, {"sites": [["encoder.0", 9], ["decoder.0", 3]]}), "for 9 neurons"),
        (
            lambda path: _change(path, {"directions": ["en-de", "en-fr"]}),
            "doesn't name a mask for each of 2 directions",
        ),
    ],
)
def test_files_that_cannot_be_read(
    make_masks: Make, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "masks.safetensors"
    make_masks(BITS).save(path)
    damage(path)
    with pytest.raises(MaskError, match=message) as caught:
        NeuronMasks.load(path)
    assert str(path) in str(caught.value)
