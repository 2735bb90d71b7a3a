"""Decoder-only models in CTranslate2, behind what the engine knows of a `ctranslate2.Translator`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_SHORTEST = 3
"""Of prompts this long or longer, one can be computed without its last token."""
_NONE = -1e8
"""CTranslate2 fills up with hypotheses of a lower score where it has found fewer than it was asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one prompt; the fields are those of a `ctranslate2.TranslationResult`.

    Args:
        hypotheses: tokens, without the prompt.
        scores: as many.
    """

    hypotheses: list[list[str]]
    scores: list[float]


@dataclass(frozen=True, slots=True)
class _Waiting:
    started: Any

    def result(self) -> Found:
        found = self.started.result()
        kept = [place for place, score in enumerate(found.scores) if not score < _NONE]  # NaN is for the engine
        return Found([found.sequences[place] for place in kept], [found.scores[place] for place in kept])


class Prompting:
    """A `ctranslate2.Generator` that is asked as a `ctranslate2.Translator` is.

    Args:
        generator: of a model without an encoder.
    """

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    @property
    def num_translators(self) -> int:
        """Batches that are computed at a time."""
        return int(self._generator.num_generators)

    def translate_batch(
        self,
        sources: Sequence[list[str]],
        *,
        target_prefix: None = None,
        max_input_length: int = 0,
        max_decoding_length: int,
        min_decoding_length: int,
        **options: Any,
    ) -> list[_Waiting]:
        """Start to continue prompts.

        Where all prompts are computed at once, an end as the second choice for the first token would count as a
        translation, unlike in translators. So one that is a token shorter goes with them, and is dropped.

        Args:
            sources: the prompts, in tokens.
            target_prefix: none; the prompt has all that a translation begins with.
            max_input_length: nothing is cut.
            max_decoding_length: tokens that are written at most.
            min_decoding_length: and at least.
            options: of `ctranslate2.Generator.generate_batch`.
        """
        prompts, shortest = list(sources), min(sources, key=len)
        if len(shortest) >= _SHORTEST:
            prompts.append(shortest[:-1])
        started = self._generator.generate_batch(
            prompts,
            max_length=max_decoding_length,
            min_length=min_decoding_length,
            include_prompt_in_result=False,
            **options,
        )
        return [_Waiting(one) for one in started[: len(sources)]]
