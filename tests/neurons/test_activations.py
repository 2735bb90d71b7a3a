"""Recorded activations: adding, saving, and files that can't be read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, MaskError
from neuronspec.neurons.activations import Activations

Make = Callable[..., Activations]
COUNTS = {
    "en-fr": {"encoder.0": [5, 0, 3], "decoder.0": [1, 2]},
    "de-en": {"encoder.0": [9, 9, 9], "decoder.0": [4, 0]},
}


def _equal(one: Activations, other: Activations) -> bool:
    return (
        one.info == other.info
        and list(one.counts) == list(other.counts)
        and all(one.tokens[d] == other.tokens[d] for d in one.tokens)
        and all(torch.equal(one.counts[d][s], other.counts[d][s]) for d in one.counts for s in one.sites)
        and all(torch.equal(one.magnitudes[d][s], other.magnitudes[d][s]) for d in one.counts for s in one.sites)
    )


def test_directions_are_sorted_and_looked_up_by_text_or_direction(make_activations: Make) -> None:
    acts = make_activations(COUNTS)
    assert list(acts.counts) == ["de-en", "en-fr"]
    assert acts.directions == (Direction("de", "en"), Direction("en", "fr"))
    assert acts.counts[Direction("en", "fr")] is acts.counts["en-fr"]
    assert Direction("en", "fr") in acts.counts
    assert "en-de" not in acts.counts and "nonsense" not in acts.counts and 3 not in acts.counts
    assert acts.counts.get("en-de") is None
    assert acts.widths == {"encoder.0": 3, "decoder.0": 2}
    with pytest.raises(DirectionError, match="no activations for direction en-de; .*en-fr, de-en"):
        acts.counts["en-de"]


def test_adding_is_recording_together(make_activations: Make) -> None:
    one = make_activations(COUNTS)
    other = make_activations({"en-fr": {"encoder.0": [1, 1, 1], "decoder.0": [0, 1]},
                              "en-de": {"encoder.0": [2, 2, 2], "decoder.0": [7, 7]}}, tokens=7)  # fmt: skip
    both = one + other
    assert list(both.counts) == ["de-en", "en-de", "en-fr"]
    assert both.counts["en-fr"]["encoder.0"].tolist() == [6, 1, 4]
    assert both.magnitudes["en-fr"]["encoder.0"].tolist() == [4.0, 1.0, 6.0]
    assert both.tokens["en-fr"] == {"encoder.0": 107, "decoder.0": 107}
    assert both.counts["en-de"]["decoder.0"].tolist() == [7, 7]
    assert one.counts["en-fr"]["encoder.0"].tolist() == [5, 0, 3]
    assert _equal(other + one, both)


def test_files_from_before_tell_no_precision_and_are_added(make_activations: Make) -> None:
    assert len((make_activations(COUNTS) + make_activations(COUNTS, precision="bf16")).tokens) == len(COUNTS)
    with pytest.raises(MaskError, match="their precision differ"):
        make_activations(COUNTS, precision="float32") + make_activations(COUNTS, precision="bf16")


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"positions": "prompt"}, {"gated": True}])
def test_recordings_of_different_things_are_not_added(make_activations: Make, change: dict[str, object]) -> None:
    with pytest.raises(MaskError, match="can't be added: their .* differ"):
        make_activations(COUNTS) + make_activations(COUNTS, **change)


def test_saved_and_loaded(make_activations: Make, tmp_path: Path) -> None:
    acts = make_activations(COUNTS)
    path = tmp_path / "activations.safetensors"
    acts.save(path)
    assert _equal(Activations.load(path), acts)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "neuronspec.activations"
    assert json.loads(metadata["header"])["directions"] == ["de-en", "en-fr"]


def test_a_failed_save_leaves_the_earlier_file(make_activations: Make, tmp_path: Path) -> None:
    blocked = tmp_path / "folder.safetensors"
    (blocked / "inside").mkdir(parents=True)
    with pytest.raises(MaskError, match="could not be written"):
        make_activations(COUNTS).save(blocked)
    assert [file.name for file in tmp_path.iterdir()] == [blocked.name]


def _rewritten(path: Path, metadata: dict[str, str] | None = None, header: dict[str, object] | None = None) -> None:
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    fields = json.loads(old["header"]) | (header or {})
    save_file(load_file(path), path, metadata=old | {"header": json.dumps(fields)} | (metadata or {}))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _header_length(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 1 << 40) + path.read_bytes()[8:])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "is damaged or not a file of activations"),
        (_empty, "is damaged or not a file of activations"),
        (_header_length, "is damaged or not a file of activations"),
        (lambda path: path.unlink(), "no such file of activations"),
        (lambda path: path.write_text("en-de: nothing"), "is damaged or not a file of activations"),
        (lambda path: save_file(load_file(path), path), "names no format"),
        (lambda path: _rewritten(path, {"format": "neuronspec.masks"}), "its format is 'neuronspec.masks'"),
        (lambda path: _rewritten(path, {"version": "2"}), "written in version 2 .* reads up to 1: upgrade"),
        (lambda path: _rewritten(path, {"version": "one"}), "its version is 'one'"),
        (lambda path: _rewritten(path, {"header": "{"}), "header: not JSON"),
        (lambda path: _rewritten(path, header={"fingerprint": 3}), "header: fingerprint is 3 and should be text"),
        (lambda path: _rewritten(path, header={"directions": ["de-en"]}), r"header says \(\(1, 2\)"),
        (lambda path: _rewritten(path, header={"sites": []}), "counts/decoder.0 is"),
    ],
)
def test_files_that_cannot_be_read(
    make_activations: Make, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "activations.safetensors"
    make_activations(COUNTS).save(path)
    damage(path)
    with pytest.raises(MaskError, match=message) as caught:
        Activations.load(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="no file of activations: it is a folder"):
        Activations.load(tmp_path)
