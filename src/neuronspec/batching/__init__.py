"""Batches: token budgets, temperature sampling over directions, the token layout."""

from neuronspec.batching.batch import Batch
from neuronspec.batching.collate import IGNORED, Layout, collate
from neuronspec.batching.evaluation import eval_batches, spread
from neuronspec.batching.plan import EpochPlan, plan_epoch, plan_in_order
from neuronspec.batching.sampler import DirectionSampler, TrainingBatch, TrainingBatches, sampling_probabilities

__all__ = [
    "IGNORED",
    "Batch",
    "DirectionSampler",
    "EpochPlan",
    "Layout",
    "TrainingBatch",
    "TrainingBatches",
    "collate",
    "eval_batches",
    "plan_epoch",
    "plan_in_order",
    "sampling_probabilities",
    "spread",
]
