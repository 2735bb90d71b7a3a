"""Exporting models to CTranslate2, verified before they take their place: a direction, or a dense model as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, ModelError
from neuronspec.core.files import scratch_folder
from neuronspec.core.progress import SILENT, Progress
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.deploy.manifest import DirectionFacts, Manifest, Verification, facts_in, new_folder
from neuronspec.deploy.opening import Opened
from neuronspec.evaluation.evaluate import read_test_set
from neuronspec.models.fingerprint import model_fingerprint
from neuronspec.models.load import LONGEST_TRANSLATION
from neuronspec.models.sites import find_ffn_sites
from neuronspec.models.text_format import TextFormat
from neuronspec.scoring.score import score
from neuronspec.specialization.compact import CompactReport, compact_report, count_parameters, deployable
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import composed_from, serve
from neuronspec.translation.conversion import convert, import_ctranslate2, vocabulary_of
from neuronspec.translation.ctranslate2_engine import CTranslate2Engine, load_translator
from neuronspec.translation.engine import ends_of, longest_source_of, longest_translation
from neuronspec.translation.quantizations import QUANTIZATIONS
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.transformers_engine import TransformersEngine

TIE = 1e-4
"""Scores (log-probability per token) that differ by less are equal up to rounding."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sentences to verify with.

    Args:
        text: where they are from.
        sources: sentences.
        references: their translations, if there are any.
    """

    text: str
    sources: list[str]
    references: list[str] | None = None


def sample_of(opened: Opened, direction: Direction, number: int, file: Path | None = None) -> Sample:
    """Sentences of a direction: of a file, of the run's test set, or single pieces of the tokenizer.

    Raises:
        CorpusError: the file is missing, not UTF-8 (with the line), or empty.
    """
    if file is not None:
        lines = [line for _, block in read_blocks(file) for line in block if line.strip()][:number]
        if not lines:
            raise CorpusError(f"{file} has no text: --sample needs one sentence per line")
        return Sample(file.name, lines)
    if opened.store is not None and direction in opened.store.directions("test"):
        test = read_test_set(opened.store, direction, number)
        return Sample("the run's test set", test.sources, test.references)
    return Sample("pieces of the tokenizer", _pieces(opened, number))


def _pieces(opened: Opened, number: int) -> list[str]:
    """Texts of three neighbouring pieces, spread over the vocabulary."""
    tokenizer = opened.tokenizer
    special = set(tokenizer.all_special_ids)  # asked once: the tokenizer computes it anew each time
    ids = [i for i in range(len(tokenizer)) if i not in special]
    starts = range(0, max(1, len(ids) - 3), max(1, len(ids) // number))
    texts = [str(tokenizer.decode(ids[start : start + 3])) for start in starts]
    return [" ".join(text.split()) for text in texts if text.strip()][:number]


def export_direction(
    opened: Opened,
    direction: Direction,
    folder: Path,
    quantization: str = "int8",
    sample: Sample | None = None,
    pivot: str | None = None,
) -> Manifest:
    """Write a direction of a specialized model as a CTranslate2 folder with tokenizer and `neuronspec.json`.

    The folder appears when its float32 conversion has translated the sample as the specialized model does; what was
    quantized is compared and reported.

    Args:
        opened: a specialized model; see `open_specialized`.
        direction: one with masks, or one that can be composed.
        folder: must not exist, or be empty.
        quantization: a name in `QUANTIZATIONS`.
        sample: to verify with; without it nothing is verified.
        pivot: the language that a zero-shot direction is composed over, where several would do.

    Raises:
        RecipeError: there is no such quantization.
        DirectionError: the model can't serve the direction.
        ModelError: the folder exists, the model can't be converted, or the conversion translates otherwise.
    """
    import_ctranslate2()
    QUANTIZATIONS.check(quantization)
    with new_folder(folder) as temporary:
        small = _write(opened, direction, temporary, quantization, pivot)
        checked = None
        if sample is not None:
            checked = verify(opened, direction, *_translators(opened, small, temporary, quantization), sample)
        _manifest(opened, direction, small, quantization, checked).save(temporary)
    return Manifest.load(folder)


def export_dense(
    opened: Opened,
    directions: Sequence[Direction],
    folder: Path,
    quantization: str = "int8",
    samples: Mapping[str, Sample] | None = None,
    progress: Progress = SILENT,
) -> Manifest:
    """Write a model that computes all neurons in every direction as one CTranslate2 folder, verified as a direction is.

    Args:
        opened: a dense model, or one with masks whose semantics compute all neurons.
        directions: that the folder serves.
        folder: must not exist, or be empty.
        quantization: a name in `QUANTIZATIONS`.
        samples: by direction, sentences to verify with; directions without any aren't verified.
        progress: shows the directions that are verified.

    Raises:
        RecipeError: there is no such quantization.
        ModelError: the folder exists, the model can't be converted, or the conversion translates otherwise.
    """
    import_ctranslate2()
    QUANTIZATIONS.check(quantization)
    model, samples = opened.model, samples or {}
    size, widths = count_parameters(model), {site.name: site.width for site in find_ffn_sites(model)}
    with new_folder(folder) as temporary:
        convert(model, opened.tokenizer, temporary, quantization, LONGEST_TRANSLATION)
        opened.tokenizer.save_pretrained(temporary)
        exact, rounded = _translators(opened, model, temporary, quantization) if samples else (None, None)
        facts = {}
        for direction in progress.track(directions, "verifying", len(directions)):
            sample = samples.get(str(direction))
            checked = None if sample is None else verify(opened, direction, exact, rounded, sample)
            facts[str(direction)] = DirectionFacts(neurons=sum(widths.values()), verification=checked)
        report = CompactReport("", "", widths, size, size)
        describe(opened, "dense", facts, quantization, report).save(temporary)
    return Manifest.load(folder)


def _write(opened: Opened, direction: Direction, folder: Path, quantization: str, pivot: str | None) -> PreTrainedModel:
    """Write all files but the manifest; the model that was converted."""
    serve(opened.model, direction, pivot)
    small = deployable(opened.model, direction)
    convert(small, opened.tokenizer, folder, quantization, LONGEST_TRANSLATION)
    opened.tokenizer.save_pretrained(folder)
    return small


def _manifest(
    opened: Opened, direction: Direction, small: PreTrainedModel, quantization: str, checked: Verification | None
) -> Manifest:
    """The manifest of an exported direction, without its files."""
    report, composed = compact_report(small), composed_from(opened.model, direction)
    facts = DirectionFacts(neurons=sum(report.widths.values()), composed=composed, verification=checked)
    return describe(opened, "direction", {str(direction): facts}, quantization, report)


def why_not_kept(
    opened: Opened, direction: Direction, folder: Path, quantization: str, pivot: str | None, verified: bool
) -> str | None:
    """Why a folder isn't what `export_direction` would make of it; None if it is, file by file.

    Args:
        opened: the specialized model.
        direction: of the export.
        folder: that exists.
        quantization: a name in `QUANTIZATIONS`.
        pivot: as of `export_direction`.
        verified: whether it must have been verified.
    """
    try:
        manifest = Manifest.load(folder)
    except ModelError as error:
        return str(error)
    found = manifest.directions.get(str(direction))
    checked = found.verification if found else None
    with scratch_folder() as scratch:
        small = _write(opened, direction, scratch, quantization, pivot)
        expected = _manifest(opened, direction, small, quantization, checked).model_copy(
            update={"files": facts_in(scratch), "digest": manifest.digest}
        )
    if manifest != expected:
        return "it was made from another model, or with other options"
    return "it was not verified" if verified and checked is None else None


def describe(
    opened: Opened, kind: Any, directions: dict[str, DirectionFacts], quantization: Any, report: CompactReport
) -> Manifest:
    """The manifest of an export, without its files."""
    state, config = attached(opened.model), opened.model.config
    specialized = set(report.widths)
    sites = find_ffn_sites(opened.model)
    rest = sum(site.width for site in sites if site.name not in specialized)
    if rest:
        directions = {
            name: facts.model_copy(update={"neurons": facts.neurons + rest}) for name, facts in directions.items()
        }
    return Manifest(
        kind=kind,
        directions=directions,
        source=model_fingerprint(opened.model),
        coverage=None if state is None else state.masks.info.coverage,
        semantics=None if state is None else state.semantics,
        quantization=quantization,
        longest_source=_longest_source(opened),
        longest_translation=longest_translation(opened.model, opened.tokenizer),
        ends=_ends(opened),
        vocabulary=config.vocab_size,
        dense_neurons=sum(site.width for site in sites),
        parameters=report.parameters,
        dense_parameters=report.dense_parameters,
    )


def verify(opened: Opened, direction: Direction, exact: Any, rounded: Any | None, sample: Sample) -> Verification:
    """Hold an exported model against the one that was exported on a sample.

    Args:
        opened: the model that was exported.
        direction: to translate in.
        exact: its `ctranslate2.Translator` in float32.
        rounded: as it was exported, if it was quantized.
        sample: to translate with both.

    Raises:
        ModelError: in float32 a hypothesis differs by more than rounding.
    """
    with _as_converted(opened.model):
        expected = TransformersEngine(opened.model, opened.tokenizer, _settings(opened)).translate(
            sample.sources, direction
        )
    found = _engine(opened, exact).translate(sample.sources, direction)
    identical, ties = 0, 0
    for source, one, other in zip(sample.sources, expected.nbest, found.nbest, strict=True):
        if [text for text, _ in one[:1]] == [text for text, _ in other[:1]]:
            identical += 1
        elif one and other and abs(one[0][1] - other[0][1]) < TIE:
            ties += 1
        else:
            raise ModelError(
                f"the exported {direction} doesn't translate as the {opened.kind} model does: {source!r} gives "
                f"{other[:1]} instead of {one[:1]}; nothing was written"
            )
    checked = Verification(text=sample.text, sentences=len(sample.sources), identical=identical, ties=ties)
    if rounded is None:
        return checked.model_copy(update={"chrf": _chrf(found, sample, direction)})
    lines = _engine(opened, rounded).translate(sample.sources, direction)
    after, before = (_chrf(each, sample, direction) for each in (lines, expected))
    difference = None if after is None or before is None else round(after - before, 3)
    same = sum(one == other for one, other in zip(expected, lines, strict=True))
    return checked.model_copy(update={"quantized_identical": same, "chrf": after, "chrf_difference": difference})


@contextmanager
def _as_converted(model: Any) -> Iterator[None]:
    """What `generate` must not write has no share in its probabilities, as in CTranslate2."""
    config = model.generation_config
    before, config.renormalize_logits = config.renormalize_logits, True
    try:
        yield
    finally:
        config.renormalize_logits = before


def _chrf(lines: Sequence[str], sample: Sample, direction: Direction) -> float | None:
    if sample.references is None:
        return None
    return round(score(lines, sample.references, direction.target)["chrf++"].value, 3)


def _translators(opened: Opened, small: Any, exported: Path, quantization: str) -> tuple[Any, Any | None]:
    """What is exported in float32, and as it was exported where that is something else."""
    if quantization == "float32":
        return load_translator(exported), None
    with scratch_folder() as folder:
        convert(small, opened.tokenizer, folder, "float32", LONGEST_TRANSLATION)
        exact = load_translator(folder)
    return exact, load_translator(exported, "cpu", QUANTIZATIONS.get(quantization).computed("cpu"))


def translator_of_files(files: dict[str, bytes], compute_type: str, device: str = "cpu", threads: Any = None) -> Any:
    """A `ctranslate2.Translator` of a model in memory."""
    return load_translator("in memory", device, compute_type, threads, files=files)


class _Fixed:
    def __init__(self, translator: Any) -> None:
        self._translator = translator

    def translator(self, direction: Direction) -> Any:
        return self._translator

    def origin(self, direction: Direction) -> None:
        return None


def _engine(opened: Opened, translator: Any) -> CTranslate2Engine:
    vocabulary = vocabulary_of(opened.tokenizer, opened.model.config.vocab_size)
    return CTranslate2Engine(
        opened.tokenizer, _settings(opened), _Fixed(translator), vocabulary, _longest_source(opened), _ends(opened)
    )


def _settings(opened: Opened) -> EvaluationSettings:
    return EvaluationSettings(max_new_tokens=longest_translation(opened.model, opened.tokenizer))


def _ends(opened: Opened) -> list[int]:
    text_format = TextFormat.of(opened.tokenizer)
    return ends_of(opened.model, text_format) if text_format.is_causal else []


def _longest_source(opened: Opened) -> int | None:
    return longest_source_of(opened.model, TextFormat.of(opened.tokenizer).frame.framing)
