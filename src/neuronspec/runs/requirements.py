"""What a recipe needs of the machine that runs it, such as optional packages; and what may come out otherwise."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from neuronspec.arms.arm import arm_of
from neuronspec.arms.kinds import check_arms, check_kind
from neuronspec.arms.settings import AVERAGED
from neuronspec.core.errors import MissingExtraError, NeuronspecError, RecipeError, TrainingError
from neuronspec.models.presets import PRESETS
from neuronspec.models.pretrained import kind_of, read_config
from neuronspec.recipe import Recipe
from neuronspec.runs.footprint import memory_problem
from neuronspec.runs.stages import TRAININGS
from neuronspec.specialization.settings import untrained_tokens
from neuronspec.training.tracking import TRACKERS

logger = logging.getLogger(__name__)


class _Package(NamedTuple):
    stage: str
    name: str
    extra: str
    purpose: str


def warn_of_machine(recipe: Recipe) -> None:
    """Warn of what this machine lacks for a run of the recipe, as `warnings_of` has it.

    Raises:
        RecipeError, Mistakes: as of `check_arms`, `check_kind` and `memory_problem`.
    """
    check_arms(recipe)
    check_kind(recipe)
    for text in warnings_of(recipe):
        logger.warning("%s", text)


def warnings_of(recipe: Recipe, stages: Collection[str] | None = None, here: bool = True) -> Iterator[str]:
    """What may go wrong in a run, or not mean what is expected. Imports torch only where there may be a GPU.

    Args:
        recipe: of the run.
        stages: that will run; all without it.
        here: whether they run on this machine; then also what it lacks.

    Raises:
        Mistakes: as of `memory_problem`.
    """
    trainings = [section for stage, section in TRAININGS.items() if stages is None or stage in stages]
    if here:
        yield from (f"a run on this machine would stop: {missing}" for missing in _missing(recipe, stages))
        if stages is None or "evaluate" in stages:
            yield from (f"a run on this machine would leave a score out: {reason}" for reason in _left_out(recipe))
        yield from filter(None, (memory_problem(recipe, section) for section in trainings))
    if "continuation" in trainings:
        yield from _untrained_tags(recipe)


def check_machine(recipe: Recipe, stages: Collection[str], tokenizer: Path | None = None) -> None:
    """Check, before the long work and before anything is written, that what some stages need is there.

    Args:
        recipe: of the run.
        stages: that will run.
        tokenizer: the folder of the run's tokenizer, which there may be.

    Raises:
        NeuronspecError, RecipeError: as of `check_installed`, `check_model` and `memory_problem`.
    """
    check_model(recipe, stages)
    check_installed(recipe, stages)
    trainings = [section for stage, section in TRAININGS.items() if stage in stages]
    found = [memory_problem(recipe, one, tokenizer=None if "prepare" in stages else tokenizer) for one in trainings]
    for text in [*filter(None, found), *(_untrained_tags(recipe) if "continuation" in trainings else ())]:
        logger.warning("%s", text)


def check_installed(recipe: Recipe, stages: Collection[str]) -> None:
    """Check that what some stages need is installed, and that this machine can compute as the recipe says.

    Args:
        recipe: of the run.
        stages: that will run.

    Raises:
        NeuronspecError: a reader, optimizer, arm, tracker, engine or score lacks a package, tokenizer or checkpoint.
        TrainingError: compilation is asked for on a CPU.
    """
    for missing in _missing(recipe, stages):
        raise missing
    for section in (section for stage, section in TRAININGS.items() if stage in stages):
        if getattr(recipe, section) is not None:
            from neuronspec.training.optimization import check_optimizer

            check_optimizer(getattr(recipe, section))
    if "evaluate" in stages:
        from neuronspec.evaluation.scorer import check_scoring
        from neuronspec.translation.engine import check_engine

        check_engine(recipe.evaluation)
        check_scoring(recipe.evaluation.scores, [direction.target for direction in recipe.evaluated_directions])


def check_processes(recipe: Recipe, tasks: Collection[str], size: int) -> None:
    """Check that what will be trained can be, by so many processes.

    Args:
        recipe: of the run.
        tasks: that will run, by name.
        size: number of processes.

    Raises:
        TrainingError: an arm is trained by one process alone, or the model can't be sharded.
    """
    if size == 1:
        return
    from neuronspec.arms.grouped import Grouped
    from neuronspec.training.parallel import check_layerdrop

    for name in recipe.arm_names:
        arm = arm_of(recipe, name)[0]
        if f"specialize/{name}" in tasks and isinstance(arm, Grouped):
            arm.check_processes(size)
    stages = {task.partition("/")[0] for task in tasks}
    trainings = [getattr(recipe, section) for stage, section in TRAININGS.items() if stage in stages]
    if any(settings is not None and settings.parallel == "fsdp" for settings in trainings):
        check_layerdrop(_fields(recipe))


def _fields(recipe: Recipe) -> Mapping[str, Any]:
    """The configuration of the model, as far as a recipe or config.json has it."""
    model = recipe.model
    if model.pretrained is None:
        return PRESETS.get(model.preset) | model.overrides
    try:
        return read_config(model)
    except RecipeError:  # the baseline is made, and the checkpoint may be gone
        return {}


def check_model(recipe: Recipe, stages: Collection[str]) -> None:
    """Check that the model of a run can do what the recipe asks for; see `check_kind`.

    Stages after the baseline can do without the checkpoint, and then nothing is known of it.

    Args:
        recipe: of the run.
        stages: that will run.

    Raises:
        RecipeError: as of `check_kind`.
        NeuronspecError: as of `pretrained_tokenizer`, where text will be prepared for a checkpoint.
    """
    try:
        kind_of(recipe.model)
    except RecipeError:
        if {"prepare", "train"} & set(stages):
            raise
        return
    check_kind(recipe)
    if "prepare" in stages and recipe.model.pretrained is not None:
        from neuronspec.models.pretrained import pretrained_tokenizer

        pretrained_tokenizer(recipe.model, recipe.evaluated_directions)


def _missing(recipe: Recipe, stages: Collection[str] | None = None) -> Iterator[NeuronspecError]:
    """What some stages need (all without `stages`) and this machine hasn't, each with what to do."""
    if stages is None or "prepare" in stages:
        for source in chain.from_iterable(recipe.corpus.sources.values()):
            yield from source.missing()
    for package in dict.fromkeys(_packages(recipe)):
        if (stages is None or package.stage in stages) and importlib.util.find_spec(package.name) is None:
            yield MissingExtraError(package.name, package.extra, package.purpose)
    for stage, section in TRAININGS.items():
        settings = getattr(recipe, section)
        if (stages is None or stage in stages) and settings is not None and settings.compile:
            from neuronspec.models.load import default_device
            from neuronspec.training.step import check_compilation

            try:
                check_compilation(settings, default_device(), section)
            except TrainingError as error:
                yield error


