"""What each stage of a recipe does: reads its inputs from the run folder, calls one package, writes its outputs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import RunFolder
from neuronspec.recipe import Recipe

logger = logging.getLogger(__name__)

TRAININGS = {"train": "training", "specialize": "continuation"}
"""The stages that train, and their section of the recipe."""

RECORDED_AGAIN = ("specialized", "dense")
"""Arms whose neurons are recorded again, to see whether they moved."""

SCORES = ("scores.json", "*.statistics.safetensors")
"""Files of an arm's evaluation that are written again when all arms are scored."""

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.arms.arm import Given, Method
    from neuronspec.corpus.store import TokenStore
    from neuronspec.models.id_map import IdMap
    from neuronspec.report.data import ReportData
    from neuronspec.training.loss import InDirection


@dataclass(frozen=True, slots=True)
class Run:
    """The recipe that is run, the paths of its run folder, and what shows how far the work is."""

    recipe: Recipe
    paths: RunFolder
    progress: Progress = SILENT

    def store(self) -> TokenStore:
        """The token store of the run."""
        from neuronspec.corpus.store import TokenStore

        return TokenStore.open(self.paths.data)


def prepare(run: Run) -> None:
    """Text in: RUN/data."""
    from neuronspec.corpus.prepare import prepare as prepare_corpus

    recipe = run.recipe
    prepare_corpus(
        recipe.corpus,
        recipe.tokenizer if recipe.model.pretrained is None else recipe.model,
        run.paths.data,
        seed=recipe.seed,
        zero_shot=recipe.evaluation.zero_shot_directions,
        parts=run.paths.parts,
        progress=run.progress,
    )


def train_base(run: Run) -> None:
    """The multilingual baseline: RUN/base. A checkpoint that isn't trained on becomes it as it is."""
    from neuronspec.models.id_map import IdMap
    from neuronspec.models.load import build_model, load_base
    from neuronspec.training.model_folder import export_model
    from neuronspec.training.tracking import Tracking
    from neuronspec.training.train import train

    store, training = run.store(), run.recipe.training
    model: PreTrainedModel
    change = IdMap.load(run.paths.tokenizer)
    if training is None:
        joined = processes()
        if joined.is_main:
            model = load_base(run.recipe.model, store.tokenizer, change)
            export_model(model, store.tokenizer, run.paths.base)
            _tell_of_vocabulary(model, change, run.paths.base)
        joined.wait()
        return
    seed = run.recipe.seed if training.seed is None else training.seed
    if run.recipe.model.pretrained is None:
        model = build_model(run.recipe.model, store.tokenizer, seed)
    else:
        model = load_base(run.recipe.model, store.tokenizer, change)
    train(
        model,
        store.tokenizer,
        store,
        training,
        directions=run.recipe.corpus.all_directions,
        seed=seed,
        folder=run.paths.base,
        progress=run.progress,
        tracking=Tracking(run.recipe.tracking, run.paths.tracking, "base"),
    )
    if processes().is_main:
        _tell_of_vocabulary(model, change, run.paths.base)


def _tell_of_vocabulary(model: PreTrainedModel, change: IdMap | None, folder: Path) -> None:
    """Say what a changed vocabulary saves, and keep beside the model how it was changed."""
    from neuronspec.models.resize import counted

    if change is None:
        return
    change = counted(model, change)
    change.save(folder)
    for what, (before, after) in change.facts().items():
        logger.info("the model has %s %s, the checkpoint %s", f"{after:,}", what, f"{before:,}")


def record(run: Run) -> None:
    """The activations of the baseline on held-out text: RUN/activations.safetensors."""
    from neuronspec.models.load import load_model
    from neuronspec.neurons.recording import record_activations, recording_batches

    joined = processes()
    model = load_model(run.paths.base, dtype="auto")
    batches = recording_batches(run.store(), run.recipe.corpus.all_directions, run.recipe.recording, run.progress)
    recording = run.recipe.recording
    activations = record_activations(
        model,
        islice(batches, joined.rank, None, joined.size),
        positions=recording.positions,
        count_padding=recording.count_padding,
        precision=recording.precision,
    )
    if joined.is_main:
        activations.save(run.paths.activations)


