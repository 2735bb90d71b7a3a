"""The last stages of a recipe: what its neurons do, the report, and what is printed at the end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from neuronspec.runs.stages import Run, load_arm

if TYPE_CHECKING:
    from neuronspec.report.data import ReportData

SAMPLES = 3
"""Sample translations that are printed at the end of a run; the report has more."""

RECORDED_AGAIN = ("specialized", "dense")
"""Arms whose neurons are recorded again, to see whether they moved."""


def analyse(run: Run) -> None:
    """What the neurons do, with the models at hand: RUN/analysis.json."""
    from neuronspec.analysis.of_run import Material, analyse_run
    from neuronspec.models.load import load_model
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.selection import families_of, select_masks

    recipe, acts = run.recipe, Activations.load(run.activations)
    arms = [arm for arm in RECORDED_AGAIN if arm in recipe.arms]
    material = Material(
        base=lambda: load_model(run.base),
        # method rows: recording needs layers of full width
        arms={arm: partial(load_arm, run, arm, method="rows") for arm in arms},
        store=run.store(),
        directions=list(acts.directions),
        acts=acts,
        masks=NeuronMasks.load(run.masks),
        select=partial(select_masks, settings=recipe.selection, corpus=recipe.corpus),
        pivot=recipe.corpus.pivot,
        families=families_of(recipe.corpus),
        seed=recipe.seed,
    )
    analyse_run(material, recipe.analysis, recipe.recording, run.progress).save(run.analysis)


def report(run: Run) -> None:
    """RUN/report/index.html."""
    from neuronspec.report.page.html import write_report

    write_report(report_data(run), run.report)


def report_data(run: Run) -> ReportData:
    """What the report of a run is drawn from."""
    from neuronspec.analysis.findings import Findings
    from neuronspec.evaluation.results import read_results
    from neuronspec.evaluation.samples import read_samples
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.selection import families_of
    from neuronspec.report.data import ReportData
    from neuronspec.training.log import read_log

    recipe, names = run.recipe, ["base", *run.recipe.arms]
    directions = [str(direction) for direction in recipe.corpus.all_directions]
    results = read_results(run.results)
    return ReportData(
        name=recipe.name,
        masks=NeuronMasks.load(run.masks),
        pivot=recipe.corpus.pivot,
        families=families_of(recipe.corpus),
        environment=results["environment"],
        activations=Activations.load(run.activations),
        statistic=recipe.selection.statistic,
        findings=Findings.load(run.analysis),
        results=results,
        logs={arm: read_log(run.arm(arm) / "log.jsonl") for arm in names},
        samples=read_samples(run.folder / "evaluation", names, directions, recipe.report.samples),
        recipe=recipe.to_yaml(),
    )


def summarize(run: Run) -> None:
    """Print the tables of arms, a few sample translations, and where the report is."""
    from neuronspec.evaluation.results import read_results
    from neuronspec.evaluation.samples import read_samples, samples_text
    from neuronspec.evaluation.tables import arms_table, tiers_table

    results = read_results(run.results)
    directions = [str(direction) for direction in run.recipe.corpus.all_directions]
    some = directions[:: max(1, len(directions) // SAMPLES)][:SAMPLES]
    samples = read_samples(run.folder / "evaluation", ["base", *run.recipe.arms], some, 1)
    run.console.print(samples_text(samples), markup=False)
    run.console.print(arms_table(results).to_rich())
    run.console.print(tiers_table(results).to_rich())
    run.console.print(f"report: {run.report}", soft_wrap=True)
