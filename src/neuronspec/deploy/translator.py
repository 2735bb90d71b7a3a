"""`ns.Translator`: translate text with whatever a user has, an exported folder, a run or a model folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import permutations
from pathlib import Path
from typing import Any, cast, overload

from pydantic import ValidationError

from neuronspec.core.direction import Direction, DirectionLike, direction_between, languages_of, match_direction
from neuronspec.core.errors import DirectionError, InputError, RecipeError
from neuronspec.core.table import Table
from neuronspec.deploy.exported import ExportedModels, exported_in
from neuronspec.deploy.opening import (
    composable,
    neurons_of,
    open_model,
    own_directions,
    stored_scores,
    unknown_direction,
)
from neuronspec.models.hub import local_folder
from neuronspec.models.load import checked_device
from neuronspec.models.text_cleaning import Lines, framed
from neuronspec.models.tokenizer import tagged_languages
from neuronspec.specialization.model_state import attached
from neuronspec.translation.alignment import Aligned
from neuronspec.translation.engine import Engine, Translations, longest_translation
from neuronspec.translation.quantizations import PRECISIONS
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.sources import joiner, split_sentences


class Translator:
    """Translates text; safe to use from several threads.

    `Translator("exported/en-de")("Save the changes", "en-de")`. Exported folders are computed by CTranslate2, and
    directions are loaded when they are first asked for; runs and model folders are computed by transformers.

    Args:
        path: a folder that `export` wrote (one direction, a bundle, or a folder of such folders), a run folder, or a
            specialized, compact or dense model folder; or `user/model`, which the cache of the Hugging Face hub has.
        device: `cpu`, `cuda`, or of several GPUs `cuda:1`. Without it, a GPU if there is one for models that
            transformers computes, and the CPU for exported folders.
        precision: of a GPU, one of `PRECISIONS`: what is computed in. Without it, what the weights are stored in.
        threads: of the CPU; as many as PyTorch would use where none are given.
        split: translate each sentence of a line separately. Without it only lines longer than the model reads are
            split.
        memory: megabytes of exported models to keep loaded: those used least recently are dropped. All, without it.
        progress: called after each batch with the number of sentences in it.
        settings: of the search (`beam`, `length_penalty`, `n_best`, `batch_tokens`, ...), as the recipe's.

    Raises:
        PathError: there is no such folder, or the cache of the hub has no such model.
        RecipeError: the device is a GPU, and there is none; or it doesn't compute in that precision.
        ModelError: it holds no model, or the exported folder isn't whole; of several, none is.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        device: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        split: bool = False,
        memory: float | None = None,
        progress: Callable[[int], None] | None = None,
        **settings: Any,
    ) -> None:
        self.path, self._named = local_folder(path), Path(path)
        self.split = split
        self._progress = progress
        self._settings = _settings(settings)
        self._lock = threading.Lock()
        self._exported: ExportedModels | None = None
        folders = exported_in(self.path)
        where = _checked(device or ("cpu" if folders else None), precision)
        if folders:
            self._exported = ExportedModels(folders, self._settings, where, threads, memory, precision)
            self.directions = self._exported.directions
        else:
            own = _own_engine(self.path, self._settings, where, threads, precision)
            self._engine, self.directions, self._further, self._neurons = own

    def __repr__(self) -> str:
        known = self.directions or self.reachable()
        shown = ", ".join(known[:4]) + (", ..." if len(known) > 4 else "")
        return f"Translator({str(self.path)!r}, {len(known):,} direction{'s' * (len(known) != 1)}: {shown})"

    def _repr_html_(self) -> str:
        """For notebooks: the directions, and how many neurons each has."""
        found = {name: self.neurons(name) for name in self.directions}
        rows = [[name, f"{own[0]:,} of {own[1]:,}" if own else "–"] for name, own in found.items()]
        return Table(repr(self), ["direction", "neurons"] if rows else [], rows)._repr_html_()

    @overload
    def __call__(self, text: str, direction: DirectionLike) -> str: ...
    @overload
    def __call__(self, text: list[str], direction: DirectionLike) -> list[str]: ...
    def __call__(self, text: str | list[str], direction: DirectionLike) -> str | list[str]:
        """The translation of a text, or of each text of a list; line ends stay as they are.

        Raises:
            DirectionError: the model doesn't serve the direction; lists those that it does.
            InputError: `text` is neither a str nor a list of them.
        """
        if isinstance(text, str):
            return through_lines(self.translate, [text], direction)[0]
        return through_lines(self.translate, _texts(text), direction)

    def translate(
        self, lines: Sequence[str], direction: DirectionLike, progress: Callable[[int], None] | None = None
    ) -> Translations:
        """Translate lines, with counts, scores and n-best lists: see `Translations`.

        White space and invisible characters around the text of a line stay where they are, and a line that holds
        nothing else passes through; n-best lists are without them.

        Args:
            lines: without line ends.
            direction: of the translation.
            progress: as of the class, for this call alone. What it raises ends the call.

        Raises:
            DirectionError: the model doesn't serve the direction; lists those that it does.
            ModelError: the direction's exported folder is damaged.
            EvaluationError: the model gives NaN, or `too_long` is `error` and a line is too long.
        """
        wanted, frames = self.named(direction), [framed(line) for line in lines]
        texts = [frame.written for frame in frames]  # the engine cleans them, as its tokenizer needs it
        if self.split:
            sentences = [split_sentences(text, wanted.source) for text in texts]
            found = self._translate([sentence for each in sentences for sentence in each], wanted, progress)
            found = _put_together(found, [len(each) for each in sentences], joiner(wanted.target))
        else:
            found = self._translate(texts, wanted, progress)
        lines = [frame.around(line) for frame, line in zip(frames, found, strict=True)]
        return Translations(
            lines, found.truncated, split=found.split, nbest=found.nbest, tokens=found.tokens, composed=found.composed
        )

    def reachable(self) -> list[str]:
        """All directions that can be translated, sorted.

        Those of the model, those that it composes zero-shot, and of a dense model every pair of languages that its
        tokenizer has tags for.
        """
        further = self._exported.composable() if self._exported is not None else self._further
        return sorted({*self.directions, *further})

    def align(self, lines: Sequence[str], translations: Sequence[str], direction: DirectionLike) -> list[Aligned]:
        """Which words of translations belong to which words of their lines, by the attention of the model.

        Args:
            lines: what was translated.
            translations: as `translate` gave them.
            direction: of the translations.

        Raises:
            DirectionError: the model doesn't serve the direction.
            ModelError: the attention of the model can't be read.
        """
        wanted = self.named(direction)
        sources, targets = ([framed(line).text for line in each] for each in (lines, translations))
        if self._exported is not None:
            return self._exported.engine(wanted).align(sources, targets, wanted)
        with self._lock:
            return self._engine.align(sources, targets, wanted)

    @property
    def n_best(self) -> int:
        """Hypotheses of each line in `translate(...).nbest`."""
        return self._settings.n_best

    @property
    def loaded(self) -> int:
        """Models in memory."""
        return len(self._exported.loaded) if self._exported is not None else 1

    @property
    def damaged(self) -> dict[str, str]:
        """By direction, what is wrong with exported folders that can't be served."""
        return self._exported.damaged if self._exported is not None else {}

    def neurons(self, direction: DirectionLike) -> tuple[int, int] | None:
        """Feed-forward neurons that serve a direction, and those of the dense model; None where that isn't known."""
        wanted = self.named(direction)
        return self._exported.neurons(wanted) if self._exported is not None else self._neurons(wanted)

    @property
    def name(self) -> str:
        """Of the folder, or of the model on the hub."""
        return self._named.resolve().name

    def best_direction(self) -> str:
        """The direction with the best chrF++ that the folder tells; the first one where it tells none."""
        scores = self._exported.scores() if self._exported is not None else stored_scores(self.path)
        known = self.directions or self.reachable()
        return max(known, key=lambda name: scores.get(name, 0.0))

    def named(self, direction: DirectionLike) -> Direction:
        """A direction, served or not, with its languages as this model spells them: `en-pt_BR` of `EN-pt-BR`.

        Raises:
            DirectionError: it isn't one, or can be read in two ways.
        """
        return match_direction(direction, self.languages)

    @property
    def languages(self) -> list[str]:
        """The languages of the directions, sorted; empty where any language can be asked for."""
        return languages_of(map(Direction.parse, self.directions))

    def direction(self, source: str, target: str) -> Direction:
        """The direction from one language to another, in any spelling.

        Raises:
            DirectionError: a language may mean several of the model's, or is none.
        """
        return direction_between(source, target, self.languages)

    def _translate(
        self, lines: Sequence[str], direction: Direction, progress: Callable[[int], None] | None
    ) -> Translations:
        progress = progress or self._progress
        if self._exported is not None:
            return self._exported.engine(direction).translate(lines, direction, progress=progress)
        with self._lock:  # a model computes one direction at a time
            try:
                return self._engine.translate(lines, direction, progress=progress)
            except DirectionError as error:
                if self.directions and str(direction) not in self.directions:
                    raise unknown_direction(str(direction), self.directions) from error
                raise


