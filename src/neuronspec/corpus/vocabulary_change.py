"""The vocabulary of a checkpoint, changed for a corpus as the recipe has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neuronspec.core.direction import Direction
from neuronspec.core.errors import ModelError
from neuronspec.corpus.ingest import Ingested
from neuronspec.corpus.readers.rows import SPLITS
from neuronspec.corpus.tokenize import Tokenize, dtype_of
from neuronspec.models.id_map import IdMap
from neuronspec.models.pretrained import checkpoint_folder, vocabulary_of_checkpoint
from neuronspec.models.settings import ModelSettings, TokenizerSettings
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import sample, sample_sizes
from neuronspec.models.vocabulary import add_languages, extend, trim

logger = logging.getLogger(__name__)

_COMPARED = 1000
"""Sentences of each language and split that the trimmed tokenizer cuts too, to see that they come out the same."""


@dataclass(frozen=True, slots=True)
class UsedPieces:
    """Finds the ids that occur in a batch of texts. It is sent to worker processes.

    Args:
        tokenize: the batches.
    """

    tokenize: Tokenize

    def __call__(self, index: int) -> npt.NDArray[Any]:
        """The ids in batch `index`."""
        return np.unique(np.concatenate([column.values for column in self.tokenize(index).values()]))


Work: TypeAlias = Callable[[UsedPieces, range], Iterator[npt.NDArray[Any]]]


def change_vocabulary(
    tokenizer: Any,
    settings: ModelSettings,
    languages: Sequence[str],
    directions: Sequence[Direction],
    found: Ingested,
    work: Work,
    folder: Path,
    tags: Sequence[str] = (),
) -> tuple[Any, IdMap | None]:
    """Add languages, add pieces, then leave pieces out, each as far as the recipe asks for it.

    Args:
        tokenizer: of the checkpoint.
        settings: of the model.
        languages: that are used.
        directions: that are used.
        found: the cleaned text. All of it counts: training, validation and test, in all languages.
        work: see `Encoder`.
        folder: for tokenizers on the way, which nobody needs later.
        tags: by batch of the training text, what its sources begin with; see `Tokenize`.

    Returns:
        The tokenizer, and what became of the checkpoint's ids; None if all is as it was.

    Raises:
        Mistakes, ModelError: the vocabulary can't be changed so.
    """
    changes: list[IdMap] = []
    rows = vocabulary_of_checkpoint(settings)

    def keep(made: tuple[Any, IdMap]) -> Any:
        changes.append(made[1] if not changes else made[1].after(changes[-1]))
        return made[0]

    def size() -> int:
        return len(changes[-1].ids) if changes else rows

    if settings.new_languages:
        tokenizer = keep(add_languages(tokenizer, settings.new_languages, languages, rows, folder / "tagged"))
    if settings.extend_vocabulary is not None:
        texts = _training_text(found)
        tokenizer = keep(extend(tokenizer, texts, settings.extend_vocabulary, size(), folder / "extended"))
    if settings.trim_vocabulary:
        tokenizer.save_pretrained(folder / "whole")
        whole = not TextFormat.of(tokenizer).frame.shared
        used: set[int] = set()
        for split in SPLITS:
            tagged = tuple(tags) if split == "train" else ()
            own = tuple(directions) if whole or tagged else ()
            tokenize = Tokenize(
                found.spool.path(split), folder / "whole", tuple(languages), dtype_of(size()), False, own, tagged
            )
            used |= _used(tokenize, size(), len(found.spool.sources[split]), work)
        model = checkpoint_folder(settings)
        made = trim(tokenizer, used, found.characters, languages, model, size(), folder / "trimmed")
        _check_same(tokenizer, made, languages, found)
        tokenizer = keep(made)
    if not changes:
        return tokenizer, None
    logger.info("vocabulary: %s ids of the checkpoint, now %s", f"{rows:,}", f"{size():,}")
    return tokenizer, changes[-1]


def _training_text(found: Ingested) -> Iterator[str]:
    """Training sentences of all languages, as many as a tokenizer of our own is trained on."""
    settings = TokenizerSettings()
    available = {code: counts["text"] for code, counts in found.cells["train"].items() if counts["text"]}
    sizes = sample_sizes(available, settings.temperature, settings.max_sentences)
    return sample(found.spool.read("train"), available, sizes)


def _used(tokenize: Tokenize, ids: int, batches: int, work: Work) -> set[int]:
    """The ids that occur in the text of a split."""
    seen = np.zeros(ids, dtype=np.bool_)
    for some in work(UsedPieces(tokenize), range(batches)):
        seen[some] = True
    return set(np.flatnonzero(seen).tolist())


def _check_same(tokenizer: Any, made: tuple[Any, IdMap], languages: Sequence[str], found: Ingested) -> None:
    """Check that sentences are cut as before: a tokenizer may have rules that nobody here thought of."""
    trimmed, change = made
    for split in SPLITS:
        for batch in islice(found.spool.read(split), 1):
            texts = [text for code in languages for text in batch.column(code).drop_null().to_pylist()[:_COMPARED]]
            before, after = (one(texts, add_special_tokens=False)["input_ids"] for one in (tokenizer, trimmed))
            for text, old, new in zip(texts, before, after, strict=True):
                if [change.new_ids.get(one) for one in old] != new:
                    raise ModelError(
                        f"model.trim_vocabulary: a {type(tokenizer).__name__} with fewer pieces would cut {text!r} "
                        "in another way; leave trim_vocabulary out"
                    )
