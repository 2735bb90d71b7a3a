"""`log.jsonl`: what training did, one JSON object per line.

Every line has `kind`, `update` and `seconds` (of training so far, over all its parts). Kinds:

- `start`: device, precision of products, parameters, and for each direction its pairs, probability and upsampling;
- `training`, every few updates, over the updates since the last such line: `loss` (with label smoothing) and `nll`
  (without) in nats per token, `learning_rate`, `gradient_norm` (mean, before clipping), `target_tokens_per_second`,
  `padding` (share of both sides) and `skipped` (updates without a finite gradient, in total);
- `validation`: `loss` (nats per token; `training.select_by` says which), `losses` by direction, `best`;
- `average`: the mean of the last checkpoints; as for a validation;
- `resume`, after a checkpoint;
- `end`: `best_update`, `target_tokens`, `padding` (of all batches), `passes` over each direction's pairs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Required, TextIO

from pydantic import ConfigDict
from typing_extensions import TypedDict

from neuronspec.core.files import write_text
from neuronspec.core.json_files import read_json_lines


class LogLine(TypedDict, total=False):
    """What is read of a line; it may hold more. Numbers that weren't finite are None."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    kind: Required[str]
    update: Required[int]
    seconds: Required[float]
    loss: float | None
    nll: float | None
    losses: dict[str, float | None]
    update_seconds: float | None


class TrainingLog:
    """Adds lines to `log.jsonl`; each is on its way to the disk when `write` returns.

    Args:
        path: of the file; None writes nothing (all processes but the main one).
        update: lines of later updates are removed first: they are of a part that was killed, and come again.
        also: receives every line as well.
    """

    def __init__(self, path: Path | None, update: int, also: Callable[[Mapping[str, Any]], None] | None = None) -> None:
        self._file: TextIO | None = None
        self._also = also
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(_lines_until(path, update)))
            self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, kind: str, update: int, seconds: float, **facts: Any) -> None:
        """Add a line. Numbers that aren't finite are written as null."""
        if self._file is None:
            return
        line = _finite({"kind": kind, "update": update, "seconds": round(seconds, 3), **facts})
        self._file.write(_written(line))
        self._file.flush()
        if self._also is not None:
            self._also(line)


def read_log(path: Path) -> list[LogLine]:
    """The lines of a log, none if there is no file; a last line that was cut off is left out.

    Raises:
        RunError: the file is damaged; names the line.
    """
    if not path.exists():
        return []
    remedy = f"remove the line, or {path.parent} to train again"
    return list(read_json_lines(path, LogLine, remedy))


def _lines_until(path: Path, update: int) -> list[str]:
    """The lines up to `update`; none of a training that starts over."""
    if update == 0:
        return []
    return [_written(line) for line in read_log(path) if line["update"] <= update]


def _written(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