def through_lines(
    translate: Callable[[list[str], DirectionLike], Translations], texts: Sequence[str], direction: DirectionLike
) -> list[str]:
    """Translate texts of several lines by what translates lines; line ends stay as they are."""
    split = [Lines.of(text) for text in texts]
    found = iter(translate([line for each in split for line in each.texts], direction))
    return [each.joined([next(found) for _ in each.texts]) for each in split]


def _texts(texts: object) -> list[str]:
    if not isinstance(texts, (list, tuple)):
        raise InputError(f"text is a str or a list of str, not {type(texts).__name__}")
    wrong = [(place, text) for place, text in enumerate(texts) if not isinstance(text, str)]
    if wrong:
        place, text = wrong[0]
        raise InputError(f"text is a str or a list of str; item {place} of the list is {type(text).__name__}")
    return list(texts)


def _settings(options: dict[str, Any]) -> EvaluationSettings:
    try:
        return EvaluationSettings(**{"too_long": "split", **options})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise RecipeError(f"{place or 'settings'}: {str(problem['msg']).removeprefix('Value error, ')}") from None


def _checked(device: str | None, precision: str | None) -> str:
    """The device to compute on, where it computes in that precision."""
    chosen = checked_device(device)
    if chosen.type not in ("cpu", "cuda"):
        raise RecipeError(f"the device is '{chosen}'; valid: cpu, cuda, and of several GPUs cuda:0, cuda:1, ...")
    if precision not in (None, *PRECISIONS):
        raise RecipeError(f"the precision is {precision!r}; valid: {', '.join(PRECISIONS)}")
    if precision not in (None, "float32") and chosen.type == "cpu":
        raise RecipeError(f"{precision} is for GPUs: give a device such as cuda, or leave the precision out")
    return str(chosen)


