"""The cost model of docs/costs.md: how far it is off, on what its constants don't come from."""

from __future__ import annotations

import pytest

from tests.helpers.pages import tool


def test_the_page_is_generated() -> None:
    generate = tool("generate_costs")
    assert generate.PAGE.read_text(encoding="utf-8") == generate.page(), "run make docs"


def test_what_was_not_used_to_fit_is_predicted_within_a_quarter() -> None:
    model = tool("cost_model")
    checked = [*model.gpu()[1], model.preparing()[2], *(each for each in model.cpu()[1] if "all but" in each.what)]
    assert len(checked) == 5
    assert {each.what: round(each.error, 2) for each in checked if abs(each.error) > 0.25} == {}


@pytest.mark.parametrize("overlap", [1, 2])
def test_constants_are_found_again(overlap: int) -> None:
    model = tool("cost_model")
    machine = model.Machine(1e14, (5e-11, 4e-11, 3e-3), overlap)
    sizes = [
        (256, 1024, 3, 8000, 1e3),
        (512, 2048, 6, 32_000, 1e4),
        (1024, 4096, 6, 64_000, 5e4),
        (512, 1024, 12, 4000, 2e3),
    ]
    updates = [model.Update(model.bart_like(*shape), tokens, 0.9 * tokens) for *shape, tokens in sizes]
    found = model.Machine.fitted(machine.ceiling, [(update, machine.seconds(update)) for update in updates], overlap)
    assert found.constants == pytest.approx(machine.constants, rel=1e-3)
    longer = model.Update(updates[0].shape, 1e3, 900, checkpointing=True)
    assert longer.flops > updates[0].flops
