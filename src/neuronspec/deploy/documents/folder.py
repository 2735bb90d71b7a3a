"""Translating a folder of documents: each file of a known format, to the same place in another folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, PathError, RecipeError
from neuronspec.deploy.documents.document import Options, check_options, format_of, translate_document
from neuronspec.deploy.translator import Translator

logger = logging.getLogger(__name__)


def check_folder(
    folder: Path, out: Path | None, source: str, kind: str | None = None, options: Options | None = None
) -> None:
    """Check, before the model is loaded, that a folder can be translated.

    Args:
        folder: of the documents.
        out: where the translated ones go.
        source: the language that they are in.
        kind: the format of all of them, where the user says it.
        options: see `Options`.

    Raises:
        PathError: no folder is given for them, or one inside `folder`, or `folder` holds no document.
        RecipeError: there is no such format, or an option belongs to none of the documents' formats.
    """
    if out is None:
        raise PathError(f"{folder} is a folder: say with --out which folder the translated files go to")
    if out.resolve().is_relative_to(folder.resolve()):
        raise PathError(f"--out {out} is inside of {folder}; choose a folder outside of it")
    if out.exists() and not out.is_dir():
        raise PathError(f"--out {out} is a file; {folder} is a folder, so name a folder")
    kinds = {format_of(str(path), source, kind) for path in _files(folder) if _is_known(path, source, kind)}
    if not kinds:
        raise PathError(f"{folder} holds no file of a format that is supported; neuronspec translate --help lists them")
    check_options(kinds, options or Options())


def translate_folder(
    translator: Translator, direction: Direction, folder: Path, out: Path, options: Options, kind: str | None = None
) -> None:
    """Translate the documents in a folder and the folders in it. Files that are in `out` already stay.

    So a call that was interrupted can be repeated. Files whose names begin with a dot are left out; those of unknown
    formats are listed. Each file is translated with the options that its format obeys.

    Args:
        translator: serves the direction.
        direction: of the translation.
        folder: of the documents.
        out: gets the translated files, by the same names.
        options: see `Options`.
        kind: the format of all of them, where the user says it.

    Raises:
        CorpusError: some files can't be read, or lack the column to translate; lists them. The others are translated.
    """
    done, there, unknown, failed = 0, 0, [], []
    for path in _files(folder):
        target = out / path.relative_to(folder)
        if not _is_known(path, direction.source, kind):
            unknown.append(path)
        elif target.exists():
            there += 1
        else:
            logger.info("%s", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            own = options.fitting(format_of(str(path), direction.source, kind))
            try:
                translate_document(translator, direction, str(path), target, own, kind)
                done += 1
            except (CorpusError, PathError, RecipeError) as error:
                failed.append(str(error))
    logger.info("translated %d files into %s%s", done, out, f"; {there} were there already" if there else "")
    if unknown:
        logger.warning("left %d files of unknown formats: %s", len(unknown), ", ".join(map(str, unknown)))
    if failed:
        raise CorpusError("\n".join([f"{len(failed)} files of {folder} weren't translated:", *failed]))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _is_known(path: Path, source: str, kind: str | None) -> bool:
    if kind is None and not path.suffix:
        return False  # README and the like
    try:
        format_of(str(path), source, kind)
    except RecipeError:
        if kind is not None:
            raise
        return False
    return True
