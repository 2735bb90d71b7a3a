"""The neurons of any Hugging Face model, from a table of parallel text: no run needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from neuronspec.analysis.ablation import ablate
from neuronspec.analysis.drift import stability
from neuronspec.analysis.examine import choose_neurons, firings
from neuronspec.analysis.findings import Findings
from neuronspec.analysis.settings import Options
from neuronspec.batching.in_order import spread
from neuronspec.core.direction import Direction
from neuronspec.core.environment import environment
from neuronspec.core.errors import CorpusError, DirectionError, PathError, RecipeError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.languages import best_tags, canonical, is_known, same_language
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder
from neuronspec.corpus.ingest import read_rows
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.rows import ReadCounts
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.batch import Batch
from neuronspec.models.load import load_with_tokenizer
from neuronspec.models.text_format import TextFormat
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.selection import families_of, select_neurons
from neuronspec.neurons.settings import Statistic

logger = logging.getLogger(__name__)


class Subject(BaseModel):
    """What was analysed and how: `subject.json` of an analysis.

    Args:
        model: name or folder.
        data: the table.
        pivot: the language in the middle.
        directions: analysed.
        families: by language.
        sentences: recorded per direction, at most.
        coverage, statistic: of `CumulativeActivation`.
        environment: versions and machine.
    """

    model_config = ConfigDict(extra="forbid")
    model: str
    data: str
    pivot: str
    directions: list[str]
    families: dict[str, str]
    sentences: int
    coverage: float
    statistic: Statistic
    environment: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Subject:
        """Read the file in a folder that `analyse_model` wrote.

        Raises:
            PathError: it isn't there.
            RunError: it is damaged.
        """
        path = folder / "subject.json"
        if not path.exists():
            raise PathError(f"{folder} holds neither a run (recipe.yaml) nor an analysis (subject.json)")
        return read_json(path, cls, "run 'neuronspec analyse' again")


def analyse_model(name: str, data: Path, out: Path, options: Options, progress: Progress = SILENT) -> None:
    """Record and analyse the neurons of a model on a table of parallel text.

    Args:
        name: name or folder of the model.
        data: the table, with one column per language.
        out: the folder that `activations.safetensors`, `masks.safetensors`, `analysis.json` and `subject.json` are
            written to.
        options: see `Options`.
        progress: shows how far the causal check is.

    Raises:
        RecipeError: options that don't fit each other or the table.
        CorpusError: the table can't be read, or has no text of a direction.
        ModelError: the model can't be loaded, or its FFN sites aren't known.
        DirectionError: the tokenizer has no code for a language.
    """
    corpus = _corpus(data, options)
    text = _read(data, corpus, options.sentences)
    model, tokenizer = load_with_tokenizer(name, dtype="auto")
    text_format = TextFormat.of_model(tokenizer, model, options.prompt)
    batches: dict[str, list[Batch]] = {}
    for direction, pairs in text.items():
        batches[str(direction)] = list(text_format.batches(direction, pairs))
    logger.info("recording %d directions", len(batches))
    parts = _record_in_parts(model, text, text_format)
    acts = parts[0]
    for part in parts[1:]:
        acts = acts + part
    statistic = options.statistic or _fitting_statistic(acts)
    criterion = CumulativeActivation(options.coverage, statistic=statistic)
    masks = select_neurons(acts, criterion)
    families = families_of(corpus)
    findings = _findings(model, tokenizer, acts, masks, batches, families, options, progress)
    rows = stability(parts, lambda some: select_neurons(some, criterion)) if len(parts) > 1 else []
    findings = Findings(findings.ablation, findings.featured, findings.tokens, [], rows)
    out.mkdir(parents=True, exist_ok=True)
    acts.save(RunFolder(out).activations)
    masks.save(RunFolder(out).masks)
    findings.save(RunFolder(out).analysis)
    subject = Subject(
        model=name,
        data=str(data),
        pivot=options.pivot,
        directions=list(batches),
        families=families,
        sentences=options.sentences,
        coverage=options.coverage,
        statistic=statistic,
        environment=environment(),
    )
    write_json(out / "subject.json", subject.model_dump(mode="json"))


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


def _record_in_parts(
    model: Any, text: Mapping[Direction, list[tuple[str, str]]], text_format: TextFormat, parts: int = 4
) -> list[Activations]:
    """Activations of disjoint parts of the text, which together are all of it."""
    parts = min(parts, *(len(pairs) for pairs in text.values())) if text else 0
    return [
        record_activations(
            model,
            (
                batch
                for direction, pairs in text.items()
                for batch in text_format.batches(direction, pairs[part::parts])
            ),
        )
        for part in range(parts)
    ]


def _fitting_statistic(acts: Activations) -> Statistic:
    return "count" if all(site.counts_mean_firing for site in acts.info.sites) else "magnitude"


def _findings(
    model: Any,
    tokenizer: Any,
    acts: Activations,
    masks: NeuronMasks,
    batches: Mapping[str, list[Batch]],
    families: Mapping[str, str],
    options: Options,
    progress: Progress,
) -> Findings:
    featured = choose_neurons(acts, masks, options.pivot, families)
    ablation = []
    if options.ablation:
        some = {name: _first(part, options.ablation) for name, part in batches.items()}
        ablation = ablate(model, acts, some, pivot=options.pivot, share=options.share, progress=progress)
    return Findings(ablation, featured, firings(model, tokenizer, batches, featured))


def _first(batches: Sequence[Batch], sentences: int) -> list[Batch]:
    """Batches with about so many sentences, spread over short and long ones."""
    step = max(1, sum(len(batch.inputs["labels"]) for batch in batches) // sentences)
    return [Batch(batch.direction, {name: rows[::step] for name, rows in batch.inputs.items()}) for batch in batches]
