"""Recipe: one typed, validated experiment, written as YAML.

`Recipe.load` reads a file and reports every mistake in it at once, each with its line, the value seen and
the nearest valid key. The sections below are the reference of all keys; `docs/reference/recipe.md` is made from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from neuronspec.analysis.settings import AnalysisSettings
from neuronspec.arms.registry import ARMS
from neuronspec.arms.settings import ArmSettings, BaselinesSettings, averaged_problems, changed_sections
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, Mistakes, RecipeError, nearest
from neuronspec.core.languages import by_language
from neuronspec.core.mistakes import explain, located
from neuronspec.core.plugins import load_plugins_of_run, plugin_mistakes, plugins_of, resolve_plugin
from neuronspec.core.registry import OneOf
from neuronspec.core.run_folder import RunFolder
from neuronspec.core.settings import Name, Section, Seed
from neuronspec.core.written import Change, Document
from neuronspec.core.yaml_file import dump_yaml, load_yaml
from neuronspec.corpus.settings import CorpusSettings, not_among, spelled_as_in
from neuronspec.corpus.zero_shot import composable, zero_shot_problems
from neuronspec.models.settings import ModelSettings, TokenizerSettings
from neuronspec.neurons.settings import RecordingSettings, SelectionSettings
from neuronspec.report.settings import ReportSettings
from neuronspec.specialization.settings import SpecializationSettings, untrained_tokens
from neuronspec.training.settings import ContinuationSettings, TrainingSettings
from neuronspec.training.tracking import TRACKERS
from neuronspec.translation.settings import ALL, EvaluationSettings


class Recipe(Section):
    """One experiment: text in, model, neurons, arms, scores out."""

    name: Name = Field(description="names the experiment; a run folder belongs to one name")
    seed: Seed = Field(1, description="of everything random: splits, weights, data order, dropout")
    corpus: CorpusSettings = Field(description="text, languages, directions, splits, cleaning")
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings | None = Field(
        None, description="the multilingual baseline; may be left out with model.pretrained, which is the baseline then"
    )
    recording: RecordingSettings = RecordingSettings()
    selection: SelectionSettings = SelectionSettings()
    specialization: SpecializationSettings = SpecializationSettings()
    continuation: ContinuationSettings = Field(
        description="every arm, from the baseline on; the keys of training, directions and replay"
    )
    arms: list[Annotated[str, OneOf(ARMS)] | ArmSettings] = Field(
        ["specialized", "dense", "random"],
        description="what continues from base: names of arms, or arms with a name and settings of their own",
    )
    baselines: BaselinesSettings = BaselinesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    report: ReportSettings = ReportSettings()
    tracking: list[Annotated[str, OneOf(TRACKERS)]] = Field(
        [], description="where training is logged beside log.jsonl, into RUN/tracking; wandb runs offline"
    )
    plugins: list[Annotated[str, AfterValidator(resolve_plugin)]] = Field(
        [],
        description="modules of your own that register readers, criteria, arms or metrics; a file beside the recipe "
        "(my_module for my_module.py), or any module that Python finds",
    )
    _document: Document | None = PrivateAttr(None)

    @field_validator("training")
    @classmethod
    def _training_is_there(cls, section: TrainingSettings | None, info: ValidationInfo) -> TrainingSettings | None:
        model = info.data.get("model")
        if section is None and model is not None and model.pretrained is None:
            raise PydanticCustomError("missing", "Field required")
        return section

    @field_validator("training", "continuation")
    @classmethod
    def _spell_weights(cls, section: TrainingSettings | None, info: ValidationInfo) -> TrainingSettings | None:
        if section is None:
            return None
        names = spelled_as_in(info.data.get("corpus"), section.weights or {})
        if len(set(names)) < len(names):
            raise ValueError(f"weights: a direction is named twice: {', '.join(sorted(names))}")
        values = dict(zip(names, (section.weights or {}).values(), strict=True))
        if values != (section.weights or {}):
            section = section.model_copy(update={"weights": values})
        if isinstance(section, ContinuationSettings) and section.directions:
            directions = spelled_as_in(info.data.get("corpus"), section.directions)
            section = section.model_copy(update={"directions": directions})
        return section

    @field_validator("baselines")
    @classmethod
    def _spell_bilingual(cls, section: BaselinesSettings, info: ValidationInfo) -> BaselinesSettings:
        named = section.bilingual.directions
        update = {"directions": spelled_as_in(info.data.get("corpus"), named)}
        return section.model_copy(update={"bilingual": section.bilingual.model_copy(update=update)})

    @field_validator("evaluation")
    @classmethod
    def _spell_evaluation(cls, section: EvaluationSettings, info: ValidationInfo) -> EvaluationSettings:
        corpus = info.data.get("corpus")
        try:
            tokenizers = by_language(section.scores.tokenizers, corpus.all_languages if corpus else [])
        except DirectionError as error:
            raise ValueError(f"scores.tokenizers: {error}") from None
        scores = section.scores.model_copy(update={"tokenizers": tokenizers})
        if corpus and section.zero_shot == [ALL]:
            zero_shot = [str(direction) for direction in composable(corpus)]
        else:
            zero_shot = spelled_as_in(corpus, section.zero_shot)
        return section.model_copy(update={"zero_shot": zero_shot, "scores": scores})

    @field_validator("arms")
    @classmethod
    def _controls_are_there(cls, arms: list[str | ArmSettings]) -> list[str | ArmSettings]:
        names = [arm if isinstance(arm, str) else arm.name for arm in arms]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)}: an arm is named twice; give each its own name")
        return [*arms, *(control for control in ("dense", "random") if control not in names)]

    @model_validator(mode="after")
    def _check_together(self) -> Recipe:
        problems = [*self._direction_problems()] or [*self._other_problems()]
        if problems:
            raise Mistakes(*problems)
        return self

    def _direction_problems(self) -> Iterator[str]:
        """What is wrong with directions that the recipe names."""
        yield from _of("evaluation.zero_shot", zero_shot_problems(self.corpus, self.evaluation.zero_shot))
        known, named = [str(one) for one in self.corpus.all_directions], self.continuation.directions
        problems = [f"{one} isn't trained; {nearest(one, known)}" for one in named if one not in known]
        problems += [f"{one} is named twice" for one in dict.fromkeys(named) if named.count(one) > 1]
        yield from _of("continuation.directions", problems or self._replay_problems)

    def _other_problems(self) -> Iterator[str]:
        """What doesn't go together, where the directions are known."""
        if self.training is not None:
            yield from self.training.problems("training", self.corpus.all_directions, self.model.dtype)
        yield from self.continuation.problems("continuation", self.adapted_directions, self.model.dtype)
        yield from _arm_problems(self)
        yield from self._pretrained_problems()
        for name, section in (("recording", self.recording), ("evaluation", self.evaluation)):
            if section.precision == "float32" and self.model.dtype != "float32":
                yield (
                    f"{name}.precision: float32 can't compute with the weights of model.dtype: {self.model.dtype}; set "
                    "it to auto, or model.dtype to float32"
                )
        pieces, beam = self.tokenizer.vocabulary, self.evaluation.beam
        if beam > pieces and self.model.pretrained is None and self.tokenizer.path is None:
            yield (
                f"evaluation.beam: {beam} hypotheses are more than the {pieces} pieces of tokenizer.vocabulary that "
                "a translation can begin with; usual are 4 to 10"
            )

    def _pretrained_problems(self) -> Iterator[str]:
        if self.model.pretrained is None:
            return
        if self.tokenizer != TokenizerSettings():
            yield "tokenizer: that of model.pretrained is used; leave the section out"
        for key in ("languages", "new_languages"):
            for code in getattr(self.model, key):
                if code not in self.corpus.all_languages:
                    yield f"model.{key}: {not_among(code, self.corpus.all_languages)}"

    @property
    def arm_names(self) -> list[str]:
        """The names of the arms."""
        return [arm if isinstance(arm, str) else arm.name for arm in self.arms]

    @property
    def arm_kinds(self) -> set[str]:
        """Which arms of the registry there are, under any name."""
        return {self.arm(name).kind for name in self.arm_names}

    def arm(self, name: str) -> ArmSettings:
        """The entry of an arm.

        Raises:
            RecipeError: there is no arm of this name.
        """
        for arm, own in zip(self.arms, self.arm_names, strict=True):
            if own == name:
                return ArmSettings(name=name) if isinstance(arm, str) else arm
        raise RecipeError(f"the recipe has no arm {name!r}; {nearest(name, self.arm_names)}")

    def for_arm(self, name: str) -> Recipe:
        """The recipe as an arm has it: with the settings of its own.

        Raises:
            RecipeError: there is no such arm.
            Mistakes: its settings don't go together.
        """
        entry = self.arm(name)
        changes = entry.changes
        if not changes and entry.kind != "averaged":
            return self
        try:
            own = self.model_copy(update=changed_sections(self, changes))
        except ValidationError as error:
            reasons = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        else:
            untrained = untrained_tokens(self.model, self.training)
            known = set(self.specialization.problems(self.continuation, untrained))
            reasons = [one for one in own.specialization.problems(own.continuation, untrained) if one not in known]
            reasons += [f"continuation.directions: {one}" for one in own._replay_problems]
        if reasons:
            raise Mistakes(*_of(f"arms: {name}", reasons))
        if entry.kind == "averaged":  # what masks do is what they do in the arm that is averaged
            averaged = self.for_arm(own.baselines.averaged.of).specialization
            return own.model_copy(update={"specialization": averaged})
        return own

    @property
    def _replay_problems(self) -> list[str]:
        if self.continuation.replay and {*self.continuation.directions} == {*map(str, self.corpus.all_directions)}:
            return ["all are named, so replay has nothing to draw from; leave it out"]
        return []

    @property
    def adapted_directions(self) -> list[Direction]:
        """The directions that arms train on, sorted: those of `continuation.directions`, or all."""
        named = self.continuation.directions
        return sorted(map(Direction.parse, named)) if named else self.corpus.all_directions

    @property
    def evaluated_directions(self) -> list[Direction]:
        """The directions of the test: the trained ones, then the zero-shot ones."""
        return [*self.corpus.all_directions, *self.evaluation.zero_shot_directions]

    def __eq__(self, other: object) -> bool:
        """Wherever they are written."""
        return isinstance(other, Recipe) and self.model_dump() == other.model_dump()

    @contextmanager
    def located(self) -> Iterator[None]:
        """Mistakes that are found in the block are told with their file and line, as those that `load` finds.

        Raises:
            RecipeError: there are some.
        """
        try:
            yield
        except Mistakes as error:
            raise (located(self._document, error) if self._document else error) from None

    @classmethod
    def load(
        cls,
        path: str | Path,
        overrides: Sequence[str | Change] | None = None,
        *,
        trusted: bool = True,
        check_files: bool = True,
    ) -> Recipe:
        """Read a recipe file. Paths in it are taken relative to its folder.

        Args:
            path: of the file.
            overrides: keys that are changed: `section.key=value`, as given with `--set`, or as a sweep has them.
            trusted: whether the user gave the recipe in order to run it. Otherwise its plug-ins, which are code, are
                imported only if they are allowed.
            check_files: whether the files that it names must be there.

        Raises:
            RecipeError: the file is missing or not YAML, or holds mistakes: all of them in one message. Or its plug-ins
                aren't allowed.
        """
        document = load_yaml(Path(path), overrides or [])
        if document.looks_like("sweep"):
            raise RecipeError(f"{path} is a sweep, not a recipe: run it with 'neuronspec sweep {path} --out FOLDER'")
        context = {"folder": Path(path).resolve().parent, "check_files": check_files}
        plugins = plugins_of(document, context)
        if not trusted:
            load_plugins_of_run(plugins, Path(path))
        return cls._explained(document, context, plugin_mistakes(document, plugins) if trusted else ())

    @classmethod
    def of_run(cls, run: str | Path, overrides: list[str] | None = None) -> Recipe:
        """The recipe that a run folder was made by (`RUN/recipe.yaml`).

        Raises:
            RecipeError: the folder has no recipe, `overrides` are mistaken, or its plug-ins aren't allowed.
        """
        path = RunFolder(Path(run)).recipe
        if not path.is_file():
            raise RecipeError(
                f"{run} is not a run folder: it has no recipe.yaml; make one with 'neuronspec run RECIPE --out {run}'"
            )
        document = load_yaml(path, overrides or [])
        context = {"folder": path.resolve().parent}
        load_plugins_of_run(plugins_of(document, context), Path(run))
        return cls._explained(document, context)

    @classmethod
    def _explained(cls, document: Document, context: dict[str, Any], known: Iterable[str] = ()) -> Recipe:
        recipe = explain(cls, document, context, known)
        recipe._document = document
        return recipe

    def to_yaml(self) -> str:
        """The recipe as resolved: every key, paths absolute."""
        return dump_yaml(self.model_dump(mode="json", exclude_none=True))


