"""How often the host asks a tensor for a number or a length while it trains: on a GPU each time is a wait."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import toy_model
from tests.helpers.toy_training import SIZES, toy_train
from tests.helpers.waits import Waits

from neuronspec.core.direction import Direction
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.scope import use_direction
from neuronspec.training import trainer


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What updates wait for, and how often losses are read in them; without their saving and validating."""
    seen: Counter[str] = Counter()
    update, read, rand = trainer.Trainer._update, torch.Tensor.tolist, torch.rand

    def drawn(*size: Any, **more: Any) -> Any:
        """Transformers 5.17 draws, always on the CPU, whether it leaves out a layer, also where it never does."""
        return 1.0 if size == ([],) and not more else rand(*size, **more)

    def counted(self: trainer.Trainer, updates: Any) -> None:
        with Waits() as mode, monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "tolist", lambda tensor: seen.update(["read"]) or read(tensor))
            update(self, updates)
        seen.update(mode.seen)
        seen["updates"] += 1

    monkeypatch.setattr(trainer.Trainer, "_update", counted)
    monkeypatch.setattr(torch, "rand", drawn)
    return seen


@pytest.mark.parametrize("semantics", [None, "weight", "gradient"])
def test_an_update_waits_once_for_its_losses(tmp_path: Path, semantics: str | None, waits: Counter[str]) -> None:
    model = toy_model(dropout=0.0)  # a CPU's dropout takes its seed from torch, a GPU's has none of it

    def scope(direction: Direction) -> AbstractContextManager[None]:
        return use_direction(model, direction) if semantics else nullcontext()

    if semantics:
        specialize(model, random_masks(model, tuple(map(str, SIZES))), semantics)
        for direction in SIZES:
            specialization_of(model).selections_of(direction)  # each is made once
    toy_train(tmp_path, 3, model=model, in_direction=scope)
    assert waits == {"updates": 3, "read": 3}
