import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, FORMAT, LAYOUT

from neuronspec.batching.collate import collate, collate_mixed
from neuronspec.core.direction import Direction
from neuronspec.models.frames import IGNORED
from neuronspec.models.ragged import Ragged


def test_layout_is_that_of_m2m100() -> None:
    batch = collate(EN_DE, (Ragged.of([[4, 5], [7]]), Ragged.of([[6], [8, 9, 10]])), FORMAT)
    en, de, pad, eos = LAYOUT.tags["en"], LAYOUT.tags["de"], LAYOUT.pad, LAYOUT.eos
    expected = {
        "input_ids": [[en, 4, 5, eos], [en, 7, eos, pad]],
        "attention_mask": [[1, 1, 1, 1], [1, 1, 1, 0]],
        "decoder_input_ids": [[eos, de, 6, pad, pad], [eos, de, 8, 9, 10]],
        "decoder_attention_mask": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]],
        "labels": [[IGNORED, 6, eos, IGNORED, IGNORED], [IGNORED, 8, 9, 10, eos]],
    }
    assert batch.direction == EN_DE
    assert {name: tensor.tolist() for name, tensor in batch.inputs.items()} == expected
    assert all(tensor.dtype == torch.int64 for tensor in batch.inputs.values())


def test_empty_sides_keep_their_frame() -> None:
    batch = collate(DE_EN, (Ragged.of([[]]), Ragged.of([[]])), FORMAT)
    assert batch.inputs["input_ids"].tolist() == [[LAYOUT.tags["de"], LAYOUT.eos]]
    assert batch.inputs["labels"].tolist() == [[IGNORED, LAYOUT.eos]]


SIDE = st.lists(st.integers(4, 15), max_size=6)


@given(st.lists(st.tuples(SIDE, SIDE, st.sampled_from([EN_DE, DE_EN, EN_FR])), min_size=1, max_size=6), st.booleans())
def test_rows_are_framed_as_one_by_one(rows: list[tuple[list[int], list[int], Direction]], tag_loss: bool) -> None:
    sides = Ragged.of([source for source, _, _ in rows]), Ragged.of([target for _, target, _ in rows])
    text_format = FORMAT.with_tag_loss() if tag_loss else FORMAT
    found = collate_mixed([direction for _, _, direction in rows], sides, text_format).inputs
    tags, pad, eos = LAYOUT.tags, LAYOUT.pad, LAYOUT.eos
    for row, (source, target, direction) in enumerate(rows):
        read, written = [tags[direction.source], *source, eos], [tags[direction.target], *target, eos]
        labels = written if tag_loss else [IGNORED, *written[1:]]
        for name, ids, filler in (
            ("input_ids", read, pad), ("attention_mask", [1] * len(read), 0), ("labels", labels, IGNORED),
            ("decoder_input_ids", [eos, *written[:-1]], pad), ("decoder_attention_mask", [1] * len(written), 0),
        ):  # fmt: skip
            width = found[name].shape[1]
            assert found[name][row].tolist() == ids + [filler] * (width - len(ids))
