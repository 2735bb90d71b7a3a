"""What was found with a model at hand, and its file `analysis.json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from neuronspec.analysis.ablation import Ablation
from neuronspec.analysis.drift import StabilityRow
from neuronspec.analysis.tokens import Firing
from neuronspec.core.checksums import verify
from neuronspec.core.errors import RunError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import read_json


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """Masks recorded again from another model, against those recorded first.

    Args:
        model: the continuation that was recorded again, such as `dense`.
        iou: by site, the mean IoU over directions.
        kept: by site, the mean share of the neurons that are still there.
    """

    model: str
    iou: dict[str, float]
    kept: dict[str, float]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything in `analysis.json`; parts that were not asked for are empty.

    Args:
        ablation: one matrix per side.
        featured: by site and kind, the neurons that `tokens` is about.
        tokens: by site and neuron, where it fired most.
        drift: one per model that was recorded again.
        stability: masks from parts of the text.
    """

    ablation: list[Ablation] = field(default_factory=list)
    featured: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    tokens: dict[str, dict[int, list[Firing]]] = field(default_factory=dict)
    drift: list[DriftSummary] = field(default_factory=list)
    stability: list[StabilityRow] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write JSON; `path` is complete or as it was before."""
        write_json(path, TypeAdapter(Findings).dump_python(self, mode="json"))

    @classmethod
    def load(cls, path: Path) -> Findings:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing, damaged, or not what its run made.
        """
        verify(path)
        if not path.exists():
            raise RunError(f"{path} is missing; run 'neuronspec analyse' first")
        return read_json(path, cls, "remove it and run 'neuronspec analyse' again")
