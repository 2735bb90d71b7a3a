"""The neurons of any Hugging Face model, from parallel text or text of single languages: no run needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from neuronspec.analysis.ablation import ablation_matrices
from neuronspec.analysis.drift import stability
from neuronspec.analysis.examine import choose_neurons, firings
from neuronspec.analysis.findings import Findings
from neuronspec.analysis.memory_needed import PARTS, check_memory, memory_of
from neuronspec.analysis.sample_text import Encoder, Sample, read_sample
from neuronspec.analysis.settings import Options
from neuronspec.core.direction import Direction
from neuronspec.core.environment import environment
from neuronspec.core.errors import PathError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder
from neuronspec.models.batch import Batch
from neuronspec.models.load import load_model, outline_model, tokenizer_of
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.criteria.cumulative import CumulativeActivation
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.recording import record_activations
from neuronspec.neurons.selection import select_neurons
from neuronspec.neurons.settings import Statistic

logger = logging.getLogger(__name__)


class Subject(BaseModel):
    """What was analysed and how: `subject.json` of an analysis.

    Args:
        model: name or folder.
        data: the table, or the files of single languages.
        pivot: the language in the middle; None for text of single languages.
        directions: analysed; or languages.
        families: by language.
        sentences: recorded per direction, at most.
        coverage, statistic: of `CumulativeActivation`.
        dtype: of the weights.
        environment: versions and machine.
        date: in ISO form, UTC; empty in files from before.
    """

    model_config = ConfigDict(extra="forbid")
    model: str
    data: str
    pivot: str | None
    directions: list[str]
    families: dict[str, str]
    sentences: int
    coverage: float
    statistic: Statistic
    dtype: str = "float32"
    environment: dict[str, Any]
    date: str = ""

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


def analyse_model(name: str, data: Path | None, out: Path, options: Options, progress: Progress = SILENT) -> None:
    """Record and analyse the neurons of a model on a table of parallel text, or on text of single languages.

    Args:
        name: name or folder of the model.
        data: the table, with one column for each language; None where `options.texts` names files.
        out: the folder that `activations.safetensors`, `masks.safetensors`, `analysis.json` and `subject.json` are
            written to.
        options: see `Options`.
        progress: shows how far the causal check is.

    Raises:
        RecipeError: options that don't fit each other, the table or the model; or the device lacks memory.
        CorpusError: the text can't be read, or there is none of a direction or language.
        ModelError: the model can't be loaded, or its FFN sites aren't known.
        DirectionError: the tokenizer has no code for a language.
    """
    sample = read_sample(data, options)
    outline = outline_model(name, options.torch_dtype)
    tokenizer = tokenizer_of(outline, name)
    encode = Encoder(tokenizer, outline, options)
    batches = {str(task): list(encode(task, items)) for task, items in sample.items.items()}
    check_memory(memory_of(outline, batches), options.device_map)
    model = load_model(name, dtype=options.torch_dtype, device_map=options.device_map)
    logger.info("recording %d %s", len(batches), "languages" if options.texts else "directions")
    parts = _record_in_parts(model, sample.items, encode)
    acts = parts[0]
    for part in parts[1:]:
        acts = acts + part
    statistic = options.statistic or acts.statistic
    criterion = CumulativeActivation(options.coverage, statistic=statistic)
    masks = select_neurons(acts, criterion)
    findings = _findings(model, tokenizer, acts, masks, batches, sample, options, progress)
    rows = stability(parts, lambda some: select_neurons(some, criterion)) if len(parts) > 1 else []
    findings = Findings(findings.ablation, findings.featured, findings.tokens, [], rows)
    out.mkdir(parents=True, exist_ok=True)
    acts.save(RunFolder(out).activations)
    masks.save(RunFolder(out).masks)
    findings.save(RunFolder(out).analysis)
    subject = Subject(
        model=name,
        data=sample.source,
        pivot=sample.pivot,
        directions=list(batches),
        families=dict(sample.families),
        sentences=options.sentences,
        coverage=options.coverage,
        statistic=statistic,
        dtype=str(model.dtype).removeprefix("torch."),
        environment=environment(),
        date=datetime.now(UTC).date().isoformat(),
    )
    write_json(out / "subject.json", subject.model_dump(mode="json"))


def _record_in_parts(
    model: Any, text: Mapping[Direction, Sequence[Any]], encode: Encoder, parts: int = PARTS
) -> list[Activations]:
    """Activations of disjoint parts of the text, which together are all of it."""
    parts = min(parts, *(len(items) for items in text.values())) if text else 0
    return [
        record_activations(model, (batch for task, items in text.items() for batch in encode(task, items[part::parts])))
        for part in range(parts)
    ]


def _findings(
    model: Any,
    tokenizer: Any,
    acts: Activations,
    masks: NeuronMasks,
    batches: Mapping[str, list[Batch]],
    sample: Sample,
    options: Options,
    progress: Progress,
) -> Findings:
    featured = choose_neurons(acts, masks, sample.pivot, sample.families)
    ablation = []
    if options.ablation:
        some = {name: _first(part, options.ablation) for name, part in batches.items()}
        ablation = ablation_matrices(model, acts, some, pivot=sample.pivot, share=options.share, progress=progress)
    found = firings(model, tokenizer, batches, featured, acts.directions, sample.pivot)
    return Findings(ablation, featured, found)


def _first(batches: Sequence[Batch], sentences: int) -> list[Batch]:
    """Batches with about so many sentences, spread over short and long ones."""
    step = max(1, sum(len(batch.inputs["labels"]) for batch in batches) // sentences)
    return [Batch(batch.direction, {name: rows[::step] for name, rows in batch.inputs.items()}) for batch in batches]