def _own_engine(
    path: Path, settings: EvaluationSettings, device: str, threads: int | None, precision: str | None
) -> tuple[Engine, list[str], list[str], Callable[[Direction], tuple[int, int] | None]]:
    """The engine of a model, the directions that it has, the others that it can compute, and `neurons_of` it."""
    import torch

    from neuronspec.specialization.save import COMPACT_FILE
    from neuronspec.translation.transformers_engine import TransformersEngine

    if threads is not None:
        torch.set_num_threads(threads)
    opened = open_model(path, device)
    if precision is not None:
        cast(Any, opened.model).to(getattr(torch, precision))
    if "max_new_tokens" not in settings.model_fields_set:
        longest = longest_translation(opened.model, opened.tokenizer)
        settings = settings.model_copy(update={"max_new_tokens": longest})
    engine = TransformersEngine(opened.model, opened.tokenizer, settings)
    neurons = cache(partial(neurons_of, opened.model))
    if (path / COMPACT_FILE).is_file():
        from neuronspec.specialization.compact import compact_report

        direction = compact_report(opened.model).direction
        return _OneDirection(engine, direction), [direction], [], neurons
    state = attached(opened.model)
    if state is not None:
        return engine, own_directions(opened.model), composable(state.masks), neurons
    languages = sorted(tagged_languages(opened.tokenizer))
    return engine, [], [str(Direction(*pair)) for pair in permutations(languages, 2)], neurons


class _OneDirection(Engine):
    """A compact model would translate any direction, badly: it serves its own."""

    def __init__(self, engine: Engine, direction: str) -> None:
        super().__init__(engine.tokenizer, engine.settings)
        self._engine, self._direction = engine, direction

    def longest_source(self) -> int | None:
        return self._engine.longest_source()

    def search(self, batches: Any, direction: Direction) -> Any:
        if str(direction) != self._direction:
            raise unknown_direction(str(direction), [self._direction])
        return self._engine.search(batches, direction)

    def attention(self, sources: list[list[int]], targets: list[list[int]], direction: Direction) -> Any:
        return self._engine.attention(sources, targets, direction)


def _put_together(found: Translations, sizes: list[int], between: str) -> Translations:
    """Sentences back to lines; n-best lists rank by rank, scores as the mean."""
    nbest, rest = [], iter(found.nbest)
    for size in sizes:
        lists = [best for best in (next(rest) for _ in range(size)) if best]
        nbest.append(
            [
                (between.join(text for text, _ in ranked), sum(score for _, score in ranked) / len(ranked))
                for ranked in zip(*lists, strict=False)
            ]
        )
    lines = [best[0][0] if best else "" for best in nbest]
    return Translations(
        lines, found.truncated, split=found.split, nbest=nbest, tokens=found.tokens, composed=found.composed
    )
