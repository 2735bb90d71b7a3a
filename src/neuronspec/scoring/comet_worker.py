"""Scores translations with COMET: `python -c WORKER CHECKPOINT SAMPLES OUT BATCH_SIZE`.

Run by the Python that has `unbabel-comet`, which need not have neuronspec; so nothing of neuronspec is imported.
SAMPLES is a JSON list of `{"src", "mt", "ref"}`; OUT becomes `{"scores": [...], "version": ...}`.
"""

import json
import sys
from importlib import metadata
from pathlib import Path


def main(checkpoint: str, samples: str, out: str, batch_size: str) -> None:
    """Score samples with a checkpoint.

    Args:
        checkpoint: path of the model.
        samples: path of the JSON list.
        out: path of the JSON that is written.
        batch_size: a number.
    """
    import torch
    from comet import load_from_checkpoint  # type: ignore[import-not-found]

    model = load_from_checkpoint(checkpoint, local_files_only=True)
    found = model.predict(
        json.loads(Path(samples).read_text(encoding="utf-8")),
        batch_size=int(batch_size),
        gpus=int(torch.cuda.is_available()),
        progress_bar=False,
    )
    content = {"scores": [float(score) for score in found.scores], "version": metadata.version("unbabel-comet")}
    Path(out).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