def _packages(recipe: Recipe) -> Iterator[_Package]:
    """Optional packages that the stages of a recipe import, readers aside."""
    evaluation = recipe.evaluation
    if recipe.corpus.cleaning.normalize_punctuation:
        for stage in ("prepare", "evaluate"):
            yield _Package(stage, "sacremoses", "moses", "normalising punctuation")
    if recipe.corpus.filters.opusfilter:
        yield _Package("prepare", "opusfilter", "opusfilter", "corpus.filters.opusfilter")
    if recipe.corpus.filters.near_duplicates is not None:
        yield _Package("prepare", "rensa", "dedup", "corpus.filters.near_duplicates")
    for stage, section in TRAININGS.items():
        if getattr(recipe, section) is not None and getattr(recipe, section).optimizer == "adamw_8bit":
            yield _Package(stage, "bitsandbytes", "8bit", "optimizer: adamw_8bit")
        for name in recipe.tracking:
            tracker = TRACKERS.get(name)
            yield _Package(stage, tracker.package, tracker.extra, f"tracking: [{name}]")
    if "lora" in recipe.arm_kinds:
        yield _Package("specialize", "peft", "baselines", "the arm 'lora'")
    if evaluation.engine == "ctranslate2":
        yield _Package("evaluate", "ctranslate2", "deploy", "the ctranslate2 engine")
    if evaluation.too_long == "split":
        yield _Package("evaluate", "sentencex", "deploy", "splitting text at sentence ends")
    if evaluation.scores.detokenise:
        yield _Package("evaluate", "sacremoses", "moses", "scoring detokenised text")
    for name in ("plotly", "jinja2"):
        yield _Package("report", name, "report", "writing the report")


def _left_out(recipe: Recipe) -> Iterator[str]:
    """Why scores that the recipe asks for can't be computed here, where a run goes on without them."""
    scores = recipe.evaluation.scores
    if scores.off_target and importlib.util.find_spec("py3langid") is None:
        yield str(MissingExtraError("py3langid", "langid", "evaluation.scores.off_target"))
    if scores.comet is not None:
        from neuronspec.scoring.comet import why_not

        reason = why_not(scores.comet_python)
        yield from [f"evaluation.scores.comet: {reason}"] if reason else []


_BY_FAMILY = ("adapters_family", "adapters_matched")
"""Arms that tell languages of one family apart by their tags alone, which they don't train."""


def _untrained_tags(recipe: Recipe) -> Iterator[str]:
    """Where the tags of new languages stay what they start as: those of other languages."""
    if not untrained_tokens(recipe.model, recipe.training):
        return
    model, targets = recipe.model, {direction.target for direction in recipe.corpus.all_directions}
    families = {recipe.corpus.family(code) for code in targets}
    related = [{code for code in targets if recipe.corpus.family(code) == family} for family in sorted(families)]
    cases: list[tuple[Collection[str], list[str], str]] = [
        (_BY_FAMILY, [code for some in related for code in model.alike(some)], "take adapters_direction")
    ]
    if recipe.continuation.freeze_embeddings:
        cases.append((AVERAGED, model.alike(targets), "set continuation.freeze_embeddings to false"))
    for kinds, codes, remedy in cases:
        kept = [name for name in recipe.arm_names if recipe.arm(name).kind in kinds]
        if kept and codes:
            new = [f"{code} (as {start})" for code, start in model.new_languages.items() if code in codes]
            yield (
                f"model.new_languages: the tags of {', '.join(new)} start as copies, and these arms leave them so: "
                f"{', '.join(kept)}. What is learnt for one language is learnt for the other: {remedy}, or train the "
                "baseline's embeddings (in a section training)"
            )
