"""For Hugging Face's `Trainer`: sentence pairs of several directions as batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch.utils.data import Sampler

from neuronspec.core.direction import Direction, DirectionLike
from neuronspec.core.errors import InputError, RecipeError
from neuronspec.models.frames import IGNORED, Inputs
from neuronspec.models.sites import unwrap
from neuronspec.models.text_format import TextFormat

_TEXT, _IDS = ("source", "target"), ("input_ids", "labels")


class DataCollator:
    """Makes padded batches of features, each of its direction, for `Trainer` or a `DataLoader`.

    A feature is a mapping with `direction` (`"en-de"`) and either `source` and `target`, raw text, or `input_ids` and
    `labels`, as your tokenizer makes them. Text is framed as the model reads it: with NLLB's codes, T5's prefix, the
    prompt of a causal model. A batch may mix directions; `DirectionSampler` makes batches of one, which are computed
    faster.

    Args:
        tokenizer: of the model.
        model: of Hugging Face, specialized or not, also in a `PeftModel`.
        prompt: for models that are told the direction in words, instead of the default; with `{text}`, `{source}`,
            `{target}`.

    Raises:
        RecipeError: the prompt has an unknown place, or none for the text.

    Examples:
        >>> collator = ns.DataCollator(tokenizer, model)  # doctest: +SKIP
        >>> batch = collator([{"direction": "en-de", "source": "Yes.", "target": "Ja."}])  # doctest: +SKIP
        >>> with ns.use_directions(model, batch.pop("directions")):  # doctest: +SKIP
        ...     loss = model(**batch).loss
    """

    def __init__(self, tokenizer: Any, model: torch.nn.Module, prompt: str | None = None) -> None:
        self.tokenizer = tokenizer
        self._model = own = cast(Any, unwrap(model))
        is_ours = prompt is None and own.config.model_type == "m2m_100" and not hasattr(tokenizer, "src_lang")
        self._format = TextFormat.of(tokenizer) if is_ours else TextFormat.of_model(tokenizer, own, prompt)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The batch: arguments of the model, `[batch, time]` each, and `directions`, one per row, for `use_directions`.

        Raises:
            InputError: there are no features, or one lacks something or has no text; `Trainer` removes what the
                model's forward doesn't take, unless its `remove_unused_columns` is False.
            DirectionError: the tokenizer has no code for a language.
        """
        if not features:
            raise InputError("a batch of no features can't be made; is the dataset empty?")
        directions = [_direction(feature, place) for place, feature in enumerate(features)]
        rows: dict[int, Inputs] = {}
        by_direction: dict[Direction, list[int]] = {}
        for place, feature in enumerate(features):
            if _has_ids(feature):
                rows[place] = _of_ids(feature)
            else:
                by_direction.setdefault(directions[place], []).append(place)
        for direction, places in by_direction.items():
            sources, targets = ([features[place][name] for place in places] for name in _TEXT)
            made = self._format.texts(direction, sources, targets)
            rows |= {place: {name: each[row] for name, each in made.items()} for row, place in enumerate(places)}
        inputs = self._padded([rows[place] for place in range(len(features))])
        return {**inputs, "directions": list(map(str, directions))}

    def _padded(self, rows: Sequence[Inputs]) -> Inputs:
        if any("decoder_input_ids" in row for row in rows):
            rows = [row if "decoder_input_ids" in row else self._with_decoder(row) for row in rows]
        names = set.intersection(*(set(row) for row in rows))
        filling = {"labels": IGNORED, "input_ids": self._pad, "decoder_input_ids": self._pad}
        inputs = {
            name: torch.nn.utils.rnn.pad_sequence([row[name] for row in rows], True, filling.get(name, 0))
            for name in rows[0]
            if name in names
        }
        if "decoder_input_ids" not in inputs and hasattr(self._model, "prepare_decoder_input_ids_from_labels"):
            inputs["decoder_input_ids"] = self._model.prepare_decoder_input_ids_from_labels(labels=inputs["labels"])
        return inputs

    def _with_decoder(self, row: Inputs) -> Inputs:
        """A row of ids as the model itself reads it, beside rows of text, whose labels may leave out a tag."""
        labels, start = row["labels"], self._model.config.decoder_start_token_id
        first = labels[-1:] if start is None else labels.new_tensor([start])
        read = torch.cat((first, labels[:-1]))
        read = read.masked_fill(read == IGNORED, self._pad)
        return row | {"decoder_input_ids": read, "decoder_attention_mask": torch.ones_like(read)}


class DirectionSampler(Sampler[int]):
    """Draws features so that batches have one direction each; what is left over of each makes mixed batches in the end.

    A batch of one direction may be computed on its neurons alone. Each feature is drawn once per epoch. For
    `DataLoader(dataset, batch_size, sampler=...)`, and for a `Trainer` whose `_get_train_sampler` returns it.

    Args:
        directions: of each feature of the dataset.
        batch_size: of the batches that the drawn features are cut into.
        seed: of the order.

    Examples:
        >>> sampler = ns.DirectionSampler(["en-de", "en-fr", "en-de", "en-fr", "en-fr"], batch_size=2)
        >>> sorted(sampler)
        [0, 1, 2, 3, 4]
    """

    def __init__(self, directions: Sequence[DirectionLike], batch_size: int, seed: int = 0) -> None:
        if batch_size < 1:
            raise RecipeError(f"batch_size is {batch_size}; a batch has one feature or more")
        self._places: dict[Direction, list[int]] = {}
        for place, direction in enumerate(directions):
            self._places.setdefault(Direction.parse(direction), []).append(place)
        self._size, self._seed, self._epoch = batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Draw in another order; `Trainer` calls it before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self._epoch)
        full: list[list[int]] = []
        rest: list[int] = []
        for places in self._places.values():
            drawn = _shuffled(places, generator)
            whole = len(drawn) - len(drawn) % self._size
            full += [drawn[first : first + self._size] for first in range(0, whole, self._size)]
            rest += drawn[whole:]
        for batch in _shuffled(full, generator):
            yield from batch
        yield from rest


def _shuffled(items: list[Any], generator: torch.Generator) -> list[Any]:
    return [items[place] for place in torch.randperm(len(items), generator=generator).tolist()]


def _direction(feature: Mapping[str, Any], place: int) -> Direction:
    needed = ("direction",) if _has_ids(feature) else ("direction", *_TEXT)
    missing = [name for name in needed if name not in feature]
    if missing:
        raise InputError(
            f"feature {place} has no {missing[0]!r}, only {', '.join(feature) or 'nothing'}: a feature has "
            "'direction', and 'source' and 'target' or 'input_ids' and 'labels'. TrainingArguments need "
            "remove_unused_columns=False"
        )
    for name in needed[1:]:
        if not isinstance(feature[name], str):
            raise InputError(f"feature {place}: {name!r} is {feature[name]!r}, and should be text")
    return Direction.parse(feature["direction"])


def _has_ids(feature: Mapping[str, Any]) -> bool:
    return all(name in feature for name in _IDS)


def _of_ids(feature: Mapping[str, Any]) -> Inputs:
    row = {name: torch.as_tensor(feature[name]) for name in _IDS}
    mask = feature.get("attention_mask")
    row["attention_mask"] = torch.ones_like(row["input_ids"]) if mask is None else torch.as_tensor(mask)
    return row