def _of(key: str, problems: Iterable[str]) -> Iterator[str]:
    return (f"{key}: {problem}" for problem in problems)


def _arm_problems(recipe: Recipe) -> Iterator[str]:
    """What the arms of a recipe ask for and it doesn't give, or gives and they can't do."""
    lass, bilingual = recipe.baselines.lass, recipe.baselines.bilingual
    if "lass" in recipe.arm_kinds:
        yield from ["baselines.lass.updates: the arm lass needs it"] * (lass.updates is None)
        if recipe.continuation.directions:
            yield "continuation.directions: the arm lass makes a sub-network for every direction; leave one of them out"
        if recipe.continuation.parallel == "fsdp":
            yield "continuation.parallel: the arm lass swaps whole weights, which fsdp shards; set it to ddp"
    if "bilingual" in recipe.arm_kinds and recipe.model.pretrained is not None:
        yield "arms: bilingual trains new models, and model.pretrained names none to be built; leave it out"
    elif "bilingual" in recipe.arm_kinds:
        missing = [key for key in ("directions", "updates") if not getattr(bilingual, key)]
        yield from (f"baselines.bilingual.{key}: the arm bilingual needs it" for key in missing)
    yield from bilingual.problems(recipe.corpus.all_directions)
    yield from recipe.specialization.problems(recipe.continuation, untrained_tokens(recipe.model, recipe.training))
    arms = {name: recipe.arm(name) for name in recipe.arm_names}
    averaged = list(averaged_problems(arms, recipe.baselines.averaged.of))
    yield from averaged
    for name in arms if not averaged else []:
        try:
            recipe.for_arm(name)
        except Mistakes as error:
            yield from error.args
