"""`neuronspec.json`: what an exported folder holds, and whether it is still what was exported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, PositiveInt

from neuronspec.core.checksums import FileFacts, FileName, verifies
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError
from neuronspec.core.files import replacing_folder, write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.registry import OneOf
from neuronspec.models.hub import blobs_of
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.translation.quantizations import QUANTIZATIONS

MANIFEST = "neuronspec.json"
REMEDY = "copy the folder again, or export again"
VERSION = 1
"""Of the format, the newest that is read."""


def _as_direction(name: str) -> str:
    try:
        Direction.parse(name)
    except DirectionError as error:
        raise ValueError(str(error)) from None
    return name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Verification(_Strict):
    """How the exported model translates a sample, held against the model that was exported.

    Args:
        text: where the sample is from.
        sentences: in the sample.
        identical: float32 hypotheses that are those of that model.
        ties: float32 hypotheses that differ where both have the same score but for rounding.
        quantized_identical: hypotheses as exported (int8, float16) that are those of that model.
        chrf: chrF++ as exported, where there are references.
        chrf_difference: that minus chrF++ of that model.
    """

    text: str
    sentences: int
    identical: int
    ties: int = 0
    quantized_identical: int | None = None
    chrf: float | None = None
    chrf_difference: float | None = None


class DirectionFacts(_Strict):
    """One direction of an exported model.

    Args:
        neurons: feed-forward neurons that it has.
        composed: for a zero-shot direction, the directions whose encoder and decoder masks it has.
    """

    neurons: NonNegativeInt
    composed: tuple[str, str] | None = None
    verification: Verification | None = None


class Manifest(_Strict):
    """`neuronspec.json` of a folder that `export` wrote.

    Args:
        kind: `direction`: a CTranslate2 model of one direction; `bundle`: a dense one from which directions are cut;
            `dense`: one that computes all its directions as it is.
        directions: by name.
        source: fingerprint of the model that was exported; see `model_fingerprint`.
        coverage, semantics: k and kind of the masks; None of a model without masks.
        quantization: of the weights.
        longest_source, longest_translation: in tokens, without and with tag and `</s>`; sources of any length where
            positions are relative. A source of a decoder-only model is the prompt, and leaves room for the translation.
        ends: ids of the tokens that end a translation, of decoder-only models; empty of others, which have one.
        dense_neurons: feed-forward neurons of the dense model.
        parameters, dense_parameters: numbers of parameters.
        files: what belongs to the folder.
        digest: SHA-256 of all the above; None in exports of version 0.1, which had none.
    """

    format: Literal["neuronspec.ctranslate2"] = "neuronspec.ctranslate2"
    version: PositiveInt = VERSION
    kind: Literal["direction", "bundle", "dense"]
    directions: dict[Annotated[str, AfterValidator(_as_direction)], DirectionFacts]
    source: str
    coverage: float | dict[str, float] | None = None
    semantics: Annotated[str, OneOf(SEMANTICS)] | None = None
    quantization: Annotated[str, OneOf(QUANTIZATIONS)]
    longest_source: PositiveInt | None
    longest_translation: PositiveInt
    ends: list[NonNegativeInt] = []
    vocabulary: PositiveInt
    dense_neurons: PositiveInt
    parameters: PositiveInt
    dense_parameters: PositiveInt
    files: dict[FileName, FileFacts] = {}
    digest: str | None = None

    def save(self, folder: Path) -> None:
        """Write it into a folder, with the facts of all files that are there."""
        whole = self.model_copy(update={"files": facts_in(folder)})
        write_json(folder / MANIFEST, whole.model_copy(update={"digest": whole.own_digest()}).model_dump(mode="json"))

    def own_digest(self) -> str:
        """What `digest` is where nothing has changed."""
        later = set() if self.ends else {"ends"}  # exports from before don't have it
        content = json.dumps(self.model_dump(mode="json", exclude={"digest", *later}), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    @classmethod
    def load(cls, folder: Path, *, check: bool = True) -> Manifest:
        """Read it, and check that the folder's files are those that were written.

        Raises:
            ModelError: there is none, it is damaged, or a file is missing, cut or changed.
        """
        path = folder / MANIFEST
        if not path.is_file() and is_folder_of_ctranslate2(folder):
            raise without_manifest(folder)
        if not path.exists():
            raise ModelError(f"{folder} is not an exported model: it has no {MANIFEST}")
        version = read_json(path, dict[str, Any], REMEDY, error=ModelError).get("version")
        if type(version) is int and version > VERSION:
            raise ModelError(f"{path}: written in version {version}; this neuronspec reads up to {VERSION}: upgrade it")
        manifest = read_json(path, cls, REMEDY, error=ModelError)
        needed = ["model.bin", *([MASKS_FILE] if manifest.kind == "bundle" else [])]
        missing = [f"checksum of {name}" for name in needed if name not in manifest.files]
        if missing or not manifest.directions:
            raise ModelError(f"{path} is damaged (it has no {missing[0] if missing else 'direction'}); {REMEDY}")
        if check and verifies() and manifest.digest not in (None, manifest.own_digest()):
            raise ModelError(f"{path} is damaged: its content changed; {REMEDY}")
        if check:
            homes = list(filter(None, (folder.resolve(), blobs_of(folder))))  # the hub's cache holds links
            for name, facts in manifest.files.items():
                if not any(map((folder / name).resolve().is_relative_to, homes)):
                    raise ModelError(f"{folder / name} is a link out of the folder; copy the file itself there")
                if wrong := facts.problem(folder / name):
                    raise ModelError(f"{folder / name} {wrong}; export again, or copy the whole folder again")
        return manifest


def facts_in(folder: Path) -> dict[str, FileFacts]:
    """The facts of all files in a folder, by name."""
    return {path.name: FileFacts.of(path) for path in sorted(folder.iterdir()) if path.is_file()}


def is_folder_of_ctranslate2(folder: Path) -> bool:
    """Whether a folder holds a CTranslate2 model, exported by us or not."""
    return (folder / "model.bin").is_file() and not folder.name.startswith(".")


def without_manifest(folder: Path) -> ModelError:
    """The error for a folder that has no `neuronspec.json`."""
    return ModelError(
        f"{folder} has a CTranslate2 model but no {MANIFEST}, which neuronspec exports with it: copy the folder "
        f"again with all its files, or make it again with neuronspec export RUN DIRECTION --out {folder}"
    )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which it becomes if the block succeeds; nothing is left if not.

    Raises:
        ModelError: `folder` exists and isn't empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists already: remove it, or give another folder with --out")
    with replacing_folder(folder) as temporary:
        yield temporary


def megabytes(folder: Path) -> float:
    """Size of a folder's files in 10^6 bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def facts_as_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest without its list of files, for programs."""
    return manifest.model_dump(mode="json", exclude={"files", "digest"})
