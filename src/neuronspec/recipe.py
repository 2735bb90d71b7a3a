"""Recipe: one typed, validated experiment, written as YAML.

`Recipe.load` reads a file and reports every mistake in it at once, each with its line, the value seen and
the nearest valid key. The sections below are the reference of all keys; `docs/reference/recipe.md` is made from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neuronspec.direction import Direction, is_language_code
from neuronspec.errors import DirectionError, RecipeError
from neuronspec.languages import family_of, get_language
from neuronspec.recipe_errors import explain, load_yaml

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Coverage = Annotated[float, Field(gt=0, le=1)]


def _pattern_from_recipe_folder(pattern: str, info: ValidationInfo) -> str:
    """Relative paths in a recipe start at the recipe's folder."""
    folder = (info.context or {}).get("folder")
    expanded = Path(pattern).expanduser()
    return str((Path(folder) / expanded).resolve()) if folder else str(expanded)


def _from_recipe_folder(path: Path, info: ValidationInfo) -> Path:
    resolved = Path(_pattern_from_recipe_folder(str(path), info))
    if (info.context or {}).get("check_files") and not resolved.exists():
        raise ValueError(f"no such file or folder: {resolved}")
    return resolved


RecipePattern = Annotated[str, AfterValidator(_pattern_from_recipe_folder)]
RecipePath = Annotated[Path, AfterValidator(_from_recipe_folder)]


