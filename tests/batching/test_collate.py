import numpy as np
import torch
from tests.helpers.toy_corpus import DE_EN, EN_DE, FORMAT, LAYOUT

from neuronspec.batching.collate import collate
from neuronspec.models.frames import IGNORED


def test_layout_is_that_of_m2m100() -> None:
    batch = collate(EN_DE, [(np.array([4, 5]), np.array([6])), (np.array([7]), np.array([8, 9, 10]))], FORMAT)
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
    batch = collate(DE_EN, [(np.array([], dtype=np.int64), np.array([], dtype=np.int64))], FORMAT)
    assert batch.inputs["input_ids"].tolist() == [[LAYOUT.tags["de"], LAYOUT.eos]]
    assert batch.inputs["labels"].tolist() == [[IGNORED, LAYOUT.eos]]
