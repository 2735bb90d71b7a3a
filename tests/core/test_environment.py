"""The facts about the machine."""

from __future__ import annotations

import json

from neuronspec.core.environment import environment


def test_versions_and_machine_are_plain_json() -> None:
    found = environment()
    assert json.loads(json.dumps(found)) == found
    assert set(found) == {
        "python", "neuronspec", "torch", "transformers", "sacrebleu", "system", "processor", "cores", "threads",
        "accelerator",
    }  # fmt: skip
    assert found["processor"] and found["threads"] >= 1
