"""Text that a model is analysed on: a table of parallel text, or files of single languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from neuronspec.analysis.settings import Options
from neuronspec.batching.in_order import spread
from neuronspec.core.direction import Direction, Monolingual
from neuronspec.core.errors import CorpusError, DirectionError, ModelError, RecipeError
from neuronspec.core.languages import best_tags, canonical, family_of, is_known, same_language
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import ReadCounts
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.batch import Batch
from neuronspec.models.frames import IGNORED, padded
from neuronspec.models.ragged import Ragged
from neuronspec.models.text_format import LONGEST, TextFormat
from neuronspec.neurons.selection import families_of


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model is recorded on.

    Args:
        source: where it was read.
        items: by task, its sentences: pairs of a direction, single texts of a language.
        pivot: the language in the middle; None for text of single languages.
        families: by language.
    """

    source: str
    items: Mapping[Direction, Sequence[Any]]
    pivot: str | None
    families: Mapping[str, str]


def read_sample(data: Path | None, options: Options) -> Sample:
    """Read the text that a model is analysed on.

    Args:
        data: a table, with one column per language; None where `options.texts` names files.
        options: see `Options`.

    Raises:
        RecipeError: options that don't fit each other or the table, or text is missing.
        CorpusError: a file can't be read, or there is no text of a direction or language.
    """
    if options.texts:
        if data is not None:
            raise RecipeError("--texts and --data are both given: text of single languages, or a table; leave one out")
        lines: dict[Direction, list[str]] = {
            Monolingual.of(code): _lines(code, path, options.sentences) for code, path in options.texts.items()
        }
        given = options.families or {}
        known = {code: family_of(code) for code in options.texts if is_known(code)}
        families = {code: given.get(code) or known.get(code, "Unknown") for code in options.texts}
        source = ", ".join(f"{code}={path}" for code, path in options.texts.items())
        return Sample(source, lines, None, families)
    assert data is not None
    corpus = _corpus(data, options)
    return Sample(str(data), _read(data, corpus, options.sentences), options.pivot, families_of(corpus))


class Encoder:
    """Makes batches of a sample's sentences, as a model reads them.

    Args:
        tokenizer: of the model.
        model: with or without its weights.
        options: see `Options`.

    Raises:
        RecipeError: the model has an encoder, and the text has no translation.
        ModelError: the tokenizer can't pad.
    """

    def __init__(self, tokenizer: Any, model: Any, options: Options) -> None:
        self._tokenizer = tokenizer
        self._format = None if options.texts else TextFormat.of_model(tokenizer, model, options.prompt)
        if self._format is None and model.config.is_encoder_decoder:
            raise RecipeError(
                f"--texts: {type(model).__name__} has an encoder and a decoder, which read different texts; give "
                "--data, a table of parallel text"
            )

    def __call__(self, task: Direction, items: Sequence[Any]) -> Iterator[Batch]:
        """Batches of one task, from the shortest sentence to the longest."""
        return self._format.batches(task, items) if self._format else plain_batches(self._tokenizer, task, items)


def plain_batches(tokenizer: Any, language: Direction, texts: Sequence[str], size: int = 32) -> Iterator[Batch]:
    """Text of a language without a prompt or a translation, as a decoder-only model reads it.

    Args:
        tokenizer: of the model.
        language: of all texts.
        texts: cut to 256 tokens each.
        size: texts per batch.

    Yields:
        Batches with `labels`, from the shortest text to the longest.

    Raises:
        ModelError: the tokenizer has neither a padding nor an end token.
    """
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    if pad is None:
        raise ModelError("the tokenizer has neither a padding nor an end token, so texts can't be batched")
    ordered = sorted(texts, key=len)
    for start in range(0, len(ordered), size):
        rows = [
            np.array(tokenizer(text)["input_ids"][:LONGEST], dtype=np.int64) for text in ordered[start : start + size]
        ]
        ids, mask = padded(Ragged.of(rows), pad)
        yield Batch(language, {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, IGNORED)})


def _lines(code: str, path: Path, sentences: int) -> list[str]:
    """At most so many lines with text of a file, spread over it."""
    lines = [text for _, block in read_blocks(path) for line in block if (text := line.strip())]
    if not lines:
        raise CorpusError(f"{path}: no line has text in it, for language {code}")
    return [lines[index] for index in spread(len(lines), sentences)]


def _corpus(data: Path, options: Options) -> CorpusSettings:
    """The table as a corpus: its languages, directions and families are checked as a recipe's are."""
    if not data.is_file():
        raise CorpusError(
            f"{data}: no such file; --data takes a table with one column for each language (.tsv, .tsv.xz)"
        )
    languages = list(options.languages or _columns(data, options.pivot))
    families = dict(options.families or {})
    unknown = {code: "Unknown" for code in languages if code not in families and not is_known(code)}
    content = {
        "train": {"reader": "tsv", "path": str(data.resolve())},
        "pivot": options.pivot,
        "languages": languages,
        "directions": options.directions if isinstance(options.directions, str) else list(options.directions),
        "families": families | unknown,
    }
    try:
        corpus = CorpusSettings.model_validate(content)
    except ValidationError as error:
        problems = (str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors(include_url=False))
        raise RecipeError("; ".join(problems)) from None
    _check_columns(data, corpus)
    return corpus


def _check_columns(data: Path, corpus: CorpusSettings) -> None:
    """Refuse languages that the table has no column for, with the option that names them."""
    header = _header(data)
    found = best_tags(header, corpus.used_languages)
    missing = [code for code in corpus.used_languages if code not in found]
    if missing:
        option = "--pivot" if missing == [corpus.pivot] else "--languages"
        raise RecipeError(f"{option}: {data} has no column for {', '.join(missing)}; it has: {', '.join(header)}")


def _header(data: Path) -> list[str]:
    _, (header, *_) = next(read_blocks(data, 1), (1, [""]))
    return [name.strip() for name in header.split("\t")]


def _columns(data: Path, pivot: str) -> list[str]:
    """The languages of the table's header beside the pivot."""
    header = _header(data)
    found = []
    for name in header:
        try:
            found.append(canonical(name) if name != "id" else pivot)
        except DirectionError:
            raise CorpusError(
                f"{data}:1: column {name!r} is no language that is known; name the columns by language code, or say "
                "which to read with --languages"
            ) from None
    languages = [code for code in dict.fromkeys(found) if not same_language(code, pivot)]
    if not languages:
        raise CorpusError(f"{data}:1: the header names no language beside the pivot {pivot!r}: {', '.join(header)}")
    return languages


def _read(data: Path, corpus: CorpusSettings, sentences: int) -> dict[Direction, list[tuple[str, str]]]:
    """By direction, at most so many pairs, spread over the table."""
    columns: dict[str, list[str]] = {code: [] for code in corpus.used_languages}
    for rows in read_rows(corpus, ReadCounts()):
        for code, cells in columns.items():
            cells.extend(rows.texts[code])
    text = {}
    for direction in corpus.all_directions:
        pairs = zip(columns[direction.source], columns[direction.target], strict=True)
        full = [pair for pair in pairs if all(pair)]
        if not full:
            raise CorpusError(f"{data}: no row has text in both languages of {direction}")
        text[direction] = [full[index] for index in spread(len(full), sentences)]
    return text
