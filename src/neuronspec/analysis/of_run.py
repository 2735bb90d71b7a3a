"""The analyses of a run: its baseline and its continuations, on its validation text."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neuronspec.analysis.ablation import ablation_matrices
from neuronspec.analysis.drift import stability
from neuronspec.analysis.examine import choose_neurons, drift_summary, firings
from neuronspec.analysis.findings import DriftSummary, Findings
from neuronspec.batching.in_order import eval_batches, parts_of
from neuronspec.core.direction import Direction
from neuronspec.core.progress import SILENT, Progress
from neuronspec.models.batch import Batch
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations

if TYPE_CHECKING:
    from neuronspec.analysis.settings import AnalysisSettings
    from neuronspec.corpus.store import TokenStore
    from neuronspec.neurons.settings import RecordingSettings

logger = logging.getLogger(__name__)

Loaded = tuple[Any, Callable[[Direction], AbstractContextManager[Any]]]
"""A model, and the context that a direction is run in."""


@dataclass(frozen=True, slots=True)
class Material:
    """What the analyses of a run read.

    Args:
        base: loads the baseline.
        arms: by name, loads a continuation: the model and the context of a direction; its masks must leave the width
            of the layers as it is (method `rows`).
        store: the text.
        directions: that were recorded.
        acts: recorded from the baseline.
        masks: selected from these.
        select: selects masks as the recipe says; with `model`, a function that gives it, of another model's weights.
        pivot: the language in the middle.
        families: by language.
        seed: of random neurons.
    """

    base: Callable[[], Any]
    arms: Mapping[str, Callable[[], Loaded]]
    store: TokenStore
    directions: list[Direction]
    acts: Activations
    masks: NeuronMasks
    select: Callable[..., NeuronMasks]
    pivot: str
    families: Mapping[str, str]
    seed: int


def analyse_run(
    material: Material, settings: AnalysisSettings, recording: RecordingSettings, progress: Progress = SILENT
) -> Findings:
    """Run all analyses of a run that need its models.

    Args:
        material: see `Material`.
        settings: the section `analysis`.
        recording: the section `recording`.
        progress: shows how far the causal check is.
    """
    store = material.store
    sample: dict[str, list[Batch]] = {
        str(direction): list(_batches(material, recording.split, direction, settings.sentences))
        for direction in material.directions
    }
    base = material.base()
    logger.info("turning neurons off")
    ablation = ablation_matrices(
        base, material.acts, sample, pivot=material.pivot, share=settings.share, seed=material.seed, progress=progress
    )
    logger.info("looking at neurons")
    featured = choose_neurons(material.acts, material.masks, material.pivot, material.families)
    tokens = firings(base, store.tokenizer, sample, featured, material.directions, material.pivot)
    logger.info("recording parts of the text")
    parts = _recorded_parts(base, material, recording, settings.parts)
    rows = stability(parts, material.select) if len(parts) > 1 else []
    logger.info("recording the continuations")
    return Findings(ablation, featured, tokens, _drift(material, recording), rows)


def _batches(material: Material, split: str, direction: Direction, limit: int) -> Iterator[Batch]:
    pairs = material.store.pairs(split, direction)
    return eval_batches(pairs, direction, material.store.tokenizer, batch_tokens=4096, limit=limit)


def _recorded_parts(model: Any, material: Material, recording: RecordingSettings, number: int) -> list[Activations]:
    """The recording text of every direction in `number` parts (as many as its shortest direction has sentences)."""
    store = material.store
    by_direction = [
        (direction, parts_of(store.pairs(recording.split, direction), number, recording.sentences))
        for direction in material.directions
    ]
    shortest = min(len(parts) for _, parts in by_direction)
    return [
        record_activations(
            model,
            (
                batch
                for direction, parts in by_direction
                for batch in eval_batches(parts[index], direction, store.tokenizer, batch_tokens=4096)
            ),
            positions=recording.positions,
            count_padding=recording.count_padding,
            precision=recording.precision,
            shared=False,  # one process analyses
        )
        for index in range(shortest)
    ]


def _drift(material: Material, recording: RecordingSettings) -> list[DriftSummary]:
    """Masks recorded again from the continuations as they compute."""
    return [
        drift_summary(arm, material.masks, _selected_again(load, material, recording))
        for arm, load in material.arms.items()
    ]


def _selected_again(load: Callable[[], Loaded], material: Material, recording: RecordingSettings) -> NeuronMasks:
    """The masks of a continuation; a criterion may read its weights."""
    model, in_direction = load()
    return material.select(_record(model, in_direction, material, recording), model=lambda: model)


def _record(
    model: Any,
    in_direction: Callable[[Direction], AbstractContextManager[Any]],
    material: Material,
    recording: RecordingSettings,
) -> Activations:
    total: Activations | None = None
    for direction in material.directions:
        with in_direction(direction):
            batches = _batches(material, recording.split, direction, recording.sentences)
            acts = record_activations(
                model,
                batches,
                positions=recording.positions,
                count_padding=recording.count_padding,
                precision=recording.precision,
                shared=False,
            )
        total = acts if total is None else total + acts
    assert total is not None
    return total
