"""A model over several processes: DDP or FSDP2, or neither."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import Processes
from neuronspec.models.batch import Batch
from neuronspec.training.loss import BatchLoss, batch_loss


class _LossModule(nn.Module):
    """The model and its loss as one module: what DDP and FSDP2 wrap must compute all of an update in its forward."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, label_smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
        loss = batch_loss(self.model, batch, label_smoothing)
        return loss.smoothed, loss.nats


class Parallel:
    """Computes the loss of batches with a model that `processes` train together.

    With `ddp` every process holds the whole model; with `fsdp` (FSDP2's `fully_shard`) each holds a share of every
    parameter, and gathers a layer's when it needs them. Either way gradients are *averaged* over processes.

    Args:
        model: the same in every process; with `fsdp` its parameters become sharded ones (`DTensor`).
        strategy: `ddp` or `fsdp`.
        processes: how many there are.
        precision: that forward passes run in. With `bf16`, `fsdp` gathers and computes in bf16, reduces gradients in
            float32, and keeps the shares that are trained in float32.

    Raises:
        TrainingError: `fsdp`, and the model drops whole layers at random.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        strategy: Literal["ddp", "fsdp"],
        processes: Processes,
        precision: str = "float32",
    ) -> None:
        module = _LossModule(model)
        self.size = processes.size
        self.sharded = processes.size > 1 and strategy == "fsdp"
        self._forward: Any = module
        if self.sharded:
            check_layerdrop(vars(model.config))
            _shard(module, precision)
        elif processes.size > 1:
            # Called broadcast_buffers before torch 2.13, where that name still works but warns.
            new = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
            options: dict[str, Any] = {"forward_sync_buffers" if new else "broadcast_buffers": False}
            options["find_unused_parameters"] = drops_layers(model)
            self._forward = DistributedDataParallel(module, gradient_as_bucket_view=True, **options)

    def loss(self, batch: Batch, label_smoothing: float = 0.0) -> BatchLoss:
        """The loss of a batch on the model's device, as `batch_loss`."""
        # In evaluation DDP has nothing to do, and processes may have different numbers of batches.
        forward = self._forward if torch.is_grad_enabled() or self.sharded else _inner(self._forward)
        return BatchLoss(*forward(batch, label_smoothing))

    def accumulating(self, last: bool) -> AbstractContextManager[Any]:
        """The context of a micro-batch's forward and backward: gradients are averaged after the last one."""
        if self.sharded:
            return self._sharded_accumulating(last)
        return self._forward.no_sync() if self.size > 1 and not last else nullcontext()

    @contextmanager
    def _sharded_accumulating(self, last: bool) -> Iterator[None]:
        self._forward.set_requires_gradient_sync(last)
        yield

    def release(self) -> None:
        """After a forward without backward: FSDP2 gives up gathered parameters, which the next step would change."""
        if self.sharded:
            self._forward.reshard()


def drops_layers(model: PreTrainedModel) -> bool:
    """Whether training leaves out whole layers at random (LayerDrop), others in each process, as M2M-100 does."""
    return _layerdrop(vars(model.config))


def _layerdrop(fields: Mapping[str, Any]) -> bool:
    return any(name.endswith("layerdrop") and value for name, value in fields.items())


def check_layerdrop(fields: Mapping[str, Any]) -> None:
    """Check that a model whose layers are sharded drops none at random.

    Args:
        fields: of its configuration.

    Raises:
        TrainingError: it does.
    """
    if _layerdrop(fields):
        raise TrainingError(
            "parallel: fsdp gathers each layer from all processes, and this model drops layers at random, others in "
            "each process: set parallel: ddp, or the model's encoder_layerdrop and decoder_layerdrop to 0 (in the "
            "section model, or in config.json of the checkpoint)"
        )


def _inner(module: Any) -> nn.Module:
    return module.module if isinstance(module, DistributedDataParallel) else module


def _shard(module: _LossModule, precision: str) -> None:
    """Shard each layer by itself, so that one layer at a time is gathered, and what is left with the whole."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    narrow = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = narrow if precision == "bf16" else MixedPrecisionPolicy()
    names = set(module.model._no_split_modules or ())
    for layer in module.model.modules():
        if type(layer).__name__ in names:
            fully_shard(layer, mp_policy=policy)
    fully_shard(module, mp_policy=policy)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """The full tensor of a sharded one (all processes must ask for it); any other as it is."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(tensor: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A full tensor on the device of `parameter`, and sharded as it is."""
    tensor = tensor.to(parameter.device)
    if not hasattr(parameter, "placements"):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(parameter, DTensor)
    return distribute_tensor(tensor, parameter.device_mesh, parameter.placements)
