"""Training: the loop, its loss, schedule and checkpoints."""

from neuronspec.training.api import train
from neuronspec.training.interrupt import Interrupted
from neuronspec.training.log import read_log
from neuronspec.training.loss import BatchLoss, InDirection, Loss, batch_loss, validation_loss
from neuronspec.training.state import TrainingResult

__all__ = [
    "BatchLoss",
    "InDirection",
    "Interrupted",
    "Loss",
    "TrainingResult",
    "batch_loss",
    "read_log",
    "train",
    "validation_loss",
]
