"""What the command `translate` does, once its options are read."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import typer

from neuronspec.cli.output import keep_stdout_free, progress
from neuronspec.deploy.documents.registry import FILLED

logger = logging.getLogger(__name__)


def in_place_of(file: str, out: Path | None, source: str, kind: str | None) -> Path:
    """The file that is filled in place.

    Raises:
        BadParameter: `--out` is given, too, or the file has no places for translations.
    """
    from neuronspec.deploy.documents.document import format_of

    if out is not None:
        raise typer.BadParameter("--in-place and --out exclude each other")
    if file == "-":
        raise typer.BadParameter("--in-place fills a file, and - is standard input; leave --in-place out")
    if Path(file).is_dir() or format_of(file, source, kind) not in FILLED:
        raise typer.BadParameter(f"--in-place is for {', '.join(FILLED)} files; name with --out where {file} goes")
    return Path(file)


def check_other(file: str, out: Path | None, source: str, kind: str | None) -> None:
    """See that the translation doesn't replace what it is of.

    Raises:
        BadParameter: it would.
    """
    from neuronspec.deploy.documents.document import format_of

    if out is not None and out.is_file() and Path(file).is_file() and out.samefile(file):
        instead = ", or fill the file with --in-place" if format_of(file, source, kind) in FILLED else ""
        raise typer.BadParameter(f"--out {out} is the file that is translated; name another one{instead}")


def _aids(files: list[Path], terms: Path | None, languages: tuple[str, str]) -> dict[str, Any]:
    """A translation memory and a glossary, where they are wanted."""
    from neuronspec.core.direction import direction_between
    from neuronspec.deploy.documents.glossary import Glossary
    from neuronspec.deploy.documents.memory import TranslationMemory

    if not files and terms is None:
        return {}
    direction = direction_between(*languages, [])
    found: dict[str, Any] = {}
    if files:
        found["memory"] = memory = TranslationMemory(files, direction)
        left_out = f"; left out {memory.left_out} with markup or other placeholders" if memory.left_out else ""
        logger.info("translations in the memory: %d%s", len(memory), left_out)
    if terms is not None:
        found["glossary"] = glossary = Glossary(terms, direction)
        logger.info("terms in the glossary: %d", len(glossary))
    return found


def translate_file(
    model: Path,
    languages: tuple[str, str],
    file: str,
    out: Path | None,
    document: dict[str, Any],
    settings: dict[str, Any],
    options: dict[str, Any],
    kind: str | None = None,
    aids: tuple[list[Path], Path | None] = ([], None),
) -> None:
    """Translate a file, the files of a folder, or standard input, in the format `kind` or by the ending of the name.

    `aids` are translation memories and a glossary.

    Raises:
        NeuronspecError: the model, the direction or the file can't be used; nothing is half-written.
    """
    from neuronspec.deploy.documents.document import Options, check_file, translate_document
    from neuronspec.deploy.documents.folder import check_folder, translate_folder
    from neuronspec.deploy.translator import Translator

    keep_stdout_free()
    is_folder = Path(file).is_dir()
    if is_folder:  # checked before the model is loaded
        check_folder(Path(file), out, languages[0], kind, Options(**document))
    else:
        check_file(file, out, languages[0], kind, Options(**document))
    document |= _aids(*aids, languages)
    with progress().task("translated sentences") as task:
        begun, done = time.monotonic(), 0

        def count(sentences: int) -> None:  # how many there will be a stream can't say
            nonlocal done
            done += sentences
            task.show(done, f"{done / max(1e-9, time.monotonic() - begun):,.0f} a second")

        translator = Translator(model, progress=count, **options, **settings)
        direction = translator.direction(*languages)
        if is_folder and out is not None:
            translate_folder(translator, direction, Path(file), out, Options(**document), kind)
        else:
            translate_document(translator, direction, file, out, Options(**document), kind)
