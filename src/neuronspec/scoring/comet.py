"""COMET from a checkpoint on this machine (`unbabel-comet`; Rei et al., 2022). Nothing is ever downloaded.

unbabel-comet wants older versions of transformers, numpy and protobuf than neuronspec does, so it can live in an
environment of its own: `comet_python` names that environment's Python, and a small worker runs there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import scratch_folder
from neuronspec.core.json_files import read_json

BATCH_SIZE = 16
_WORKER = Path(__file__).with_name("comet_worker.py")


@dataclass(frozen=True, slots=True)
class CometScores:
    """COMET of sentences.

    Args:
        segments: one score per sentence.
        signature: model and version.
    """

    segments: list[float]
    signature: str


@dataclass(frozen=True, slots=True)
class _Scores:
    """What the worker writes."""

    scores: list[float]
    version: str


def find_checkpoint(path: Path) -> Path:
    """The checkpoint file that `path` is, or that the model folder `path` holds.

    Raises:
        EvaluationError: it isn't a COMET checkpoint: MODEL/checkpoints/model.ckpt beside MODEL/hparams.yaml.
    """
    file = path / "checkpoints" / "model.ckpt" if path.is_dir() else path
    hparams = file.parent.parent / "hparams.yaml"
    if not file.is_file():
        problem = f"there is no file {file}"
    elif not hparams.is_file():
        problem = f"{hparams} is missing"
    elif "class_identifier" not in hparams.read_text(encoding="utf-8", errors="replace"):
        problem = f"{hparams} doesn't name the model's class_identifier"
    elif not _looks_like_torch(file):
        problem = f"{file.name} was not saved by torch"
    else:
        return file
    raise EvaluationError(
        f"{path} is not a COMET checkpoint: {problem}; give MODEL/checkpoints/model.ckpt with MODEL/hparams.yaml, "
        "as in a download of Unbabel/wmt22-comet-da"
    )


def _looks_like_torch(file: Path) -> bool:
    """Whether the file starts as a zip archive or a pickle does; it isn't loaded here."""
    with file.open("rb") as stream:
        return stream.read(2) in (b"PK", b"\x80\x02")


def why_not(python: Path | None) -> str | None:
    """Why COMET can't be computed by an interpreter; None if it can."""
    name = str(python or sys.executable)
    probe = "import importlib.util, sys; sys.exit(0 if importlib.util.find_spec('comet') else 3)"
    try:
        code = subprocess.run([name, "-c", probe], check=False, capture_output=True).returncode  # noqa: S603
    except OSError as error:
        return f"{name} can't be run ({error.strerror})"
    if code == 0:
        return None
    return (
        f"unbabel-comet is not installed for {name}; install it in an environment of its own and name that "
        "environment's Python (evaluation.scores.comet_python, or --comet-python)"
    )


def comet(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    checkpoint: Path,
    python: Path | None = None,
) -> CometScores:
    """COMET of translations, one score per sentence.

    Args:
        sources: of the translations.
        hypotheses: the translations, as many.
        references: as many.
        checkpoint: as `find_checkpoint` takes it. Loading it runs code that the file holds: use none you don't trust.
        python: of an environment with unbabel-comet; without it, the one that runs this.

    Raises:
        EvaluationError: the path isn't a checkpoint, or COMET failed; says how.
    """
    file = find_checkpoint(checkpoint)
    triples = zip(sources, hypotheses, references, strict=True)
    samples = [{"src": source, "mt": hypothesis, "ref": reference} for source, hypothesis, reference in triples]
    with scratch_folder() as folder:
        given, out = folder / "samples.json", folder / "scores.json"
        given.write_text(json.dumps(samples), encoding="utf-8")
        # As text, not as a file: then the worker's folder, with this comet.py, isn't on the path of its imports.
        command = [str(python or sys.executable), "-c", _WORKER.read_text(encoding="utf-8")]
        command += [str(file), str(given), str(out), str(BATCH_SIZE)]
        offline = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=offline)  # noqa: S603
        if done.returncode or not out.exists():
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise EvaluationError(f"COMET failed on {file} (exit code {done.returncode}): {last}")
        content = read_json(out, _Scores, "check unbabel-comet's environment", error=EvaluationError)
    if len(content.scores) != len(samples):
        raise EvaluationError(f"COMET gave {len(content.scores)} scores for {len(samples)} sentences")
    return CometScores(content.scores, f"COMET {file.parent.parent.name}|unbabel-comet:{content.version}")
