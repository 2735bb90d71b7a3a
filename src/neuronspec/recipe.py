"""Recipe: one typed, validated experiment, written as YAML.

`Recipe.load` reads a file and reports every mistake in it at once, each with its line, the value seen and
the nearest valid key. The sections below are the reference of all keys; `docs/reference/recipe.md` is made from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from neuronspec.arms.settings import BaselinesSettings, arm_problems
from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, RecipeError
from neuronspec.core.settings import explain, load_yaml
from neuronspec.corpus.settings import (
    CatalogsCorpus,
    CleaningSettings,
    Corpus,
    CorpusSettings,
    MosesCorpus,
    Positive,
    Section,
    TsvCorpus,
)
from neuronspec.models.presets import PRESETS, shape_problem
from neuronspec.scoring.settings import ScoreSettings, zero_shot_problems
from neuronspec.training.settings import TrainingSettings, weight_problems

__all__ = [
    "AnalysisSettings",
    "BaselinesSettings",
    "CatalogsCorpus",
    "CleaningSettings",
    "CorpusSettings",
    "EvaluationSettings",
    "ModelSettings",
    "MosesCorpus",
    "Recipe",
    "RecordingSettings",
    "ReportSettings",
    "ScoreSettings",
    "Section",
    "SelectionSettings",
    "SpecializationSettings",
    "TokenizerSettings",
    "TrainingSettings",
    "TsvCorpus",
]

Coverage = Annotated[float, Field(gt=0, le=1)]


class TokenizerSettings(Section):
    """The SentencePiece model trained on the training text."""

    type: Literal["bpe", "unigram"] = Field("bpe", description="kind of SentencePiece model")
    vocabulary: Positive = Field(8000, description="number of pieces, without language tags")
    temperature: float = Field(5.0, ge=1, description="languages are sampled in proportion to size^(1/temperature)")
    character_coverage: float = Field(
        1.0, gt=0.9, le=1, description="share of characters that get a piece of their own"
    )
    max_sentences: Positive = Field(2_000_000, description="sentences sampled for training the tokenizer")


class ModelSettings(Section):
    """An M2M100 Transformer: a preset, and any field of its configuration set beside it."""

    preset: Literal["tiny", "small", "big"] = Field(
        "small", description="tiny (demo, CPU), small (the paper's mT-small), big (mT-big)"
    )
    d_model: Positive | None = Field(None, description="width of the residual stream")
    encoder_layers: Positive | None = None
    decoder_layers: Positive | None = None
    encoder_ffn_dim: Positive | None = Field(None, description="FFN neurons of an encoder layer")
    decoder_ffn_dim: Positive | None = Field(None, description="FFN neurons of a decoder layer")
    encoder_attention_heads: Positive | None = None
    decoder_attention_heads: Positive | None = None
    activation_function: Literal["relu", "gelu", "silu"] | None = None
    dropout: float | None = Field(None, ge=0, lt=1)
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    activation_dropout: float | None = Field(None, ge=0, lt=1)
    encoder_layerdrop: float | None = Field(None, ge=0, lt=1)
    decoder_layerdrop: float | None = Field(None, ge=0, lt=1)
    max_position_embeddings: Positive | None = Field(None, description="longest sequence, in tokens")
    init_std: float | None = Field(None, gt=0)
    scale_embedding: bool | None = None

    @property
    def overrides(self) -> dict[str, Any]:
        """The configuration fields that the recipe sets beside the preset."""
        return self.model_dump(exclude={"preset"}, exclude_none=True)

    @model_validator(mode="after")
    def _check_shape(self) -> ModelSettings:
        problem = shape_problem(PRESETS[self.preset] | self.overrides)
        if problem:
            raise ValueError(problem)
        return self


class RecordingSettings(Section):
    """Which text the neurons are recorded on."""

    split: Literal["valid", "train"] = Field("valid", description="the split that is read, under teacher forcing")
    sentences: Positive = Field(1000, description="sentences a direction, at most")


CoverageKey = Literal[
    "encoder", "decoder", "encoder/out", "encoder/into", "encoder/other", "decoder/out", "decoder/into", "decoder/other"
]


class SelectionSettings(Section):
    """How specialized neurons are selected from the recorded activations."""

    criterion: Literal["cumulative", "top_fraction"] = Field(
        "cumulative",
        description="cumulative: cover a share of the activation; top_fraction: the same share of every site",
    )
    coverage: Coverage | dict[CoverageKey, Coverage] = Field(
        0.95,
        description="k of cumulative: share of the activation that the selected neurons must cover; one number, or "
        "numbers for encoder and decoder, also by way past the pivot: {encoder: 0.9, decoder/out: 0.95, decoder: 0.9}",
    )
    fraction: Coverage | None = Field(None, description="share of neurons that top_fraction selects")
    statistic: Literal["count", "magnitude"] = Field(
        "count", description="count: positive activations; magnitude: the sum of |value|"
    )
    granularity: Literal["direction", "language", "family"] = Field(
        "direction",
        description="what activations are summed over; language: the source's in the encoder, the target's in the "
        "decoder",
    )

    @model_validator(mode="after")
    def _check_fraction(self) -> SelectionSettings:
        if (self.fraction is not None) != (self.criterion == "top_fraction"):
            raise ValueError("fraction belongs to criterion top_fraction, which needs it; cumulative has coverage")
        return self


class SpecializationSettings(Section):
    """How masks act on the model."""

    semantics: Literal["weight", "neuron"] = Field(
        "weight",
        description="weight: mask the rows of fc1 and keep its bias (the paper); neuron: unselected neurons give 0",
    )
    components: Literal["both", "encoder", "decoder"] = Field("both", description="which FFNs are specialized")
    rerecord_every: Positive | None = Field(
        None,
        description="updates between new recordings of the neurons while the arm specialized is trained; without it "
        "the baseline's masks stay",
    )


ArmName = Literal[
    "specialized",
    "dense",
    "random",
    "magnitude",
    "top_fraction",
    "adapters_direction",
    "adapters_family",
    "adapters_matched",
    "lora",
    "finetune",
    "lass",
    "bilingual",
]


class EvaluationSettings(Section):
    """How test sets are translated and scored."""

    engine: Literal["transformers", "ctranslate2"] = Field(
        "transformers",
        description="transformers: the model itself; ctranslate2: each direction's compact model, converted in memory "
        "(extra deploy)",
    )
    quantization: Literal["float32", "int8"] | None = Field(
        None, description="weights of the ctranslate2 engine; float32 where none is given"
    )
    beam: Positive = Field(5, description="beam size")
    length_penalty: float = Field(1.0, description="exponent of the length that a score is divided by")
    n_best: Positive = Field(1, description="hypotheses a sentence, with scores; at most beam")
    max_sentences: Positive | None = Field(None, description="test sentences a direction, at most; all without it")
    batch_tokens: Positive = Field(4096, description="padded source tokens in one batch")
    max_new_tokens: Positive = Field(256, description="longest translation, in tokens")
    max_length_ratio: float = Field(
        2.0, gt=0, description="longest translation, as a multiple of the source's pieces, to which 10 are added"
    )
    too_long: Literal["error", "truncate", "split"] = Field(
        "truncate",
        description="what happens to a source longer than the model reads; truncate: cut and counted; split: "
        "translated in parts, split at sentence ends (extra deploy)",
    )
    zero_shot: list[str] = Field(
        [],
        description="untrained directions to evaluate too, such as [de-fr]; needs text that is parallel in both "
        "languages, and trained directions to compose the masks from (de-en, en-fr)",
    )
    scores: ScoreSettings = ScoreSettings()

    @property
    def zero_shot_directions(self) -> list[Direction]:
        """The zero-shot directions, sorted."""
        return sorted(Direction.parse(text) for text in self.zero_shot)

    @property
    def translation(self) -> dict[str, Any]:
        """The settings that translations depend on, as plain JSON values."""
        return self.model_dump(mode="json", exclude={"scores"})

    @model_validator(mode="after")
    def _check_engine(self) -> EvaluationSettings:
        if self.quantization is not None and self.engine != "ctranslate2":
            raise ValueError("quantization belongs to engine ctranslate2; transformers runs the model as it is")
        if self.n_best > self.beam:
            raise ValueError(f"n_best {self.n_best} is larger than beam {self.beam}, which is all a search can give")
        return self


class AnalysisSettings(Section):
    """What is found out about the neurons with the trained models at hand."""

    sentences: Positive = Field(20, description="held-out sentences a direction, for losses and for tokens")
    share: float = Field(0.05, gt=0, le=0.5, description="share of a site's neurons that the causal check turns off")
    parts: Positive = Field(10, description="parts of the recording text whose masks are compared")


class ReportSettings(Section):
    """What the report shows."""

    samples: Positive = Field(3, description="sample translations a direction")


class Recipe(Section):
    """One experiment: text in, model, neurons, arms, scores out."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="names the experiment; a run folder belongs to one name",
    )
    seed: int = Field(1, ge=0, description="of everything random: splits, weights, data order, dropout")
    corpus: Corpus = Field(description="text, languages, directions, splits, cleaning")
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = Field(description="the multilingual baseline")
    recording: RecordingSettings = RecordingSettings()
    selection: SelectionSettings = SelectionSettings()
    specialization: SpecializationSettings = SpecializationSettings()
    continuation: TrainingSettings = Field(description="every arm, from the baseline on; same keys as training")
    arms: list[ArmName] = Field(["specialized", "dense", "random"], description="what continues from base")
    baselines: BaselinesSettings = BaselinesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    report: ReportSettings = ReportSettings()
    tracking: list[Literal["tensorboard", "wandb"]] = Field(
        [], description="where training is logged beside log.jsonl, into RUN/tracking; wandb runs offline"
    )

    @field_validator("arms")
    @classmethod
    def _controls_are_there(cls, arms: list[str]) -> list[str]:
        if len(set(arms)) != len(arms):
            raise ValueError("an arm is named twice")
        return [*arms, *(control for control in ("dense", "random") if control not in arms)]

    @model_validator(mode="after")
    def _check_zero_shot(self) -> Recipe:
        problems = list(zero_shot_problems(self.corpus, self.evaluation.zero_shot))
        if problems:
            raise ValueError(f"evaluation.zero_shot: {'; '.join(problems)}")
        return self

    @model_validator(mode="after")
    def _check_weights(self) -> Recipe:
        for name, settings in (("training", self.training), ("continuation", self.continuation)):
            try:
                problems = weight_problems(settings.weights or {}, self.corpus.all_directions)
            except DirectionError as error:
                problems = [str(error)]
            if settings.weights is not None and problems:
                raise ValueError(f"{name}.weights: {'; '.join(problems)}; give a weight to every trained direction")
        return self

    @model_validator(mode="after")
    def _check_arms(self) -> Recipe:
        problems = list(arm_problems(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def evaluated_directions(self) -> list[Direction]:
        """The directions of the test: the trained ones, then the zero-shot ones."""
        return [*self.corpus.all_directions, *self.evaluation.zero_shot_directions]

    @classmethod
    def load(cls, path: str | Path, overrides: list[str] | None = None) -> Recipe:
        """Read a recipe file; `overrides` are `section.key=value` as given with `--set`.

        Paths in the recipe are taken relative to the recipe's folder.

        Raises:
            RecipeError: the file is missing or not YAML, or holds mistakes: all of them in one message.
        """
        document = load_yaml(Path(path), overrides or [])
        return explain(cls, document, {"folder": Path(path).resolve().parent, "check_files": True})

    @classmethod
    def of_run(cls, run: str | Path, overrides: list[str] | None = None) -> Recipe:
        """The recipe that a run folder was made by (`RUN/recipe.yaml`).

        Raises:
            RecipeError: the folder has no recipe, or `overrides` are mistaken.
        """
        path = Path(run) / "recipe.yaml"
        if not path.is_file():
            raise RecipeError(
                f"{run} is not a run folder: it has no recipe.yaml; make one with 'neuronspec run RECIPE --out {run}'"
            )
        return explain(cls, load_yaml(path, overrides or []), {"folder": path.resolve().parent})

    def to_yaml(self) -> str:
        """The recipe as resolved: every key, paths absolute."""
        values = self.model_dump(mode="json", exclude_none=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
