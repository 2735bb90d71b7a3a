"""What `inspect` says of training logs that aren't whole, and of models of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.families import build_family
from tests.helpers.mutations import neuronspec

LINE = json.dumps({"kind": "start", "update": 0, "seconds": 0.0})


def test_a_log_without_a_whole_line_is_damaged(tmp_path: Path) -> None:
    for content in (b"garbage", b'{"kind": "start", "upd', b"\x00\xff"):
        (tmp_path / "log.jsonl").write_bytes(content)
        outcome = neuronspec("inspect", tmp_path / "log.jsonl", folder=tmp_path)
        assert outcome.code == 1 and "holds no whole line of a training log" in outcome.err


@pytest.mark.parametrize(("tail", "shown"), [("", False), ('{"kind": "tra', True)])
def test_a_line_that_was_cut_off_is_told(tmp_path: Path, tail: str, shown: bool) -> None:
    (tmp_path / "log.jsonl").write_text(f"{LINE}\n{tail}")
    outcome = neuronspec("inspect", tmp_path / "log.jsonl", "--json", folder=tmp_path)
    facts = json.loads(outcome.out)
    assert outcome.code == 0 and facts["lines"] == 1
    assert facts.get("cut off", "").startswith("13 bytes") == shown


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        (
            "m2m100",
            {"d_model": 8, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 12, "decoder_ffn_dim": 16},
        ),
        ("t5", {"d_model": 8, "num_layers": 2, "num_decoder_layers": 2, "d_ff": 12}),
        ("llama", {"hidden_size": 8, "num_hidden_layers": 3, "intermediate_size": 12}),
    ],
)
def test_a_model_of_any_kind_has_its_sizes_and_type_of_numbers(
    family: str, shape: dict[str, int], tmp_path: Path
) -> None:
    build_family(family).save_pretrained(tmp_path / "model")
    outcome = neuronspec("inspect", tmp_path / "model", "--json", folder=tmp_path)
    facts = {key.replace(" ", "_"): value for key, value in json.loads(outcome.out).items()}
    expected = shape | {"dtype": "float32", "vocab_size": 50}
    assert {key: value for key, value in facts.items() if key in expected} == expected
