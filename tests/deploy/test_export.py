"""Exported folders: verified, whole or absent, and enough to translate."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.helpers.trained_toy import sentences, trained_model

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, DirectionError, ModelError, PathError, RecipeError
from neuronspec.deploy import directions as directions_module
from neuronspec.deploy import export as export_module
from neuronspec.deploy.directions import compact_directions, export_directions
from neuronspec.deploy.export import Sample, export_direction, sample_of
from neuronspec.deploy.manifest import MANIFEST, Manifest
from neuronspec.deploy.opening import open_model, open_specialized
from neuronspec.models.fingerprint import model_fingerprint
from neuronspec.specialization.compact import compact_report
from neuronspec.specialization.save import save_specialized

EN_DE = Direction("en", "de")


@pytest.mark.parametrize("quantization", ["float32", "int8", "float16", "bfloat16"])
def test_an_exported_folder_is_verified_and_says_what_it_holds(
    specialized: Path, sample: Path, tmp_path: Path, quantization: str
) -> None:
    (facts,) = export_directions(specialized, ["en-de"], tmp_path / "out", quantization, 40, sample, None)
    manifest = Manifest.load(tmp_path / "out")
    model = ns.load(specialized)
    assert manifest.source == model_fingerprint(model)
    assert (manifest.kind, manifest.quantization, list(manifest.directions)) == ("direction", quantization, ["en-de"])
    small = ns.compact(model, "en-de")
    found = manifest.directions["en-de"]
    assert found.neurons == sum(compact_report(small).widths.values()) < manifest.dense_neurons == 192
    assert manifest.parameters == compact_report(small).parameters < manifest.dense_parameters
    assert found.verification is not None
    assert (found.verification.identical, found.verification.sentences) == (40, 40)
    assert (found.verification.quantized_identical is None) == (quantization == "float32")
    assert set(manifest.files) == {path.name for path in (tmp_path / "out").iterdir()} - {MANIFEST}
    assert "tokenizer.json" in manifest.files
    assert facts["directions"]["en-de"]["verification"]["identical"] == 40
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_the_direction_with_the_best_stored_score_comes_first(
    specialized: Path, tmp_path: Path, quantization: str
) -> None:
    opened, sources = open_specialized(specialized), sentences(20)
    right = ns.Translator(specialized)(sources, "en-de")
    for name, references in (("de-en", sentences(20, seed=99)), ("en-de", right), ("en-fr", None)):
        sample = Sample("a test", sources, references)
        export_direction(opened, Direction.parse(name), tmp_path / name, quantization, sample)
    found = Manifest.load(tmp_path / "en-de").directions["en-de"].verification
    assert found is not None and found.chrf == pytest.approx(100, abs=5)
    none = Manifest.load(tmp_path / "en-fr").directions["en-fr"].verification
    assert none is not None and none.chrf is None
    assert ns.Translator(tmp_path).best_direction() == "en-de"
    assert ns.Translator(tmp_path / "en-fr").best_direction() == "en-fr"


def test_exported_float32_is_the_specialized_model_for_every_direction(specialized: Path, tmp_path: Path) -> None:
    export_directions(specialized, ["en-de", "de-en", "en-fr", "de-fr"], tmp_path / "out", "float32", 0, None, None)
    sources = sentences(120, seed=3)
    small, own = ns.Translator(tmp_path / "out"), ns.Translator(specialized)
    assert small.directions == ["de-en", "de-fr", "en-de", "en-fr"]
    for name in small.directions:
        assert small(sources, name) == own(sources, name)
    assert Manifest.load(tmp_path / "out" / "de-fr").directions["de-fr"].composed == ("de-en", "en-fr")
    assert small.translate(["w1"], "de-fr").composed == ("de-en", "en-fr")


def test_a_conversion_that_translates_otherwise_is_not_kept(
    specialized: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export_module.deployable

    def wrong(model: Any, direction: Any) -> Any:
        small = real(model, direction)
        with torch.no_grad():
            small.model.encoder.layers[0].fc2.bias[::2].add_(3.0)
        return small

    monkeypatch.setattr(export_module, "deployable", wrong)
    with pytest.raises(ModelError, match="doesn't translate as the specialized model does.*nothing was written"):
        export_directions(specialized, ["en-de"], tmp_path / "out", "int8", 40, sample, None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(specialized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Manifest, "save", full)
    with pytest.raises(OSError, match="No space left") as error:
        export_directions(specialized, ["en-de"], tmp_path / "out", "int8", 0, None, None)
    assert error.value.filename == str(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_to_verify_with(specialized: Path, sample: Path, tmp_path: Path) -> None:
    opened = open_specialized(specialized)
    assert sample_of(opened, EN_DE, 7, sample).sources == sample.read_text().splitlines()[:7]
    pieces = sample_of(opened, EN_DE, 5)
    assert pieces.text == "pieces of the tokenizer" and 0 < len(pieces.sources) <= 5 and all(pieces.sources)
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "latin").write_bytes(b"fine\nna\xefve\n")
    for name, message in (
        ("empty", "empty has no text: --sample needs one sentence per line"),
        ("latin", r"latin:2: not valid UTF-8: byte 0xef, the line's byte number 3 .*convert the file to UTF-8"),
        ("absent", "absent: can't be read: No such file or directory$"),
        ("", "can't be read: Is a directory$"),
    ):
        with pytest.raises(CorpusError, match=message):
            sample_of(opened, EN_DE, 5, tmp_path / name)
    manifest = export_direction(opened, EN_DE, tmp_path / "unverified", "int8", None)
    assert manifest.directions["en-de"].verification is None


def test_special_tokens_are_asked_for_once() -> None:
    asked: list[int] = []

    class Pieces:
        """A tokenizer that computes its special tokens at each call, as those of transformers do."""

        @property
        def all_special_ids(self) -> list[int]:
            asked.append(1)
            return [0, 1]

        def __len__(self) -> int:
            return 1000

        def decode(self, ids: list[int]) -> str:
            return " ".join(f"w{each}" for each in ids)

    opened: Any = SimpleNamespace(tokenizer=Pieces(), store=None)
    assert sample_of(opened, EN_DE, 3).sources[0] == "w2 w3 w4"
    assert len(asked) == 1


def _manifest(folder: Path, **changes: Any) -> None:
    path = folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def _outside(folder: Path, name: str) -> None:
    """A manifest that names a file outside the folder, with its true checksum."""
    secret = folder.parent / "secret"
    secret.write_text("secret", encoding="utf-8")
    facts = {"bytes": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    _manifest(folder, files=json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"] | {name: facts})


def _linked(folder: Path) -> None:
    """The model is the same, and lies elsewhere."""
    (folder / "model.bin").rename(folder.parent / "elsewhere.bin")
    (folder / "model.bin").symlink_to(folder.parent / "elsewhere.bin")


def test_exports_from_before_a_field_are_whole(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported / "en-de", tmp_path / "older"))
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    assert content.pop("ends") == []
    (folder / MANIFEST).write_text(json.dumps(content), encoding="utf-8")
    assert Manifest.load(folder).ends == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.bin").unlink(), "model.bin is missing"),
        (
            lambda folder: (folder / MANIFEST).unlink(),
            f"has a CTranslate2 model but no {MANIFEST}.*neuronspec export RUN",
        ),
        (
            lambda folder: (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:-9]),
            "bytes instead of",
        ),
        (lambda folder: _flip(folder / "model.bin"), "its content changed"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": "neuro'), r"is damaged \(not JSON"),
        (lambda folder: (folder / MANIFEST).write_text('{"format": "other"}'), "format is 'other' and should be"),
        (lambda folder: _manifest(folder, longest_source=1), f"{MANIFEST} is damaged: its content changed"),
        (lambda folder: _manifest(folder, files={}), "has no checksum of model.bin"),
        (lambda folder: _manifest(folder, directions={}), "has no direction"),
        (
            lambda folder: _manifest(folder, directions={"foo": {"neurons": 1}}),
            "is damaged .*direction 'foo': expected",
        ),
        (lambda folder: _manifest(folder, longest_translation=0), "longest_translation is 0 and should be"),
        (lambda folder: _manifest(folder, kind="bundle"), "has no checksum of neuron_masks.safetensors"),
        (
            lambda folder: _manifest(folder, version=2),
            "written in version 2; this neuronspec reads up to 1: upgrade it",
        ),
        (lambda folder: _outside(folder, "../secret"), "files.*'../secret' is no file in the folder"),
        (lambda folder: _outside(folder, str(folder.parent / "secret")), "files.*secret' is no file in the folder"),
        (_linked, "model.bin is a link out of the folder"),
    ],
    ids=[
        "missing",
        "no manifest",
        "cut",
        "changed",
        "cut manifest",
        "other manifest",
        "changed manifest",
        "no checksums",
        "no directions",
        "no direction's name",
        "no length",
        "no masks",
        "newer",
        "outside",
        "absolute",
        "link",
    ],
)
def test_a_damaged_folder_is_told(exported: Path, tmp_path: Path, damage: Any, message: str) -> None:
    folder = Path(shutil.copytree(exported / "en-de", tmp_path / "en-de"))
    damage(folder)
    with pytest.raises(ModelError, match=message):
        ns.Translator(folder)
    with pytest.raises(ModelError, match=message):
        ns.Translator(tmp_path)  # the folder of such folders has no other


def test_an_export_of_version_0_1_has_no_digest(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported / "en-de", tmp_path / "en-de"))
    _manifest(folder, digest=None)
    assert ns.Translator(folder)("w1 w2", "en-de") == ns.Translator(exported)("w1 w2", "en-de")


@pytest.mark.parametrize("change", [lambda tokens: tokens[:-1], lambda tokens: [*tokens[:-1], tokens[0]]])
def test_a_vocabulary_of_another_size(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    """Where nothing is verified, it must not translate by the wrong tokens."""
    folder = Path(shutil.copytree(exported / "en-de", tmp_path / "en-de"))
    file = folder / "shared_vocabulary.json"
    file.write_text(json.dumps(change(json.loads(file.read_text(encoding="utf-8")))), encoding="utf-8")
    monkeypatch.setenv("NEURONSPEC_NO_VERIFY", "1")
    with pytest.raises(ModelError, match="is damaged|can't be loaded"):
        ns.Translator(folder)("w1 w2", "en-de")


def test_what_ctranslate2_finds_wrong_while_it_translates_is_told(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(exported / "en-de", tmp_path / "en-de"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(dict.fromkeys(config, 5)), encoding="utf-8")
    monkeypatch.setenv("NEURONSPEC_NO_VERIFY", "1")
    with pytest.raises(ModelError, match="can't be loaded|CTranslate2 can't compute the model"):
        ns.Translator(folder)("w1 w2", "en-de")


def test_a_beam_above_the_vocabulary_is_refused_before_anything_is_asked(specialized: Path, exported: Path) -> None:
    for model in (specialized, exported):
        with pytest.raises(RecipeError, match="a beam of 999 is larger than the vocabulary of"):
            ns.Translator(model, beam=999)


@pytest.mark.parametrize("damage", ["model.bin", MANIFEST, "no manifest"])
def test_a_damaged_sibling_matters_only_to_its_direction(exported: Path, tmp_path: Path, damage: str) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "exported"))
    if damage == "no manifest":
        (folder / "en-fr" / MANIFEST).unlink()
    else:
        (folder / "en-fr" / damage).write_bytes((folder / "en-fr" / damage).read_bytes()[:-9])
    translator = ns.Translator(folder)
    assert translator.directions == ["de-en", "en-de"]
    assert translator("w1 w2", "en-de") == "w2 w1"
    problem = {"model.bin": "bytes instead of", MANIFEST: "is damaged", "no manifest": f"no {MANIFEST}"}[damage]
    for _ in range(2):
        with pytest.raises(ModelError, match=f"en-fr.*{problem}"):
            translator("w1", "en-fr")
    (folder / "en-fr").rename(folder / "french")
    renamed = ns.Translator(folder)
    with pytest.raises((ModelError, DirectionError), match=f"french.*{problem}"):
        renamed("w1", "en-fr")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_an_export_of_several_directions_continues(
    specialized: Path, sample: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, out, made = directions_module.export_direction, tmp_path / "out", []

    def export_all(path: Path = specialized, quantization: str = "int8", verify: int = 20) -> list[dict[str, Any]]:
        return export_directions(path, None, out, quantization, verify, sample, None)

    def stop_at_the_second(opened: Any, direction: Direction, *more: Any) -> Manifest:
        if made:
            raise KeyboardInterrupt
        made.append(str(direction))
        return original(opened, direction, *more)

    monkeypatch.setattr(directions_module, "export_direction", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        export_all()
    made.clear()
    before = (out / "de-en" / MANIFEST).stat().st_mtime_ns

    def note(opened: Any, direction: Direction, *more: Any) -> Manifest:
        made.append(str(direction))
        return original(opened, direction, *more)

    monkeypatch.setattr(directions_module, "export_direction", note)
    facts = export_all()
    assert made == ["en-de", "en-fr"] and (out / "de-en" / MANIFEST).stat().st_mtime_ns == before
    assert [each["kept"] for each in facts] == [True, False, False]
    assert "kept, as it was exported before" in facts[0]["summary"]
    for path in exported.rglob("*"):
        if path.is_file() and path.name != MANIFEST:
            assert (out / path.relative_to(exported)).read_bytes() == path.read_bytes()

    made.clear()
    assert all(each["kept"] for each in export_all()) and made == []
    with pytest.raises(ModelError, match="de-en exists already.*made from another model, or with other.*remove"):
        export_all(quantization="float32")
    other = ns.load(specialized)
    with torch.no_grad():
        next(iter(other.model.decoder.layers[0].self_attn.parameters())).add_(1)  # the neurons stay
    save_specialized(other, tmp_path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(specialized / name, tmp_path / "other")
    with pytest.raises(ModelError, match="de-en exists already.*made from another model"):
        export_all(tmp_path / "other")
    (out / "en-de" / "model.bin").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="en-de exists already.*is damaged.*remove it"):
        export_all()
    shutil.rmtree(out)
    export_all(verify=0)
    with pytest.raises(ModelError, match="exists already.*not verified"):
        export_all()
    assert made == ["de-en", "en-de", "en-fr"]  # nothing is begun that can't be ended


def test_what_cannot_be_exported_is_told(specialized: Path, exported: Path, tmp_path: Path) -> None:
    def export(
        path: Path, directions: list[str] | None, out: Path = tmp_path / "out", quantization: str = "int8"
    ) -> Any:
        return export_directions(path, directions, out, quantization, 0, None, None)

    with pytest.raises(DirectionError, match=r"no direction given: name some.* \(export --all takes all\)"):
        export(specialized, [])
    with pytest.raises(DirectionError, match=r"no masks for direction en-it.*[Vv]alid: en-de, en-fr, de-en"):
        export(specialized, ["en-it"])
    with pytest.raises(DirectionError, match="named twice"):
        export(specialized, ["en-de", "en-de"])
    with pytest.raises(ModelError, match="exists already"):
        export(specialized, ["en-de"], exported / "en-de")
    with pytest.raises(PathError, match="is no folder"):
        export(tmp_path / "absent", ["en-de"])
    with pytest.raises(RecipeError, match=r"unknown quantization 'int4'; did you mean 'int8'\?"):
        export(specialized, ["en-de"], quantization="int4")
    trained_model(False).save_pretrained(tmp_path / "dense")
    with pytest.raises(CorpusError, match="no tokenizer there.*save the model's tokenizer"):
        export(tmp_path / "dense", ["en-de"])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(specialized / name, tmp_path / "dense")
    with pytest.raises(ModelError, match="is a dense model: only a specialized model"):
        compact_directions(tmp_path / "dense", ["en-de"], tmp_path / "out", None)
    for folder in (exported, exported / "en-de"):
        with pytest.raises(
            ModelError, match="is an exported model: give the run or model folder that it was made from"
        ):
            export(folder, ["en-de"])
    assert not (tmp_path / "out").exists()


def test_runs_without_the_specialized_arm_are_told(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = "name: x\ncorpus: {reader: catalogs, pivot: en, languages: [de]}\n"
    text += "training: {updates: 1}\ncontinuation: {updates: 1}\n"
    for arms, message in (
        ("", f"{tmp_path} has no finished arm 'specialized' yet: continue with neuronspec specialize {tmp_path}"),
        ("arms: [dense]\n", f"{tmp_path} has no arm 'specialized', only dense, random: add it to its recipe's arms"),
    ):
        recipe.write_text(text + arms)
        for use in (
            lambda: ns.Translator(tmp_path),
            lambda: export_directions(tmp_path, ["en-de"], tmp_path / "out", "int8", 0, None, None),
            lambda: compact_directions(tmp_path, ["en-de"], tmp_path / "out", None),
        ):
            with pytest.raises(ModelError, match=message):
                use()
    assert list(tmp_path.iterdir()) == [recipe]
    for name in ("dense", "random"):
        arm = tmp_path / "arms" / name
        arm.mkdir(parents=True)
        (arm / "config.json").touch()
    (tmp_path / "arms" / "dense" / "adapters.safetensors").touch()
    with pytest.raises(ModelError, match=f"or name the folder of another arm, such as {arm}$"):
        ns.Translator(tmp_path)


def test_compact_folders_translate(specialized: Path, tmp_path: Path) -> None:
    facts = compact_directions(specialized, ["en-de", "de-fr"], tmp_path / "compact", None)
    assert [each["direction"] for each in facts] == ["en-de", "de-fr"]
    assert all(each["parameters"] < each["dense_parameters"] for each in facts)
    sources = sentences(30, seed=5)
    for name in ("en-de", "de-fr"):
        small = ns.Translator(tmp_path / "compact" / name)
        assert small.directions == [name]
        assert small(sources, name) == ns.Translator(specialized)(sources, name)
        with pytest.raises(DirectionError, match=rf"no model for direction fr-en; .*{name}"):
            small("w1", "fr-en")
    with pytest.raises(ModelError, match="is a compact model: export the direction of the model that it was cut out"):
        export_directions(tmp_path / "compact" / "en-de", ["en-de"], tmp_path / "out", "int8", 0, None, None)
    assert compact_report(open_model(tmp_path / "compact" / "en-de").model).direction == "en-de"
    assert json.loads((tmp_path / "compact" / "en-de" / "neuronspec_compact.json").read_text())["direction"] == "en-de"


def test_inspect_tells_what_a_folder_holds(exported: Path) -> None:
    from neuronspec.cli.inspect import describe

    facts = describe(exported / "en-de")
    assert (facts["kind"], facts["holds"], facts["quantization"]) == ("exported model", "direction", "int8")
    assert facts["directions"]["en-de"]["verification"]["identical"] == 40
