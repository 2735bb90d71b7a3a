"""Compacting and exporting several directions of a model, each into a folder of its own or all as a bundle."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from neuronspec.core.direction import Direction, languages_of, match_direction
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.core.progress import SILENT, Progress
from neuronspec.deploy.bundle import export_bundle
from neuronspec.deploy.export import export_direction, sample_of, why_not_kept
from neuronspec.deploy.manifest import Manifest, facts_as_json, megabytes, new_folder
from neuronspec.deploy.opening import Opened, open_specialized, own_directions
from neuronspec.specialization.compact import compact, compact_report
from neuronspec.specialization.save import save_compact
from neuronspec.specialization.scope import serve
from neuronspec.translation.conversion import check_convertible, import_ctranslate2
from neuronspec.translation.quantizations import QUANTIZATIONS

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
    """Export directions (None: all that have masks); what each folder holds.

    Of several, those that an interrupted export finished are kept.

    Raises:
        DirectionError: no direction is named, or the model can't serve one.
        ModelError: a folder exists and is something else, or an exported model translates otherwise than the
            specialized one.
    """
    opened = _to_export(path)
    QUANTIZATIONS.check(quantization)
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


def _to_export(path: Path) -> Opened:
    """A specialized model in float32, which what is exported is held against; bfloat16 rounds what it computes.

    Raises:
        MissingExtraError: ctranslate2 isn't installed.
        ModelError: CTranslate2 can't compute it, which is told before there is a folder.
    """
    opened = open_specialized(path, "cpu")
    import_ctranslate2()
    check_convertible(opened.model)
    cast(Any, opened.model).float()
    return opened


def _filled(folder: Path) -> bool:
    """Whether there is something at a path, but an empty folder."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def export_one_bundle(
    path: Path, out: Path, quantization: str, verify: int, sample: Path | None
) -> list[dict[str, Any]]:
    """Export all directions as one bundle; what it holds.

    Raises:
        ModelError: the folder exists, or a direction translates otherwise than the specialized model.
    """
    opened = _to_export(path)
    known = own_directions(opened.model)
    samples = {name: sample_of(opened, Direction.parse(name), verify, sample) for name in known} if verify else {}
    manifest = export_bundle(opened, out, quantization, samples)
    for name in known:
        _warn(name, manifest)
    checked = [facts.verification for facts in manifest.directions.values() if facts.verification is not None]
    text = f"{out}: bundle of {len(known)} directions, {quantization}, {megabytes(out):.1f} MB"
    if checked:
        same, sentences = (sum(getattr(each, name) for each in checked) for name in ("identical", "sentences"))
        text += f"; float32 same as the specialized model in {same} of {sentences} sentences"
    else:
        text += "; not verified"
    return [{"folder": str(out), **facts_as_json(manifest), "summary": text}]


def _summary(folder: Path, name: str, manifest: Manifest) -> str:
    facts = manifest.directions[name]
    text = (
        f"{folder}: {name}, {manifest.quantization}, {facts.neurons:,} of {manifest.dense_neurons:,} neurons, "
        f"{megabytes(folder):.1f} MB"
    )
    checked = facts.verification
    if checked is None:
        return f"{text}; not verified"
    text += f"; float32 same as the specialized model in {checked.identical} of {checked.sentences} sentences"
    if checked.ties:
        text += f" ({checked.ties} ties)"
    if checked.quantized_identical is not None:
        text += f", {manifest.quantization} in {checked.quantized_identical}"
    if checked.chrf_difference is not None:
        text += f" ({checked.chrf_difference:+.2f} chrF++)"
    return text


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
    languages = languages_of(map(Direction.parse, known))
    names = [str(match_direction(name, languages)) for name in directions]
    if len(set(names)) != len(names):
        raise DirectionError(f"a direction is named twice: {', '.join(names)}")
    for name in names:
        serve(opened.model, Direction.parse(name), pivot)
    return {names[0]: out} if len(names) == 1 else {name: out / name for name in names}
