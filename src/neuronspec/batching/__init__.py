"""Batches: token budgets, temperature sampling over directions, the token layout."""

from neuronspec.batching.batch import Batch, MixedBatch
from neuronspec.batching.collate import IGNORED, Layout, collate, collate_mixed
from neuronspec.batching.draws import DirectionSampler, Draw
from neuronspec.batching.evaluation import eval_batches, spread
from neuronspec.batching.plan import EpochPlan, plan_epoch, plan_in_order
from neuronspec.batching.sampler import (
    TrainingBatch,
    TrainingBatches,
    sampling_probabilities,
    weighted_probabilities,
)
from neuronspec.batching.updates import Prefetched, Update, Updates

__all__ = [
    "IGNORED",
    "Batch",
    "DirectionSampler",
    "Draw",
    "EpochPlan",
    "Layout",
    "MixedBatch",
    "Prefetched",
    "TrainingBatch",
    "TrainingBatches",
    "Update",
    "Updates",
    "collate",
    "collate_mixed",
    "eval_batches",
    "plan_epoch",
    "plan_in_order",
    "sampling_probabilities",
    "spread",
    "weighted_probabilities",
]
