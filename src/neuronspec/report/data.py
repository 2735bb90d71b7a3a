"""What a report is drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neuronspec.analysis.findings import Findings
from neuronspec.core.run_folder import RunFolder
from neuronspec.evaluation.results import Results
from neuronspec.evaluation.samples import Sample
from neuronspec.neurons.activations import Activations
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.neurons.settings import Statistic
from neuronspec.report.published import Published


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report is drawn from; parts that are missing leave their sections out.

    Args:
        name: of the recipe or model.
        masks: the selected neurons.
        pivot: the language in the middle; None shows all directions at every site.
        families: by language, where it isn't the built-in table's.
        environment: versions and machine.
        activations: that the masks were selected from.
        statistic: that they were selected by.
        findings: what was found with the model at hand.
        results: of the run.
        about: what was run, or analysed, as a sentence: date, model, text, time.
        logs: by name (`base` and arms) the lines of its `log.jsonl`.
        samples: sample translations.
        published: results of a paper that are shown beside.
        recipe: the recipe as YAML text, or other settings as text.
    """

    name: str
    masks: NeuronMasks
    pivot: str | None
    families: Mapping[str, str]
    environment: Mapping[str, Any]
    activations: Activations | None = None
    statistic: Statistic = "count"
    findings: Findings | None = None
    results: Results | None = None
    logs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    published: Published | None = None
    recipe: str = ""
    about: str = ""

    @property
    def arms(self) -> list[str]:
        """All that results, logs and findings know, in the order of the tables."""
        drift = (summary.model for summary in self.findings.drift) if self.findings else ()
        return list(dict.fromkeys([*(self.results.arms if self.results else ()), *self.logs, *drift]))


def analysed_data(folder: Path) -> ReportData:
    """The report data of a folder that `neuronspec analyse MODEL` wrote.

    Raises:
        RunError: it isn't one, or is damaged.
        MaskError: its activations or masks are missing or damaged.
    """
    from neuronspec.analysis.own_model import Subject
    from neuronspec.report.about import about_model

    subject = Subject.load(folder)
    settings = subject.model_dump(exclude={"environment", "families"})
    return ReportData(
        name=Path(subject.model).name or subject.model,
        masks=NeuronMasks.load(RunFolder(folder).masks),
        pivot=subject.pivot,
        families=subject.families,
        environment=subject.environment,
        activations=Activations.load(RunFolder(folder).activations),
        statistic=subject.statistic,
        findings=Findings.load(RunFolder(folder).analysis),
        recipe="\n".join(f"{key}: {value}" for key, value in settings.items()),
        about=about_model(subject),
    )
