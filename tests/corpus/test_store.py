"""The token store: what the encoder writes, the store reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from neuronspec.core.checksums import digest
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, RunError
from neuronspec.corpus.encode import PairFile
from neuronspec.corpus.store import FORMAT, TokenStore

Pairs = list[tuple[list[int], list[int]]]
BATCHES: list[Pairs] = [[([5], [6, 7]), ([8, 9, 10], [])], [([65_535], [1, 2, 3, 4])]]


def write_store(folder: Path, ids: pa.DataType, batches: list[Pairs] = BATCHES, **changes: Any) -> Path:
    tokens = folder / "tokens"
    tokens.mkdir(parents=True)
    for split in ("train", "valid"):
        with PairFile(tokens / f"{split}.de-en.arrow", ids, split) as file:
            for batch in batches:
                sides = list(zip(*batch, strict=True))
                columns = [pa.array(side, type=pa.list_(ids)) for side in sides]
                columns += [pa.array([len(row) for row in side], type=pa.int32()) for side in sides]
                if split == "valid":
                    columns += [
                        pa.array([f"{name} {row}" for row in side]) for name, side in zip("ab", sides, strict=True)
                    ]
                file.write(columns)

    def entry(name: str) -> dict[str, Any]:
        return {"file": name, "pairs": sum(map(len, batches)), "sha256": digest(tokens / name)}

    manifest = {
        "format": FORMAT,
        "ids": 100,
        "tokenizer_sha256": "",
        "directions": ["de-en", "en-de", "en-fr"],
        "tiers": {"high": ["de"], "low": ["fr"]},
        "splits": {
            "train": {"de-en": entry("train.de-en.arrow")},
            "valid": {"de-en": entry("valid.de-en.arrow"), "en-fr": {"file": "none", "pairs": 0, "sha256": ""}},
        },
    }
    (tokens / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder


@pytest.mark.parametrize("ids", [pa.uint16(), pa.uint32()])
def test_both_directions_read_one_file(tmp_path: Path, ids: pa.DataType) -> None:
    store = TokenStore.open(write_store(tmp_path, ids))
    forward, backward = store.pairs("train", "de-en"), store.pairs("train", Direction("en", "de"))
    assert len(forward) == len(backward) == 3
    expected = [pair for batch in BATCHES for pair in batch]
    for index, (first, second) in enumerate(expected):
        source, target = forward.tokens(index)
        assert source.tolist() == first and target.tolist() == second and source.dtype == np.int64
        assert [side.tolist() for side in backward.tokens(index)] == [second, first]
    assert forward.source_lengths.tolist() == [1, 3, 1] == backward.target_lengths.tolist()
    assert forward.target_lengths.tolist() == [2, 0, 4]
    assert forward.source_lengths.dtype == np.int32
    for index in (-1, 3):
        with pytest.raises(IndexError, match="there are 3"):
            forward.tokens(index)


def test_texts_of_held_out_splits_only(tmp_path: Path) -> None:
    store = TokenStore.open(write_store(tmp_path, pa.uint16()))
    pairs = store.pairs("valid", "en-de")
    assert pairs.source_texts() == ["b [6, 7]", "b []", "b [1, 2, 3, 4]"]
    assert pairs.target_texts()[2] == "a [65535]"
    with pytest.raises(RunError, match="training text is kept as tokens only"):
        store.pairs("train", "en-de").source_texts()


def test_directions_tiers_and_fingerprint(tmp_path: Path) -> None:
    store = TokenStore.open(write_store(tmp_path / "a", pa.uint16()))
    assert store.directions("train") == store.directions("valid") == [Direction("de", "en"), Direction("en", "de")]
    assert store.tiers == {"high": ["de"], "low": ["fr"]}
    same = TokenStore.open(write_store(tmp_path / "b", pa.uint16()))
    other = TokenStore.open(write_store(tmp_path / "c", pa.uint16(), directions=["en-de"]))
    assert store.fingerprint() == same.fingerprint() != other.fingerprint()
    later = TokenStore.open(write_store(tmp_path / "d", pa.uint16(), references="as read", more={"x": 1}))
    assert later.references == "as read" and later.fingerprint() != store.fingerprint()


def test_a_file_without_pairs(tmp_path: Path) -> None:
    pairs = TokenStore.open(write_store(tmp_path, pa.uint16(), [])).pairs("valid", "de-en")
    assert len(pairs) == 0 and pairs.source_lengths.shape == (0,) and pairs.source_texts() == []


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"manifest.json: no token store; .*neuronspec prepare"):
        TokenStore.open(tmp_path)
    store = TokenStore.open(write_store(tmp_path / "a", pa.uint16()))
    with pytest.raises(DirectionError, match="no train text of de-fr in .*; valid: de-en, "):
        store.pairs("train", "de-fr")
    with pytest.raises(RunError, match="no split 'dev'"):
        store.directions("dev")
    with pytest.raises(RunError, match="format is 'other', expected"):
        TokenStore.open(write_store(tmp_path / "b", pa.uint16(), format="other"))


def test_damaged_files(tmp_path: Path) -> None:
    path = write_store(tmp_path, pa.uint16()) / "tokens" / "train.de-en.arrow"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(RunError, match=r"train.de-en.arrow: the token store is damaged"):
        TokenStore.open(tmp_path).pairs("train", "de-en")
    (tmp_path / "tokens" / "manifest.json").write_text("{")
    with pytest.raises(RunError, match="manifest.json is damaged"):
        TokenStore.open(tmp_path)
