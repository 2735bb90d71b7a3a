"""Training batches: which directions and pairs come next, and the tensors made of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from neuronspec.batching.collate import collate, collate_mixed
from neuronspec.batching.draws import Draw, MixedDraws, SeparateDraws, TrainingPairs, in_this_order
from neuronspec.batching.sampling import probabilities_of
from neuronspec.core.direction import Direction
from neuronspec.core.errors import TrainingError
from neuronspec.core.processes import Processes
from neuronspec.models.batch import Batch
from neuronspec.models.frames import Sides
from neuronspec.models.ragged import Ragged
from neuronspec.models.text_format import TextFormat
from neuronspec.training.settings import TrainingSettings

logger = logging.getLogger(__name__)


class Store(Protocol):
    """What training needs of the token store (`neuronspec.corpus.store.TokenStore`)."""

    def directions(self, split: str) -> Sequence[Direction]:
        """The directions that have pairs in a split, `train` or `valid`."""

    def pairs(self, split: str, direction: Direction) -> TrainingPairs:
        """The pairs of a direction in a split."""


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A micro-batch, its place in the stream, and how much of it is padding.

    Args:
        batch: the tensors; a `MixedBatch` if its rows are of several directions.
        draw: its number among all micro-batches, from 0.
        name: for messages: directions, epoch and number.
        tokens: tokens of both sides that aren't padding.
        padded: tokens of both sides with padding.
    """

    batch: Batch
    draw: int
    name: str
    tokens: int
    padded: int


