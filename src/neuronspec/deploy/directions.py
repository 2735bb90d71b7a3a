"""Compacting and exporting directions of a model: a folder for each, all as a bundle, or a dense model as it is."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from neuronspec.core.direction import Direction, languages_of, match_direction
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.core.languages import unknown_language
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder
from neuronspec.deploy.bundle import export_bundle
from neuronspec.deploy.export import export_dense, export_direction, sample_of, why_not_kept
from neuronspec.deploy.manifest import Manifest, facts_as_json, megabytes, new_folder
from neuronspec.deploy.opening import Opened, open_model, open_specialized, own_directions
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import tagged_languages
from neuronspec.specialization.compact import compact, compact_report
from neuronspec.specialization.model_state import specialization_of
from neuronspec.specialization.save import save_compact
from neuronspec.specialization.scope import serve
from neuronspec.translation.conversion import import_ctranslate2, why_not_convertible
from neuronspec.translation.quantizations import QUANTIZATIONS

if TYPE_CHECKING:
    from neuronspec.corpus.store import TokenStore

logger = logging.getLogger(__name__)

TOLERANCE = 0.3
"""chrF++ by which a quantized model may differ before a warning says so."""


def compact_directions(path: Path, directions: list[str], out: Path, pivot: str | None) -> list[dict[str, Any]]:
    """Write compact folders with their tokenizer; what each holds.

    Raises:
        DirectionError: no direction is named, or the model can't serve one.
        ModelError: the model isn't specialized, or a folder exists.
    """
    opened = open_specialized(path, "cpu")
    facts = []
    for name, folder in _folders(opened, directions, out, pivot).items():
        small = compact(opened.model, name)
        with new_folder(folder) as temporary:
            save_compact(small, temporary)
            opened.tokenizer.save_pretrained(temporary)
        report = compact_report(small)
        share = report.parameters / report.dense_parameters
        facts.append(
            {
                "direction": name,
                "folder": str(folder),
                "parameters": report.parameters,
                "dense_parameters": report.dense_parameters,
                "summary": f"{folder}: {name}, {report.parameters:,} parameters, {share:.0%} of the dense model's",
            }
        )
    return facts


def export_directions(
    path: Path,
    directions: list[str] | None,
    out: Path,
    quantization: str,
    verify: int,
    sample: Path | None,
    pivot: str | None,
    progress: Progress = SILENT,
) -> list[dict[str, Any]]:
    """Export directions of a model (None: all that it has masks for, or that its run has text for); what folders hold.

    Each direction of a specialized model gets a folder; of several, those that an interrupted export finished are
    kept. A dense model is one folder for all of them.

    Raises:
        DirectionError: no direction is named, or the model can't serve one.
        ModelError: a folder exists and is something else, or an exported model translates otherwise than the one that
            was exported.
    """
    opened = _to_export(path, reads_text=not directions or (verify > 0 and sample is None))
    QUANTIZATIONS.check(quantization)
    if opened.kind == "dense":
        if pivot is not None:
            raise DirectionError(f"{path} is a dense model, which has no masks to compose over {pivot}: leave it out")
        names = _text_of(opened) if directions is None else _named(opened, directions)
        return [_dense(opened, names, out, quantization, verify, sample, progress)]
    if directions is None:
        folders = {name: out / name for name in own_directions(opened.model)}
    else:
        folders = _folders(opened, directions, out, pivot)
    kept = {name for name, folder in folders.items() if folder != out and _filled(folder)}
    for name in sorted(kept):  # before the work on the others
        problem = why_not_kept(opened, Direction.parse(name), folders[name], quantization, pivot, bool(verify))
        if problem:
            raise ModelError(
                f"{folders[name]} exists already, and can't be kept: {problem}; remove it, or give another folder with "
                "--out"
            )
    facts = []
    for name, folder in progress.track(folders.items(), "exporting", len(folders)):
        direction = Direction.parse(name)
        if name in kept:
            manifest = Manifest.load(folder)
        else:
            text = sample_of(opened, direction, verify, sample) if verify else None
            manifest = export_direction(opened, direction, folder, quantization, text, pivot)
        summary = _summary(folder, name, manifest) + ("; kept, as it was exported before" if name in kept else "")
        facts.append({"folder": str(folder), **facts_as_json(manifest), "kept": name in kept, "summary": summary})
        _warn(name, manifest)
    return facts


def _to_export(path: Path, reads_text: bool) -> Opened:
    """A model in float32, which what is exported is held against; bfloat16 rounds what it computes.

    Args:
        path: of the model.
        reads_text: whether the texts of the run are needed, if the model is an arm of one; they may be damaged.

    Raises:
        MissingExtraError: ctranslate2 isn't installed.
        ModelError: CTranslate2 can't compute it, which is told before there is a folder; or it is compact.
    """
    opened = open_model(path, "cpu")
    if opened.kind == "compact":
        raise ModelError(f"{path} is a compact model: export the direction of the model that it was cut out of")
    if reads_text and opened.store is None:
        opened = replace(opened, store=_store_of(path))
    import_ctranslate2()
    if reason := why_not_convertible(opened.model):
        raise ModelError(f"{path} can't be exported: {reason}; translate and serve take it as it is")
    cast(Any, opened.model).float()
    return opened


def _run_of(path: Path) -> RunFolder | None:
    """The run that a model folder is an arm of, if it is one, from wherever it is named; arms of a sweep are links."""
    for arm in (path.absolute(), path.resolve()):
        for run in map(RunFolder, (arm.parent, arm.parent.parent)):
            if run.exists and run.arm(arm.name) == arm:
                return run
    return None


def _store_of(path: Path) -> TokenStore | None:
    """The texts of the run that a model folder is an arm of, if it is one and has them."""
    from neuronspec.corpus.store import TokenStore

    run = _run_of(path)
    return TokenStore.open(run.data) if run is not None and run.data.is_dir() else None


def _dense(
    opened: Opened,
    names: list[str],
    out: Path,
    quantization: str,
    verify: int,
    sample: Path | None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Export a model that computes its directions with all neurons; what the folder holds."""
    directions = [Direction.parse(name) for name in names]
    samples = {str(each): sample_of(opened, each, verify, sample) for each in directions} if verify else {}
    manifest = export_dense(opened, directions, out, quantization, samples, progress)
    for name in names:
        _warn(name, manifest)
    count = f"{len(names)} directions" if len(names) > 1 else names[0]
    text = f"{out}: dense model for {count}, {quantization}, {megabytes(out):.1f} MB{_checked(opened.kind, manifest)}"
    return {"folder": str(out), **facts_as_json(manifest), "summary": text}


