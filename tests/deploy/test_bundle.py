"""Bundles: every direction is cut as exported alone, also zero-shot ones; the model file's bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.trained_toy import sentences

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.deploy.bundle import cut_files
from neuronspec.deploy.ct2_file import ModelFile, cut, read_model_file
from neuronspec.deploy.directions import export_directions, export_one_bundle
from neuronspec.deploy.manifest import Manifest

NAMES = ["de-en", "en-de", "en-fr"]


@pytest.fixture(scope="module")
def bundles(specialized: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("bundles")
    for quantization in ("float32", "int8"):
        (facts,) = export_one_bundle(specialized, out / quantization, quantization, 40, sample)
        assert facts["kind"] == "bundle" and list(facts["directions"]) == NAMES
        assert all(each["verification"]["identical"] == 40 for each in facts["directions"].values())
    return {quantization: out / quantization for quantization in ("float32", "int8")}


def test_a_bundle_translates_as_the_specialized_model_does(bundles: dict[str, Path], specialized: Path) -> None:
    sources, own = sentences(60, seed=13), ns.Translator(specialized)
    bundle = ns.Translator(bundles["float32"])
    assert bundle.directions == NAMES
    for name in [*NAMES, "de-fr"]:
        assert bundle(sources, name) == own(sources, name)
    assert bundle.translate(["w1"], "de-fr").composed == ("de-en", "en-fr")
    with pytest.raises(DirectionError, match="no model for direction fr-de"):
        bundle("w1", "fr-de")


def test_float32_cuts_are_the_files_that_export_writes(
    bundles: dict[str, Path], specialized: Path, tmp_path: Path
) -> None:
    export_directions(specialized, ["en-de"], tmp_path / "alone", "float32", 0, None, None)
    cut_model = read_model_file(cut_files(bundles["float32"], Direction("en", "de"))["model.bin"])
    alone = read_model_file((tmp_path / "alone" / "model.bin").read_bytes())
    names = set(cut_model.variables) | set(cut_model.aliases)
    assert names == set(alone.variables) | set(alone.aliases)
    for name in names:
        assert np.array_equal(cut_model.get(name), alone.get(name)), name  # type: ignore[arg-type]


@pytest.mark.parametrize("quantization", ["float16", "bfloat16"])
def test_cuts_of_half_precision_are_the_files_that_export_writes(
    specialized: Path, tmp_path: Path, quantization: str
) -> None:
    """But for the output's bias, which is added up before it is rounded here, and after that there."""
    export_one_bundle(specialized, tmp_path / "bundle", quantization, 0, None)
    export_directions(specialized, ["en-de"], tmp_path / "alone", quantization, 0, None, None)
    cut_model = read_model_file(cut_files(tmp_path / "bundle", Direction("en", "de"))["model.bin"])
    alone = read_model_file((tmp_path / "alone" / "model.bin").read_bytes())
    for name in set(alone.variables) | set(alone.aliases):
        one, other = cut_model.get(name), alone.get(name)
        assert one is not None and other is not None and one.dtype == other.dtype and one.shape == other.shape, name
        if one.dtype == np.uint16:  # one step of bfloat16 at most
            assert np.abs(one.astype(int) - other.astype(int)).max() <= 1, name
        else:
            np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-6, err_msg=name)


def test_int8_cuts_translate_about_as_well(bundles: dict[str, Path], exported: Path) -> None:
    sources = sentences(200, seed=17)
    bundle, alone = ns.Translator(bundles["int8"]), ns.Translator(exported)
    differing = sum(
        one != other for name in NAMES for one, other in zip(bundle(sources, name), alone(sources, name), strict=True)
    )
    assert differing <= 0.03 * 200 * len(NAMES)
    assert bundle.neurons("en-de") == alone.neurons("en-de")


def test_one_bundle_is_smaller_than_all_folders(bundles: dict[str, Path], exported: Path) -> None:
    alone = sum((exported / name / "model.bin").stat().st_size for name in NAMES)
    assert (bundles["int8"] / "model.bin").stat().st_size < alone
    assert Manifest.load(bundles["int8"]).kind == "bundle"


def test_a_damaged_bundle_is_told(bundles: dict[str, Path]) -> None:
    raw = (bundles["int8"] / "model.bin").read_bytes()
    for broken in (raw[:-1], raw[:100], b""):
        with pytest.raises(ModelError, match=r"model.bin can't be read"):
            read_model_file(broken)
    with pytest.raises(ModelError, match="of a version of CTranslate2"):
        read_model_file(b"\x07\0\0\0" + raw[4:])
    assert read_model_file(raw).encoded() == raw, "nothing is lost"


def test_shared_variables_are_cut_apart() -> None:
    def filled(*shape: int) -> np.ndarray:
        return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)

    prefix = "encoder/layer_0/ffn/linear"
    model = ModelFile("Toy", 1, {f"{prefix}_0/weight": filled(4, 2), f"{prefix}_1/weight": filled(2, 4)})
    model.variables[f"{prefix}_0/bias"] = filled(4)
    model.aliases = {"other/bias": f"{prefix}_0/bias", "third/bias": f"{prefix}_0/bias"}
    cut(model, "encoder.0", np.array([1, 3]), filled(2))
    assert model.get(f"{prefix}_0/weight").tolist() == [[2, 3], [6, 7]]  # type: ignore[union-attr]
    assert model.get(f"{prefix}_1/weight").tolist() == [[1, 3], [5, 7]]  # type: ignore[union-attr]
    assert model.get(f"{prefix}_0/bias").tolist() == [1, 3]  # type: ignore[union-attr]
    assert model.get(f"{prefix}_1/bias").tolist() == [0, 1]  # type: ignore[union-attr]
    for name in ("other/bias", "third/bias"):
        assert model.get(name).tolist() == [0, 1, 2, 3], "what shared it keeps it"  # type: ignore[union-attr]
    back = read_model_file(model.encoded())
    assert back.aliases == model.aliases and back.name == "Toy"
    with pytest.raises(ModelError, match="no feed-forward layer decoder.7"):
        cut(model, "decoder.7", np.array([0]), None)