class TrainingBatches:
    """An endless stream of micro-batches that can be resumed anywhere without replay.

    Directions are drawn by temperature or by weight; each direction goes through all its pairs once per epoch, in an
    order that depends on (seed, epoch, direction) alone. A micro-batch holds one direction, or mixes them
    (`mix_directions`). `draw` says which pairs come next, `make` makes tensors of them.

    Args:
        store: gives the training pairs.
        directions: all to draw from.
        text_format: how the model reads a pair.
        settings: say how directions are drawn, how large micro-batches are, and whether they mix directions.
        seed: of the order of the data.
        replayed: other directions, to which the share `settings.replay` of the draws goes.

    Attributes:
        sizes: by direction, its pairs.
        probabilities: of the directions, as the settings ask for them.
        drawn: by direction, its share of the micro-batches; of their rows, where they mix directions.

    Raises:
        TrainingError: a direction has no training pairs.
        RecipeError: the weights aren't of these directions.
    """

    def __init__(
        self,
        store: Store,
        directions: Sequence[Direction],
        text_format: TextFormat,
        settings: TrainingSettings,
        seed: int,
        replayed: Sequence[Direction] = (),
    ) -> None:
        _check_directions(store, [*directions, *replayed])
        self._pairs = {direction: store.pairs("train", direction) for direction in sorted([*directions, *replayed])}
        self._text_format = text_format
        self.sizes = {direction: len(pairs) for direction, pairs in self._pairs.items()}
        self.probabilities = probabilities_of(self.sizes, settings, replayed)
        self._own, self._replayed, drawn = sorted(directions), sorted(replayed), self.probabilities
        kind = MixedDraws if settings.mix_directions else SeparateDraws
        common = settings.batch_tokens, seed, text_format.frame.framing
        self._draws = kind(self._pairs, self.probabilities, *common)
        if settings.sample == "sentences" and isinstance(self._draws, SeparateDraws):
            # As many sentences as asked for are in more batches where they are long.
            batches = self._draws.batches()
            shares = {one: share * batches[one] / self.sizes[one] for one, share in self.probabilities.items()}
            total = sum(shares.values())
            drawn = {one: share / total for one, share in shares.items()}
            self._draws = SeparateDraws(self._pairs, drawn, *common)
        self.drawn: Mapping[Direction, float] = drawn
        self._replay = sum(drawn[one] for one in self._replayed)

    def draw(self) -> Draw:
        """The next micro-batch, without its tensors."""
        return next(self._draws)

    def make(self, draw: Draw) -> TrainingBatch:
        """The tensors of a micro-batch."""
        if draw.columns is None:
            (direction,) = draw.directions
            batch = collate(direction, self._pairs[direction].gather(draw.indices), self._text_format)
        else:
            sides = self._gather(draw.by_direction())
            batch = collate_mixed(draw.row_directions(), sides, self._text_format)
        masks = [batch.inputs[name] for name in ("attention_mask", "decoder_attention_mask") if name in batch.inputs]
        tokens, padded = sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)
        return TrainingBatch(batch, draw.number, draw.name, tokens, padded)

    def _gather(self, rows: Mapping[Direction, tuple[np.ndarray, np.ndarray]]) -> Sides:
        """The pairs of several directions, each with the places of its rows and their pairs."""
        parts = [self._pairs[direction].gather(indices) for direction, (_, indices) in rows.items()]
        places = np.concatenate([places for places, _ in rows.values()])
        order = np.empty_like(places)
        order[places] = np.arange(len(places))
        sources, targets = (Ragged.chained(sides).take(order) for sides in zip(*parts, strict=True))
        return sources, targets

    def target_tokens(self, draw: Draw) -> int:
        """Target tokens of a micro-batch that take loss: pieces, the end, and the tag where it does."""
        beside = self._text_format.frame.labelled
        rows = draw.by_direction().items()
        return sum(int(self._pairs[one].target_lengths[some].sum()) + beside * len(some) for one, (_, some) in rows)

    def __iter__(self) -> TrainingBatches:
        return self

    def __next__(self) -> TrainingBatch:
        return self.make(self.draw())

    def batches_per_epoch(self) -> int:
        """About as many micro-batches as hold every pair of every direction once, and what is replayed meanwhile."""
        return round(self._draws.per_epoch(self._own) / (1 - self._replay))

    def passes(self) -> dict[Direction, float]:
        """Passes over the pairs of each direction so far, in epochs."""
        return self._draws.passes()

    def upsampling(self) -> dict[Direction, float]:
        """By direction, the ratio of its probability to its share of all pairs: 1 is sampling by size."""
        total = sum(self.sizes.values())
        return {direction: self.probabilities[direction] * total / size for direction, size in self.sizes.items()}

    def facts(self) -> dict[str, dict[str, float]]:
        """By direction: `pairs`, `probability` and `upsampling`, as plain JSON values."""
        upsampling = self.upsampling()
        return {
            str(one): {"pairs": size, "probability": self.probabilities[one], "upsampling": upsampling[one]}
            for one, size in self.sizes.items()
        }

    def describe(self) -> str:
        """The number of pairs and the range of the upsampling, in one line."""
        upsampling = self.upsampling()
        least, most = min(upsampling, key=upsampling.__getitem__), max(upsampling, key=upsampling.__getitem__)
        share = sum(self.probabilities[one] for one in self._replayed)
        replayed = f"; {share:.0%} are replayed, from {len(self._replayed)} of the directions" if share else ""
        return (
            f"{sum(self.sizes.values()):,} pairs in {len(upsampling)} directions, sampled from "
            f"{upsampling[least]:.2f} ({least}) to {upsampling[most]:.2f} ({most}) times as often as by size{replayed}"
        )

    def volume(self) -> dict[Direction, tuple[int, int, int]]:
        """Pairs, source tokens and target tokens (without tags) of each direction."""
        return {
            direction: (len(pairs), int(pairs.source_lengths.sum()), int(pairs.target_lengths.sum()))
            for direction, pairs in self._pairs.items()
        }

    def state(self) -> dict[str, Any]:
        """What `restore` needs to continue from here, as plain JSON values."""
        return self._draws.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state()` was taken, or from the beginning of the epoch if batches held other pairs then."""
        if not in_this_order(state):
            logger.warning(
                "an earlier version of neuronspec began this training and made other batches: "
                "each direction begins its present epoch again"
            )
        self._draws.restore(state)


def _check_directions(store: Store, directions: Sequence[Direction]) -> None:
    available = set(store.directions("train"))
    empty = [str(one) for one in sorted(directions) if one not in available or not len(store.pairs("train", one))]
    if empty or not directions:
        raise TrainingError(
            f"no training pairs for {', '.join(empty) or 'any direction: none was named'}; "
            f"the data has {', '.join(map(str, sorted(available))) or 'none'}. "
            "Take them out of corpus.directions, or add text"
        )


Item = TypeVar("Item")

AHEAD = 2
"""Updates that are made ready before they are needed."""


@dataclass(frozen=True, slots=True)
class Update:
    """What one update is made from.

    Args:
        micro_batches: those of this process.
        target_tokens: of all processes' micro-batches together.
        state: of the stream after it, for `TrainingBatches.restore`.
    """

    micro_batches: list[TrainingBatch]
    target_tokens: int
    state: dict[str, Any]


class Updates(Iterator[Update]):
    """The updates of a stream of micro-batches, dealt out to the processes in turn.

    N processes with A micro-batches each see in every update what one process with N * A would.

    Args:
        batches: the stream; every process has the same one.
        accumulation: micro-batches of one process in an update.
        processes: how many there are, and which this is.
        pin: put the tensors into memory that a GPU copies from while it computes.
    """

    def __init__(self, batches: TrainingBatches, accumulation: int, processes: Processes, pin: bool = False) -> None:
        self._batches, self._accumulation, self._processes, self._pin = batches, accumulation, processes, pin

    def __next__(self) -> Update:
        draws = [self._batches.draw() for _ in range(self._accumulation * self._processes.size)]
        own = [self._batches.make(draw) for draw in self._processes.share(draws)]
        if self._pin:
            own = [replace(one, batch=one.batch.pinned()) for one in own]
        return Update(own, sum(map(self._batches.target_tokens, draws)), self._batches.state())


class Prefetched(Iterator[Item], Generic[Item]):
    """The items of an iterator, made ahead in a thread of its own. Use as a context manager.

    The iterator's errors come where its item is taken. Nobody else may use the iterator until the block has ended.
    """

    def __init__(self, items: Iterator[Item], ahead: int = AHEAD) -> None:
        self._items = items
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._waiting: deque[Future[Item]] = deque(self._request() for _ in range(ahead))

    def _request(self) -> Future[Item]:
        return self._thread.submit(next, self._items)

    def __next__(self) -> Item:
        self._waiting.append(self._request())
        return self._waiting.popleft().result()

    def __enter__(self) -> Prefetched[Item]:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
