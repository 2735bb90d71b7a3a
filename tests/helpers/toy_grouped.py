"""What all arms with parameters by group of directions must do, for a toy."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from neuronspec.arms import grouped
from neuronspec.arms.arm import Given, get_arm, make
from neuronspec.arms.grouped import Added, Grouped
from neuronspec.core.direction import Direction
from neuronspec.core.signals import Interrupted
from neuronspec.models.load import load_model
from neuronspec.training.loss import any_direction
from neuronspec.training.optimization import Optimizer
from tests.helpers.stored_weights import stored_weights
from tests.helpers.toy_arm import DIRECTIONS, logits, logits_of, toy_given, trained
from tests.helpers.toy_corpus import DE_EN, EN_DE, EN_FR

DE_FR = Direction("de", "fr")
INPUTS = torch.tensor([[4, 5, 6, 7, 2], [8, 9, 10, 11, 2]])


def fresh(folder: Path, name: str, **sections: Any) -> tuple[Given, Any, Added, Any]:
    """The arm before training: what it is given, the model, what was added, and the context of a direction."""
    given, arm = toy_given(folder, name, **sections), get_arm(name)
    assert isinstance(arm, Grouped)
    model = load_model(given.base)
    added = arm._add(model, arm.info(given.recipe, model), given.seed)
    return given, model, added, grouped._context(added, arm._routes(given.recipe))


def is_the_baseline_at_first(folder: Path, name: str, **sections: Any) -> None:
    given, model, added, in_direction = fresh(folder, name, **sections)
    expected = logits_of(load_model(given.base), any_direction, EN_DE)
    assert added.parameters
    for direction in DIRECTIONS:
        assert torch.equal(logits_of(model, in_direction, direction), expected)
    state = torch.get_rng_state()
    again = fresh(folder, name, **sections)[2]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, again.parameters[key]) for key, value in added.parameters.items())


def learns_in_its_group_alone(folder: Path, name: str, group: str, **sections: Any) -> None:
    """A step on a batch of en-de, whose group is `group`, changes no parameters but that group's."""
    given, model, added, in_direction = fresh(folder, name, **sections)
    optimizer = Optimizer(model, given.recipe.continuation)
    assert {id(value) for value in optimizer.parameters.values()} == {id(value) for value in added.parameters.values()}
    before = {key: value.detach().clone() for key, value in model.state_dict().items()}
    own = {key: value.detach().clone() for key, value in added.parameters.items()}
    for update in (1, 2):  # after the first, nothing is multiplied by zeros any more
        with in_direction(EN_DE):
            model(input_ids=INPUTS, labels=INPUTS).loss.backward()
        reached = {key for key, value in added.parameters.items() if value.grad is not None}
        assert reached == {key for key in own if key.startswith(f"{group}.")}
        assert all(value.grad is None for value in model.parameters() if not value.requires_grad)
        assert optimizer.clip() > 0
        optimizer.step(update)
    changed = {key for key, value in added.parameters.items() if not torch.equal(value, own[key])}
    assert changed == reached
    count = sum(not torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert count == len(changed)


def comes_back_as_trained(folder: Path, name: str, **sections: Any) -> Given:
    given = trained(folder, name, **sections)
    base, dense = stored_weights(given.base), stored_weights(given.folder)
    assert base.keys() == dense.keys() and all(torch.equal(value, dense[key]) for key, value in base.items())
    assert not list(given.folder.glob("model*.safetensors"))  # it is the base
    plain = logits_of(load_model(given.folder), any_direction, EN_DE)
    outputs = [logits(given, name, direction) for direction in DIRECTIONS]
    assert all(not torch.allclose(one, plain, atol=1e-4) for one in outputs)
    assert not torch.allclose(outputs[0], outputs[2], atol=1e-4)  # de-en and en-fr share no group
    arm = get_arm(name)
    assert isinstance(arm, Grouped)
    model, in_direction = arm.load(given)
    assert torch.equal(logits_of(model, any_direction, EN_DE), plain)  # outside of a direction
    with in_direction(EN_FR):
        logits_of(model, in_direction, EN_DE)
        assert torch.equal(logits_of(model, any_direction, EN_DE), outputs[DIRECTIONS.index(EN_FR)])
    return given


def composes(folder: Path, name: str, **sections: Any) -> None:
    """de-fr computes with the encoder of de-en and the decoder of en-fr."""
    given = trained(folder, name, **sections)
    model, in_direction = get_arm(name).load(given, [DE_FR])
    with torch.no_grad(), in_direction(DE_EN):
        encoded = model.get_encoder()(INPUTS)
    with torch.no_grad(), in_direction(EN_FR):
        expected = model(encoder_outputs=encoded, decoder_input_ids=INPUTS).logits
    assert torch.equal(logits_of(model, in_direction, DE_FR), expected)
    assert not torch.allclose(logits_of(model, in_direction, EN_FR), expected, atol=1e-4)


def goes_on_to_the_same(folder: Path, name: str, patch: pytest.MonkeyPatch, **sections: Any) -> None:
    whole = trained(folder / "whole", name, **sections)
    context, calls = grouped._context, iter(range(10**6))

    def stopping(*arguments: Any) -> Any:
        in_direction = context(*arguments)

        @contextmanager
        def scope(direction: Direction) -> Iterator[None]:
            if next(calls) == 4:
                os.kill(os.getpid(), signal.SIGTERM)
            with in_direction(direction):
                yield

        return scope

    patch.setattr(grouped, "_context", stopping)
    given = toy_given(folder / "stopped", name, **sections)
    with pytest.raises(Interrupted):
        make(get_arm(name), given)
    file = f"{get_arm(name).kind}.safetensors"  # type: ignore[attr-defined]
    assert not (given.folder / file).exists()
    make(get_arm(name), given)
    one, other = (load_file(one.folder / file) for one in (whole, given))
    assert one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())