def select(run: Run) -> None:
    """The specialized neurons of each direction: RUN/masks.safetensors."""
    from neuronspec.models.load import load_model
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.selection import select_masks

    base = partial(load_model, run.paths.base, dtype="auto")
    masks = select_masks(Activations.load(run.paths.activations), run.recipe.selection, run.recipe.corpus, base)
    masks.save(run.paths.masks)
    logger.info("%.1f%% of the neurons are left out", 100 * masks.sparsity())


def continue_arm(arm: str) -> Callable[[Run], None]:
    """The stage that continues the baseline as `arm`: RUN/arms/ARM."""
    return partial(_continue_arm, arm)


def _continue_arm(name: str, run: Run) -> None:
    from neuronspec.arms.arm import arm_of, make

    make(arm_of(run.recipe, name)[0], given_to(run, name))


def given_to(run: Run, arm: str) -> Given:
    """What an arm is made from."""
    from neuronspec.arms.arm import Given, arm_of
    from neuronspec.arms.declared import declared

    (kind, own), paths = arm_of(run.recipe, arm), run.paths
    return Given(
        recipe=declared(own, kind),
        folder=paths.arm(arm),
        base=paths.base,
        activations=paths.activations,
        masks=None if kind.selects else paths.masks,
        store=run.store(),
        progress=run.progress,
    )


def load_arm(
    run: Run, name: str, zero_shot: Sequence[Direction] = (), method: Method = "auto"
) -> tuple[PreTrainedModel, InDirection]:
    """The trained model of an arm or `base`, and the context that a direction is run in."""
    from neuronspec.arms.arm import arm_of
    from neuronspec.models.load import load_model
    from neuronspec.training.loss import any_direction

    if name == "base":
        return load_model(run.paths.base, dtype="auto"), any_direction
    return arm_of(run.recipe, name)[0].load(given_to(run, name), zero_shot, method)


def evaluate(arm: str) -> Callable[[Run], None]:
    """The stage that translates and scores the test sets with `arm`: RUN/evaluation/ARM."""
    return partial(_evaluate, arm)


def _evaluate(arm: str, run: Run) -> None:
    from neuronspec.arms.arm import arm_of
    from neuronspec.evaluation.collect import check_overlap
    from neuronspec.evaluation.evaluate import evaluate_arm, evaluate_copy

    store, directions, settings = run.store(), run.recipe.evaluated_directions, run.recipe.evaluation
    folder = run.paths.evaluation(arm)
    if arm == "copy":
        if not processes().is_main:
            return
        check_overlap(store, run.recipe.corpus.all_directions, settings.max_sentences, folder)
        evaluate_copy(store, directions, settings, folder)
        return
    kind = None if arm == "base" else arm_of(run.recipe, arm)[0]
    if kind is not None:
        directions = kind.directions(run.recipe)
        if not kind.converts:
            settings = settings.by_transformers(exactly=run.recipe.model.dtype == "float32")
    zero_shot = [direction for direction in settings.zero_shot_directions if direction in directions]
    model, in_direction = load_arm(run, arm, zero_shot)
    evaluate_arm(
        model,
        store.tokenizer,
        store,
        directions,
        settings,
        folder,
        in_direction=in_direction,
        progress=run.progress,
    )


