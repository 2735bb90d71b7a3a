"""Two processes under torchrun end with the weights of one process that accumulates twice as much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.helpers.toy_corpus import toy_model
from tests.helpers.toy_processes import KINDS, NARROW, UPDATES, train_kind

from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import Processes
from neuronspec.training.log import read_log
from neuronspec.training.parallel import Parallel

ROOT = Path(__file__).parents[2]


def torchrun(*arguments: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    torchrun("-m", "tests.helpers.train_in_processes", str(folder))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_equal_one_with_twice_the_accumulation(tmp_path: Path, both: Path, kind: str) -> None:
    result = train_kind(tmp_path / "one", kind, UPDATES, accumulation=2)
    one, two = (folder / "checkpoints" / f"step-{UPDATES}" for folder in (tmp_path / "one", both / kind))
    for name in ("model.safetensors", "optimizer.safetensors"):
        expected, found = load_file(one / name), load_file(two / name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert (value - found[key]).abs().max() < 1e-6, key
    exported, alone = load_file(both / kind / "model.safetensors"), load_file(tmp_path / "one" / "model.safetensors")
    assert exported.keys() == alone.keys()
    expected_losses, losses = (validations(folder) for folder in (tmp_path / "one", both / kind))
    assert expected_losses.keys() <= losses.keys()
    assert all(losses[update] == pytest.approx(loss, abs=1e-6) for update, loss in expected_losses.items())
    log = read_log(both / kind / "log.jsonl")
    assert [line["update"] for line in log if line["kind"] == "resume"] == [UPDATES // 2]
    assert log[-1]["target_tokens"] == result.target_tokens


@pytest.mark.parametrize("kind", NARROW)
def test_fsdp_gathers_in_bf16_and_trains_the_same(tmp_path: Path, both: Path, kind: str) -> None:
    """The losses of one process under autocast, which keeps weights in float32; what is trained is float32 in both."""
    train_kind(tmp_path / "one", kind, UPDATES, accumulation=2)
    expected, found = validations(tmp_path / "one"), validations(both / kind)
    assert expected.keys() == found.keys()
    assert list(found.values()) == pytest.approx(list(expected.values()), rel=2e-2)
    weights = load_file(both / kind / "checkpoints" / f"step-{UPDATES}" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float32}
    assert any(not value.equal(value.bfloat16().float()) for value in weights.values())


def test_fsdp_refuses_models_that_drop_layers() -> None:
    """A process would wait for ever for a layer that the other leaves out."""
    model = toy_model()
    model.config.decoder_layerdrop = 0.05
    with pytest.raises(TrainingError, match="drops layers at random"):
        Parallel(model, "fsdp", Processes(0, 2))


def validations(folder: Path) -> dict[int, float]:
    return {line["update"]: line["loss"] for line in read_log(folder / "log.jsonl") if line["kind"] == "validation"}
