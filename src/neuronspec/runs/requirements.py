"""What a recipe needs of the machine that runs it: optional packages, and memory for training."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from neuronspec.arms.arm import arm_of
from neuronspec.arms.kinds import check_kind
from neuronspec.arms.settings import AVERAGED
from neuronspec.core.errors import MissingExtraError, NeuronspecError, RecipeError, TrainingError
from neuronspec.core.processes import launched
from neuronspec.models.dimensions import Dimensions
from neuronspec.models.footprint import Plan, Room, footprint, readable_size, room
from neuronspec.models.id_map import IdMap
from neuronspec.models.presets import PRESETS
from neuronspec.models.pretrained import config_of, kind_of, read_config
from neuronspec.recipe import Recipe
from neuronspec.runs.stages import TRAININGS
from neuronspec.specialization.settings import untrained_tokens
from neuronspec.training.settings import TrainingSettings
from neuronspec.training.tracking import TRACKERS

logger = logging.getLogger(__name__)


class _Package(NamedTuple):
    stage: str
    name: str
    extra: str
    purpose: str


def warn_of_machine(recipe: Recipe) -> None:
    """Warn of what this machine lacks for a run of the recipe. Imports torch only where there may be a GPU.

    Raises:
        RecipeError: as of `arm_of`, `Arm.check`, `check_kind` and `check_memory`.
    """
    _check_arms(recipe)
    check_kind(recipe)
    for missing in _missing(recipe):
        logger.warning("a run on this machine would stop: %s", missing)
    for left_out in _left_out(recipe):
        logger.warning("a run on this machine would leave a score out: %s", left_out)
    for section in TRAININGS.values():
        check_memory(recipe, section)
    _warn_of_tags(recipe)


def check_machine(recipe: Recipe, stages: Collection[str], tokenizer: Path | None = None) -> None:
    """Check, before the long work and before anything is written, that what some stages need is there.

    Args:
        recipe: of the run.
        stages: that will run.
        tokenizer: the folder of the run's tokenizer, which there may be.

    Raises:
        NeuronspecError, RecipeError: as of `check_installed`, `check_model` and `check_memory`.
    """
    check_model(recipe, stages)
    check_installed(recipe, stages)
    trainings = [section for stage, section in TRAININGS.items() if stage in stages]
    for section in trainings:
        check_memory(recipe, section, tokenizer=None if "prepare" in stages else tokenizer)
    if "continuation" in trainings:
        _warn_of_tags(recipe)


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


def _check_arms(recipe: Recipe) -> None:
    problems: dict[str, None] = {}
    for name in recipe.arm_names:
        try:
            arm, own = arm_of(recipe, name)
            arm.check(own)
        except RecipeError as error:
            problems[str(error)] = None
    if problems:
        raise RecipeError("; ".join(problems))


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


def _warn_of_tags(recipe: Recipe) -> None:
    """Warn where the tags of new languages stay what they start as: those of other languages."""
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
            logger.warning(
                "model.new_languages: the tags of %s start as copies, and these arms leave them so: %s. What is learnt "
                "for one language is learnt for the other: %s, or train the baseline's embeddings (in a section "
                "training)",
                ", ".join(new),
                ", ".join(kept),
                remedy,
            )


def check_memory(recipe: Recipe, section: str, found: Room | None = None, tokenizer: Path | None = None) -> None:
    """Compare what a training takes with the memory of the device that it would run on; warn where it may not fit.

    Args:
        recipe: names the model and how it is trained.
        section: `training` or `continuation`.
        found: the memory; that of this machine without it.
        tokenizer: the folder of the run's tokenizer, if it is known by now how large a vocabulary is left.

    Raises:
        RecipeError: weights, gradients and the optimizer's state alone are more than the device has.
    """
    settings: TrainingSettings | None = getattr(recipe, section)
    if settings is None:
        return
    change = None if tokenizer is None or recipe.model.pretrained is None else IdMap.load(tokenizer)
    shape = _dimensions(recipe, change)
    if shape is None:
        return
    trimmed_later = recipe.model.trim_vocabulary and change is None
    needed = footprint(shape, _plan(recipe, section, settings))
    state, batch, sharded = needed.fixed, needed.activations, settings.parallel == "fsdp"
    if sharded and launched():
        state //= int(os.environ["WORLD_SIZE"])
    found = found or room()
    if state + batch <= found.free:
        return
    text = (
        f"{section} needs about {readable_size(state)} for weights, gradients and the state of {settings.optimizer} "
        f"({shape.parameters / 1e6:,.0f} million parameters, {needed.trained / 1e6:,.0f} of them trained), "
        f"and about {readable_size(batch)} for a micro-batch of "
        f"{settings.batch_tokens} tokens (batch_tokens); {found.where} has {readable_size(found.total)} of memory"
    )
    if trimmed_later:
        text += "; with model.trim_vocabulary it is less, and how much is known once the text is prepared"
    elif state > found.total and (launched() or not sharded):
        smaller = "model, tokenizer.vocabulary"
        if recipe.model.pretrained is not None:
            smaller = "another checkpoint" if recipe.model.trim_vocabulary else "model.trim_vocabulary: true"
        raise RecipeError(f"{text}, too little for the model alone: make it smaller ({smaller})")
    share = "; parallel: fsdp shares the first among its processes" if sharded and not launched() else ""
    logger.warning(
        "%s, of which %s are free: a smaller batch_tokens with more accumulation, or gradient_checkpointing: true, "
        "takes less%s", text, readable_size(found.free), share,
    )  # fmt: skip


def _dimensions(recipe: Recipe, change: IdMap | None) -> Dimensions | None:
    """The sizes of a recipe's model, with the vocabulary that it gets; None where they can't be told."""
    model = recipe.model
    if recipe.tokenizer.path is not None:
        return None
    if model.pretrained is None:
        return Dimensions.of_settings(model, recipe.tokenizer.vocabulary + len(recipe.corpus.all_languages))
    shape = Dimensions.of_config(config_of(model))
    if shape is None:
        return None
    return replace(shape, vocabulary=shape.vocabulary + model.new_tokens if change is None else len(change.ids))


def _plan(recipe: Recipe, section: str, settings: TrainingSettings) -> Plan:
    """How a section of a recipe trains, as far as memory depends on it."""
    trainable = recipe.specialization.trainable if section == "continuation" else "all"
    return Plan(
        settings.batch_tokens,
        settings.optimizer,
        recipe.model.dtype,
        trainable,
        rows=0 if trainable == "all" else untrained_tokens(recipe.model, recipe.training),
        freeze_embeddings=settings.freeze_embeddings,
        checkpointing=settings.gradient_checkpointing,
    )
