"""Evaluating an arm: translate each direction's test set, write it down, score it."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.batching.in_order import eval_batches, spread
from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import write_text
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.results import ArmScores, DirectionScore, read_scores, write_scores
from neuronspec.evaluation.scorer import Scorer, check_scoring, score_direction
from neuronspec.models.fingerprint import weights_fingerprint
from neuronspec.models.fit import check_fit
from neuronspec.models.precision import products_of, without_gradients_in
from neuronspec.specialization.model_state import attached
from neuronspec.training.loss import InDirection, any_direction, validation_loss
from neuronspec.translation.engine import make_engine, write_n_best
from neuronspec.translation.settings import EvaluationSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TestSet:
    """The test sentences of a direction: as many sources, cleaned, as references, as they were read."""

    direction: Direction
    sources: list[str]
    references: list[str]


def read_test_set(store: TokenStore, direction: Direction, limit: int | None) -> TestSet:
    """At most `limit` test pairs of a direction, spread evenly.

    Raises:
        EvaluationError: there are none.
    """
    pairs = store.pairs("test", direction)
    chosen = spread(len(pairs), limit)
    if not len(chosen):
        raise EvaluationError(
            f"no test sentences for {direction}: give it some (corpus.test, corpus.test_share), or leave it out"
        )
    sources, references = pairs.source_texts(), pairs.references()
    return TestSet(direction, [sources[i] for i in chosen], [references[i] for i in chosen])


def evaluate_arm(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    store: TokenStore,
    directions: Sequence[Direction],
    settings: EvaluationSettings,
    folder: Path,
    *,
    in_direction: InDirection = any_direction,
    progress: Progress = SILENT,
) -> ArmScores:
    """Translate and score every direction's test set; skip those that `folder` holds already.

    Joined processes share the directions; all of them call this.

    Writes `en-de.{src,hyp,ref}` (and `en-de.nbest.jsonl` where `n_best` is above 1) into `folder`, and then the scores
    so far to `scores.json`. What is there counts only if it was made from the same corpus, settings (but
    `settings.scores`), weights and masks. COMET comes later, for all arms at once (`score_arms`).

    Args:
        model: the arm's, specialized if it has masks.
        tokenizer: has a tag for every language.
        store: holds the test sets.
        directions: to translate.
        settings: how.
        folder: `RUN/evaluation/ARM`.
        in_direction: the context of a direction's computation, such as masks.
        progress: shows how far it is, in directions.

    Returns:
        The scores by direction.

    Raises:
        EvaluationError: no test sentences, a BLEU tokenizer isn't installed, or the model gives NaN.
        DirectionError: the tokenizer has no tag for a language.
        ModelError: the tokenizer isn't the model's.
    """
    check_scoring(settings.scores, [direction.target for direction in directions])
    check_fit(model, tokenizer, folder)
    scorer = Scorer.of_run(settings.scores, directions, store)
    products = _products(model, settings)
    made_from = _fingerprint(store, settings, _facts_of(model), products)
    scores = {name: score for name, score in read_scores(folder, made_from).items() if name in map(str, directions)}
    engine = make_engine(model, tokenizer, settings)
    joined = processes()
    own = joined.share([direction for direction in directions if str(direction) not in scores])
    done: ArmScores = {}
    for direction in progress.track(own, f"translating ({folder.name})"):
        test = read_test_set(store, direction, settings.max_sentences)
        started = time.monotonic()
        with in_direction(direction), _computing(model, settings):
            lines = engine.translate(test.sources, direction)
        logger.debug("%s: %s: %d sentences in %.1f s", folder.name, direction, len(lines), time.monotonic() - started)
        if settings.n_best > 1:
            write_n_best(folder / f"{direction}.nbest.jsonl", lines)
        if lines.truncated:
            logger.warning("%s: %d sources were cut to what the model reads", direction, lines.truncated)
        loss = _test_loss(model, tokenizer, store, direction, settings, in_direction)
        done[str(direction)] = _write(folder, test, list(lines), loss, lines.truncated, scorer)
        if joined.size == 1:
            write_scores(folder, scores | done, made_from, products)
    for part in joined.gather(done):
        scores |= part
    scores = {str(direction): scores[str(direction)] for direction in directions}
    if joined.is_main:
        write_scores(folder, scores, made_from, products)
    return scores


def evaluate_copy(
    store: TokenStore, directions: Sequence[Direction], settings: EvaluationSettings, folder: Path
) -> None:
    """Score the source as its own translation: the floor. Writes the same files as `evaluate_arm`."""
    check_scoring(settings.scores, [direction.target for direction in directions])
    scorer = Scorer.of_run(settings.scores, directions, store)
    scores: ArmScores = {}
    for direction in directions:
        test = read_test_set(store, direction, settings.max_sentences)
        scores[str(direction)] = _write(folder, test, test.sources, None, 0, scorer)
    write_scores(folder, scores, _fingerprint(store, settings, "copy"))


def _computing(model: PreTrainedModel, settings: EvaluationSettings) -> AbstractContextManager[None]:
    """The precision that the model is evaluated in; other engines have their own."""
    return without_gradients_in(settings.precision, model) if settings.engine == "transformers" else nullcontext()


def _products(model: PreTrainedModel, settings: EvaluationSettings) -> str | None:
    """What products are computed in, where that isn't the type of the weights."""
    with _computing(model, settings):
        found = products_of(model)
    return None if found == products_of(model) else found


def _facts_of(model: PreTrainedModel) -> str:
    """A hash of a model's weights, and of its masks where it is specialized."""
    state = attached(model)
    weights = weights_fingerprint(model)
    if state is None:
        return weights
    digest = hashlib.sha256(f"{weights} {state.semantics}".encode())
    for direction in sorted(set(state.masks) - set(state.masks.info.composed)):
        for site, mask in sorted(state.masks[direction].items()):
            digest.update(f"\n{direction} {site}\n".encode() + mask.cpu().numpy().tobytes())
    return digest.hexdigest()[:32]


def _fingerprint(store: TokenStore, settings: EvaluationSettings, model: str, products: str | None = None) -> str:
    """A hash of what translations depend on."""
    facts = [store.fingerprint(), settings.translation, model, *([products] if products else [])]
    content = json.dumps(facts, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(
    folder: Path, test: TestSet, lines: list[str], loss: float | None, truncated: int, scorer: Scorer
) -> DirectionScore:
    texts = [test.sources, lines, test.references]
    for part, text in zip(("src", "hyp", "ref"), texts, strict=True):
        write_text(folder / f"{test.direction}.{part}", "".join(f"{line}\n" for line in text))
    facts = {"loss": loss, "n": len(lines), "truncated": truncated}
    return score_direction(folder, str(test.direction), texts, scorer, facts)[0]


def _test_loss(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    store: TokenStore,
    direction: Direction,
    settings: EvaluationSettings,
    in_direction: InDirection,
) -> float:
    """Nats per target token over the sentences that are translated."""
    pairs = store.pairs("test", direction)
    batches = eval_batches(
        pairs, direction, tokenizer, batch_tokens=settings.batch_tokens, limit=settings.max_sentences
    )
    with _computing(model, settings):
        loss = validation_loss(model, batches, in_direction)[direction].per_token
    if not math.isfinite(loss):
        raise EvaluationError(f"the loss of {direction} is {loss}: the model diverged; lower the learning rate")
    return loss
