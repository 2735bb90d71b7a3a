"""The recipe's settings of translating and scoring the test sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from neuronspec.core.direction import Direction
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import MANY, Added, Positive, Section, without_added
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.translation.quantizations import QUANTIZATIONS
from neuronspec.translation.registry import ENGINES

ALL = "all"
"""As `zero_shot`: all directions that aren't trained, and that trained ones compose; the recipe spells them out."""


class EvaluationSettings(Section):
    """How test sets are translated and scored."""

    engine: Annotated[str, OneOf(ENGINES)] = Field(
        "transformers",
        description="transformers: the model itself; ctranslate2: each direction's compact model, converted in memory "
        "(extra deploy)",
    )
    quantization: Annotated[str, OneOf(QUANTIZATIONS)] | None = Field(
        None, description="weights of the ctranslate2 engine; float32 where none is given"
    )
    precision: Annotated[Literal["auto", "bf16", "float32"], Added()] = Field(
        "auto",
        description="of the transformers engine; auto: bf16 autocast on a GPU that has it in hardware, else the type "
        "of the weights",
    )
    beam: Positive = Field(5, le=1000, description="beam size")
    length_penalty: float = Field(1.0, ge=-100, le=100, description="exponent of the length that a score is divided by")
    n_best: Positive = Field(1, description="hypotheses per sentence, with scores; at most beam")
    max_sentences: Positive | None = Field(None, description="test sentences per direction, at most; all without it")
    batch_tokens: Positive = Field(4096, description="padded source tokens in one batch")
    max_new_tokens: Positive = Field(256, le=1_048_576, description="longest translation, in tokens")
    max_length_ratio: float = Field(
        2.0,
        gt=0,
        le=MANY,
        description="longest translation, as a multiple of the source's pieces, to which 10 are added",
    )
    too_long: Literal["error", "truncate", "split"] = Field(
        "truncate",
        description="what happens to a source longer than the model reads; truncate: cut and counted; split: "
        "translated in parts, split at sentence ends (extra deploy)",
    )
    zero_shot: Annotated[list[str], BeforeValidator(lambda given: [ALL] if given == ALL else given)] = Field(
        [],
        description="untrained directions to evaluate too, such as [de-fr], or all that can be; needs text that is "
        "parallel in both languages, and trained directions to compose the masks from (de-en, en-fr)",
    )
    scores: ScoreSettings = ScoreSettings()

    @property
    def zero_shot_directions(self) -> list[Direction]:
        """The zero-shot directions, sorted."""
        return sorted(Direction.parse(text) for text in self.zero_shot)

    def by_transformers(self, exactly: bool) -> EvaluationSettings:
        """The same by the engine `transformers`, for a model that the engine can't compute.

        Args:
            exactly: in float32, as other engines compute without quantization; else as `auto` says.
        """
        if self.engine == "transformers":
            return self
        precision = "float32" if exactly else "auto"
        return self.model_copy(update={"engine": "transformers", "quantization": None, "precision": precision})

    @property
    def translation(self) -> dict[str, Any]:
        """The settings that translations depend on, as plain JSON values."""
        return without_added(self, self.model_dump(mode="json", exclude={"scores"}))

    @model_validator(mode="after")
    def _check_engine(self) -> EvaluationSettings:
        if self.quantization is not None and self.engine != "ctranslate2":
            raise ValueError("quantization belongs to engine ctranslate2; transformers runs the model as it is")
        if self.precision != "auto" and self.engine != "transformers":
            raise ValueError(f"precision belongs to engine transformers; {self.engine} computes as quantization says")
        if self.n_best > self.beam:
            raise ValueError(f"n_best {self.n_best} is larger than beam {self.beam}, which is all a search can give")
        return self
