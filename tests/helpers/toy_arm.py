"""What an arm is given, for a toy: a baseline, its activations and masks, text in memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from neuronspec import record_activations
from neuronspec.arms.arm import Arm, Given, arm_of, get_arm, make
from neuronspec.arms.declared import declared
from neuronspec.arms.registry import ARMS
from neuronspec.batching.in_order import eval_batches
from neuronspec.batching.stream import Update
from neuronspec.core.direction import Direction
from neuronspec.core.signals import Interrupted
from neuronspec.models.load import load_model
from neuronspec.neurons.selection import select_masks
from neuronspec.recipe import Recipe
from neuronspec.training.model_folder import export_model
from neuronspec.training.trainer import Trainer
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR, ToyStore, toy_model, toy_tokenizer
from tests.helpers.toy_training import SETTINGS, SIZES

DIRECTIONS = [DE_EN, EN_DE, EN_FR]


class Store(ToyStore):
    """A toy store with the tokenizer that a run's has."""

    tokenizer = toy_tokenizer()


def toy_recipe(**sections: Any) -> Recipe:
    """Six updates a continuation, three directions; `sections` change it."""
    continuation = SETTINGS | {"updates": 6} | sections.pop("continuation", {})
    corpus = {"train": {"reader": "catalogs"}, "languages": ["de", "fr"], "directions": [str(d) for d in DIRECTIONS]}
    selection = {"coverage": 0.7} | sections.pop("selection", {})
    content = {"name": "toy", "corpus": corpus, "training": SETTINGS | {"updates": 1}, "continuation": continuation}
    return Recipe.model_validate(content | {"selection": selection} | sections)


def toy_given(folder: Path, name: str = "arm", **sections: Any) -> Given:
    """What the arm `name` is given, in the run folder `folder`; the baseline is made on the first call."""
    recipe, store, base = toy_recipe(**sections), Store(SIZES), folder / "base"
    kind, own = arm_of(recipe, name) if name in recipe.arm_names else (get_arm(name) if name in ARMS else None, recipe)
    masks = folder / "masks"
    given = Given(
        recipe=declared(own, kind) if kind else own,
        folder=folder / "arms" / name,
        base=base,
        activations=folder / "acts",
        masks=None if kind and kind.selects else masks,
        store=store,  # type: ignore[arg-type]
    )
    if not base.exists():
        export_model(toy_model(), store.tokenizer, base)
        batches = [b for d in DIRECTIONS for b in eval_batches(store.pairs("valid", d), d, store.tokenizer)]
        activations = record_activations(load_model(base), batches)
        activations.save(given.activations)
        select_masks(activations, recipe.selection, recipe.corpus, lambda: load_model(base)).save(masks)
    return given


def trained(folder: Path, arm: str | Arm, **sections: Any) -> Given:
    """Train an arm (by name, or one of your own) and return what it was given."""
    name = arm if isinstance(arm, str) else type(arm).__name__
    given = toy_given(folder, name, **sections)
    recipe = toy_recipe(**sections)
    named = isinstance(arm, str) and arm in recipe.arm_names
    make(arm_of(recipe, arm)[0] if named else get_arm(arm) if isinstance(arm, str) else arm, given)  # type: ignore
    return given


def logits(given: Given, arm: str | Arm, direction: Direction) -> torch.Tensor:
    """What the trained arm computes for a fixed input of a direction, `[rows, time, vocabulary]`."""
    kind = get_arm(arm) if isinstance(arm, str) else arm
    model, in_direction = kind.load(given)
    return logits_of(model, in_direction, direction)


@torch.no_grad()
def logits_of(model: Any, in_direction: Any, direction: Direction) -> torch.Tensor:
    """What `model` computes for a fixed input of a direction, `[rows, time, vocabulary]`."""
    inputs = torch.tensor([[4, 5, 6, 7, 2], [8, 9, 10, 11, 2]])
    model.eval()
    with in_direction(direction):
        return model(input_ids=inputs, decoder_input_ids=inputs).logits


def counting(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[str]:
    """The folder's name for every update that is made from now on; a signal comes in update number `stop_at`."""
    made: list[str] = []
    update: Callable[[Trainer, Iterator[Update]], None] = Trainer._update

    def counted(self: Trainer, updates: Iterator[Update]) -> None:
        made.append(self.job.folder.name)
        if len(made) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        update(self, updates)

    monkeypatch.setattr(Trainer, "_update", counted)
    return made


def stopped_and_resumed(monkeypatch: pytest.MonkeyPatch, folder: Path, arm: str, **sections: Any) -> Given:
    """As `trained`, stopped by a signal in its third update and started again."""
    with monkeypatch.context() as patched:
        counting(patched, stop_at=3)
        with pytest.raises(Interrupted):
            trained(folder, arm, **sections)
    return trained(folder, arm, **sections)