def _checked(kind: str, manifest: Manifest) -> str:
    """In how many sentences of all directions what was exported is the same, as the end of a summary."""
    checked = [facts.verification for facts in manifest.directions.values() if facts.verification is not None]
    if not checked:
        return "; not verified"
    same, sentences, ties = (
        sum(getattr(each, name) for each in checked) for name in ("identical", "sentences", "ties")
    )
    texts = " and ".join(dict.fromkeys(each.text for each in checked))
    text = f"; float32 same as the {kind} model in {same} of {sentences} sentences ({texts})"
    if ties:
        text += f", {ties} {'ties' if ties > 1 else 'tie'}"
    quantized = [each.quantized_identical for each in checked if each.quantized_identical is not None]
    if quantized:
        text += f"; {manifest.quantization} same in {sum(quantized)}"
    changes = sorted(each.chrf_difference for each in checked if each.chrf_difference is not None)
    if changes:
        text += f", {' to '.join(f'{change:+.2f}' for change in dict.fromkeys((changes[0], changes[-1])))} chrF++"
    return text


def _filled(folder: Path) -> bool:
    """Whether there is something at a path, but an empty folder."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def export_one_bundle(
    path: Path, out: Path, quantization: str, verify: int, sample: Path | None
) -> list[dict[str, Any]]:
    """Export all directions as one folder; what it holds.

    It is a bundle, or the dense model alone where the semantics compute all neurons in every direction.

    Raises:
        ModelError: the folder exists, the model has no masks, or a direction translates otherwise than the specialized
            model.
    """
    opened = _to_export(path, reads_text=verify > 0 and sample is None)
    if opened.kind == "dense":
        raise ModelError(f"{path} is a dense model, one folder for all directions that are named: leave --bundle out")
    known = own_directions(opened.model)
    if not specialization_of(opened.model).rule.compacts:
        return [_dense(opened, known, out, quantization, verify, sample)]
    samples = {name: sample_of(opened, Direction.parse(name), verify, sample) for name in known} if verify else {}
    manifest = export_bundle(opened, out, quantization, samples)
    for name in known:
        _warn(name, manifest)
    text = f"{out}: bundle of {len(known)} directions, {quantization}, {megabytes(out):.1f} MB"
    text += _checked(opened.kind, manifest)
    return [{"folder": str(out), **facts_as_json(manifest), "summary": text}]


def _summary(folder: Path, name: str, manifest: Manifest) -> str:
    return (
        f"{folder}: {name}, {manifest.quantization}, {manifest.directions[name].neurons:,} of "
        f"{manifest.dense_neurons:,} neurons, {megabytes(folder):.1f} MB{_checked('specialized', manifest)}"
    )


def _warn(name: str, manifest: Manifest) -> None:
    checked = manifest.directions[name].verification
    if checked is not None and checked.chrf_difference is not None and checked.chrf_difference < -TOLERANCE:
        logger.warning(
            "%s: %s loses %.2f chrF++ on %d sentences; --quantization float32 loses nothing",
            name, manifest.quantization, -checked.chrf_difference, checked.sentences,
        )  # fmt: skip


def _folders(opened: Opened, directions: list[str], out: Path, pivot: str | None) -> dict[str, Path]:
    """Where each direction goes: `out` itself, or a folder in it where there are several."""
    known = own_directions(opened.model)
    if not directions:
        raise DirectionError(
            f"no direction given: name some, such as {known[0]} (export --all takes all); the model has "
            f"{', '.join(known)}"
        )
    names = _spelled(directions, languages_of(map(Direction.parse, known)))
    for name in names:
        serve(opened.model, Direction.parse(name), pivot)
    return {names[0]: out} if len(names) == 1 else {name: out / name for name in names}


def _named(opened: Opened, directions: list[str]) -> list[str]:
    """Directions of a dense model, as its tokenizer spells languages.

    Raises:
        DirectionError: none is named, or the tokenizer can't tell a language.
    """
    if not directions:
        hint = " (--all takes those that the run has text for)" if opened.store else ""
        raise DirectionError(f"no direction given, and a dense model has no list of them: name some{hint}")
    tagged = tagged_languages(opened.tokenizer)
    names = _spelled(directions, tagged)
    if not tagged and (wrong := list(filter(None, map(unknown_language, languages_of(map(Direction.parse, names)))))):
        raise DirectionError("; ".join(wrong))
    TextFormat.of(opened.tokenizer).check(map(Direction.parse, names))
    return names


def _text_of(opened: Opened) -> list[str]:
    """The directions that the run of a dense model has text for.

    Raises:
        DirectionError: it is no arm of a run.
    """
    if opened.store is None:
        run = _run_of(opened.path)
        reason = f"the text of its run is gone ({run.data})" if run else "it has no list of directions"
        raise DirectionError(f"{opened.path} is a dense model, and {reason}: name the directions instead of --all")
    return sorted({str(each) for split in ("train", "test") for each in opened.store.directions(split)})


def _spelled(directions: list[str], languages: Iterable[str]) -> list[str]:
    """Directions with their languages as a model spells them, each once."""
    names = [str(match_direction(name, languages)) for name in directions]
    if len(set(names)) != len(names):
        raise DirectionError(f"a direction is named twice: {', '.join(names)}")
    return names