def gather_results(run: Run) -> None:
    """The scores of all arms: RUN/results.json."""
    from neuronspec.arms.arm import arm_of
    from neuronspec.evaluation.arithmetic import arithmetic_of
    from neuronspec.evaluation.collect import gather
    from neuronspec.evaluation.results import products_in, write_results
    from neuronspec.models.id_map import IdMap
    from neuronspec.runs.state import checkpoint_in, read_stages
    from neuronspec.training.log import read_log

    recipe, arms = run.recipe, ("copy", "base", *run.recipe.arm_names)
    folder = run.paths.evaluations
    scores, found = gather(
        folder,
        arms,
        recipe.evaluated_directions,
        recipe.evaluation,
        run.store(),
        run.progress,
        recipe.adapted_directions if recipe.continuation.directions else (),
    )
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "pivot": recipe.corpus.pivot,
        "tiers": run.store().tiers,
        "families": {code: recipe.corpus.family(code) for code in recipe.corpus.languages},
    }
    facts["arithmetic"] = {
        name: arithmetic_of(
            recipe.model,
            recipe.evaluation,
            read_log(run.paths.training_log(name)),
            converts=name == "base" or arm_of(recipe, name)[0].converts,
            products=products_in(folder / name),
        )
        for name in arms[1:]
    }
    change = IdMap.load(run.paths.base)
    if change is not None:
        facts["vocabulary"] = change.facts()
    if recipe.model.pretrained is not None:
        facts["pretrained"] = checkpoint_in(read_stages(run.paths.stages)["tasks"])
    write_results(run.paths.results, scores, facts | found)


def analyse(run: Run) -> None:
    """What the neurons do, with the models at hand: RUN/analysis.json."""
    from neuronspec.analysis.of_run import Material, analyse_run
    from neuronspec.models.load import load_model
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.selection import families_of, select_masks

    recipe, acts = run.recipe, Activations.load(run.paths.activations)
    arms = [arm for arm in RECORDED_AGAIN if arm in recipe.arm_names]
    base = partial(load_model, run.paths.base, dtype="auto")
    material = Material(
        base=base,
        # method rows: recording needs layers of full width
        arms={arm: partial(load_arm, run, arm, method="rows") for arm in arms},
        store=run.store(),
        directions=list(acts.directions),
        acts=acts,
        masks=NeuronMasks.load(run.paths.masks),
        select=partial(select_masks, settings=recipe.selection, corpus=recipe.corpus, model=base),
        pivot=recipe.corpus.pivot,
        families=families_of(recipe.corpus),
        seed=recipe.seed,
    )
    analyse_run(material, recipe.analysis, recipe.recording, run.progress).save(run.paths.analysis)


def report(run: Run) -> None:
    """RUN/report/index.html."""
    from neuronspec.report.page.html import write_report

    write_report(report_data(run), run.paths.page)


def report_data(run: Run) -> ReportData:
    """What the report of a run is drawn from."""
    from neuronspec.analysis.findings import Findings
    from neuronspec.evaluation.results import Results
    from neuronspec.evaluation.samples import read_samples
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.masks import NeuronMasks
    from neuronspec.neurons.selection import families_of, statistic_of
    from neuronspec.report.about import about_run
    from neuronspec.report.data import ReportData
    from neuronspec.report.registry import PUBLISHED
    from neuronspec.runs.state import read_stages
    from neuronspec.training.log import read_log

    recipe, names = run.recipe, ["base", *run.recipe.arm_names]
    directions = [str(direction) for direction in recipe.corpus.all_directions]
    results, activations = Results.load(run.paths.results), Activations.load(run.paths.activations)
    logs = {arm: read_log(run.paths.training_log(arm)) for arm in names}
    return ReportData(
        name=recipe.name,
        masks=NeuronMasks.load(run.paths.masks),
        pivot=recipe.corpus.pivot,
        families=families_of(recipe.corpus),
        environment=results.environment,
        activations=activations,
        statistic=statistic_of(activations, recipe.selection),
        findings=Findings.load(run.paths.analysis),
        results=results,
        logs=logs,
        samples=read_samples(run.paths.evaluations, names, directions, recipe.report.samples),
        published=None if recipe.report.reference is None else PUBLISHED.get(recipe.report.reference),
        recipe=recipe.to_yaml(),
        about=about_run(recipe, read_stages(run.paths.stages)["tasks"], logs, results.environment),
    )
