import numpy as np
import pytest
from tests.helpers.toy_corpus import EN_DE, ToyStore, toy_tokenizer

from neuronspec.batching.in_order import eval_batches, spread


def rows(limit: int | None, budget: int = 60) -> list[list[int]]:
    pairs = ToyStore({EN_DE: 50}).pairs("train", EN_DE)
    batches = list(eval_batches(pairs, "en-de", toy_tokenizer(), batch_tokens=budget, limit=limit))
    assert all(batch.direction == EN_DE for batch in batches)
    longest = [max(batch.inputs["input_ids"].shape[1], batch.inputs["labels"].shape[1]) for batch in batches]
    assert longest == sorted(longest)
    assert all(len(batch.inputs["input_ids"]) * size <= budget for batch, size in zip(batches, longest, strict=True))
    return [row for batch in batches for row in batch.inputs["input_ids"].tolist()]


def test_every_pair_once() -> None:
    assert len(rows(None)) == 50
    assert len(rows(1000)) == 50


def test_limit_takes_so_many() -> None:
    assert len(rows(7)) == 7
    assert len(rows(1, budget=1000)) == 1


@pytest.mark.parametrize(
    ("size", "limit", "expected"), [(10, 3, [0, 3, 6]), (5, None, [0, 1, 2, 3, 4]), (3, 3, [0, 1, 2])]
)
def test_spread(size: int, limit: int | None, expected: list[int]) -> None:
    assert spread(size, limit).tolist() == expected


def test_no_pairs_no_batches() -> None:
    pairs = ToyStore({EN_DE: 0}).pairs("train", EN_DE)
    assert list(eval_batches(pairs, EN_DE, toy_tokenizer())) == []
    assert np.array_equal(spread(0, 5), np.zeros(0))