class Section(BaseModel):
    """A part of the recipe. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class CleaningSettings(Section):
    """Rules for training text; each counts what it drops in `corpus.json`."""

    max_tokens: Positive = Field(256, description="drop training pairs with a longer side, in tokens without tags")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        description="drop training pairs whose longer side exceeds the shorter by this factor (tokens)",
    )
    deduplicate: bool = Field(True, description="drop exact duplicates of a training pair")
    drop_copies: bool = Field(False, description="drop training pairs whose target equals the source")
    decontaminate: bool = Field(True, description="drop training pairs whose source or target stands in valid or test")


class CorpusSettings(Section):
    """What is read, which languages and directions are used, how it is split and cleaned."""

    pivot: str = Field("en", description="the language in the middle: directions go out of it and into it")
    languages: list[str] = Field(min_length=1, description="the other languages, by code")
    directions: Literal["both", "out", "into"] | list[str] = Field(
        "both",
        description="both: pivot-X and X-pivot; out: pivot-X; into: X-pivot; or a list such as [en-de, de-fr]",
    )
    families: dict[str, str] = Field(
        {}, description="language code: family; for codes that aren't in the built-in table, or to regroup"
    )
    tiers: dict[Literal["high", "medium", "low"], list[str]] = Field(
        {},
        description="resource tiers of the languages; without them, thirds by the number of training pairs",
    )
    valid_share: Share = Field(
        0.04, description="share of pivot sentences held out for validation, where no files are given"
    )
    test_share: Share = Field(
        0.06, description="share of pivot sentences held out for the test, where no files are given"
    )
    cleaning: CleaningSettings = CleaningSettings()

    @property
    def all_directions(self) -> list[Direction]:
        """The directions of the experiment, sorted."""
        if isinstance(self.directions, list):
            return sorted(Direction.parse(text) for text in self.directions)
        out = [Direction(self.pivot, code) for code in self.languages]
        into = [direction.reverse() for direction in out]
        return sorted({"both": out + into, "out": out, "into": into}[self.directions])

    @property
    def all_languages(self) -> list[str]:
        """The pivot, then the other languages in the recipe's order."""
        return [self.pivot, *self.languages]

    def family(self, code: str) -> str:
        """The family of a language: the recipe's word first, then the built-in table."""
        return self.families.get(code) or family_of(code)

    @model_validator(mode="after")
    def _check(self) -> CorpusSettings:
        problems = [*self._language_problems(), *self._direction_problems(), *self._tier_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _language_problems(self) -> Iterator[str]:
        for code in self.all_languages:
            if not is_language_code(code):
                yield f"language code {code!r}: expected letters and digits joined by '_', such as 'de' or 'pt_BR'"
            elif code not in self.families:
                try:
                    get_language(code)
                except DirectionError as error:
                    yield f"{error}; a code of your own needs a family: corpus.families: {{{code}: Germanic}}"
        repeated = {code for code in self.all_languages if self.all_languages.count(code) > 1}
        if repeated:
            yield f"languages named twice (the pivot counts): {', '.join(sorted(repeated))}"

    def _direction_problems(self) -> Iterator[str]:
        known = set(self.all_languages)
        if self.directions == []:
            yield "directions: the list is empty"
        for text in self.directions if isinstance(self.directions, list) else []:
            try:
                direction = Direction.parse(text)
            except DirectionError as error:
                yield str(error)
                continue
            missing = {direction.source, direction.target} - known
            if missing:
                yield f"direction {text}: {', '.join(sorted(missing))} is not among the languages {sorted(known)}"

    def _tier_problems(self) -> Iterator[str]:
        placed = [code for codes in self.tiers.values() for code in codes]
        yield from (f"tiers: {code!r} is not among the languages" for code in placed if code not in self.languages)
        yield from (
            f"tiers: {code!r} stands in two tiers" for code in sorted({c for c in placed if placed.count(c) > 1})
        )
        if self.tiers:
            yield from (f"tiers: {code!r} is in no tier" for code in self.languages if code not in placed)


class CatalogsCorpus(CorpusSettings):
    """Message catalogs (gettext `.po`) of installed packages, or of a folder."""

    reader: Literal["catalogs"]
    packages: list[str] = Field(
        ["django", "plone.app.locales"], description="installed packages whose catalogs are read"
    )
    folder: RecipePath | None = Field(None, description="read the catalogs below this folder instead of packages")
    max_characters: Positive | None = Field(
        None, description="leave out messages, in all splits, whose English text is longer"
    )


class TsvCorpus(CorpusSettings):
    """One multi-parallel table (`.tsv`, `.tsv.gz`, `.tsv.xz`), a column a language."""

    reader: Literal["tsv"]
    train: RecipePath = Field(description="training table; relative to the recipe's folder")
    valid: RecipePath | None = Field(None, description="validation table; without it, valid_share of the training rows")
    test: RecipePath | None = Field(None, description="test table; without it, test_share of the training rows")


class MosesCorpus(CorpusSettings):
    """Line-aligned text, one file a language side (the Moses layout)."""

    reader: Literal["moses"]
    train: RecipePattern = Field(
        description="pattern with {pair} (source-target, either order) and {lang}: text/train.{pair}.{lang}"
    )
    valid: RecipePattern | None = Field(None, description="pattern of the validation files")
    test: RecipePattern | None = Field(None, description="pattern of the test files")

    @field_validator("train", "valid", "test")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        if pattern is not None and "{lang}" not in pattern:
            raise ValueError(f"pattern {pattern!r} lacks {{lang}}; for example text/train.{{pair}}.{{lang}}")
        return pattern


Corpus = Annotated[CatalogsCorpus | TsvCorpus | MosesCorpus, Field(discriminator="reader")]


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


class TrainingSettings(Section):
    """One training loop: the baseline's (`training`) or the arms' (`continuation`)."""

    updates: Positive | None = Field(None, description="budget in optimizer updates (one of updates, epochs, minutes)")
    epochs: float | None = Field(None, gt=0, description="budget in passes over all training pairs of all directions")
    minutes: float | None = Field(None, gt=0, description="budget in minutes of training; not reproducible to the bit")
    batch_tokens: Positive = Field(
        4096, description="padded tokens of the longer side in one micro-batch (one direction)"
    )
    accumulation: Positive = Field(1, description="micro-batches in one update")
    temperature: float = Field(5.0, ge=1, description="directions are sampled in proportion to size^(1/temperature)")
    learning_rate: float = Field(5e-4, gt=0, description="peak of the inverse square root schedule")
    warmup: Positive = Field(4000, description="updates of linear warm-up")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of the target spread over the vocabulary")
    adam_betas: tuple[float, float] = Field((0.9, 0.98), description="decay of the first and second moment")
    adam_epsilon: float = Field(1e-6, gt=0, description="added to the root of the second moment")
    weight_decay: float = Field(0.0, ge=0, description="decoupled, as in AdamW")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient of an update")
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="auto: bf16 autocast where the machine has it in hardware"
    )
    validate_every: Positive = Field(500, description="updates between validations; the best checkpoint is the result")
    validation_sentences: Positive = Field(200, description="validation sentences a direction")
    save_every: Positive = Field(500, description="updates between checkpoints to resume from")

    @model_validator(mode="after")
    def _check_budget(self) -> TrainingSettings:
        given = [name for name in ("updates", "epochs", "minutes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of updates, epochs, minutes; given: {', '.join(given) or 'none'}")
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


ArmName = Literal["specialized", "dense", "random"]


class EvaluationSettings(Section):
    """How test sets are translated and scored."""

    beam: Positive = Field(5, description="beam size")
    length_penalty: float = Field(1.0, description="exponent of the length that a score is divided by")
    max_sentences: Positive | None = Field(None, description="test sentences a direction, at most; all without it")
    batch_tokens: Positive = Field(4096, description="padded source tokens in one batch")
    max_new_tokens: Positive = Field(256, description="longest translation, in tokens")


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
    evaluation: EvaluationSettings = EvaluationSettings()
    report: ReportSettings = ReportSettings()

    @field_validator("arms")
    @classmethod
    def _controls_are_there(cls, arms: list[str]) -> list[str]:
        if len(set(arms)) != len(arms):
            raise ValueError("an arm is named twice")
        return [*arms, *(control for control in ("dense", "random") if control not in arms)]

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
