"""Text as batches for any Hugging Face model: its own tokenizer, language codes and prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, RecipeError, nearest
from neuronspec.core.languages import canonical, name_of
from neuronspec.models.batch import Batch

LONGEST = 256
"""Tokens a side at most; longer sentences are cut."""
CAUSAL_PROMPT = "{source}: {text}\n{target}: "
T5_PROMPT = "translate {source} to {target}: {text}"
PLACES = ("text", "source", "target", "source_code", "target_code")


class Encoder:
    """Encodes sentence pairs as a model reads them.

    A tokenizer that has `src_lang` and `tgt_lang` (M2M100, NLLB, mBART) gets its own code of each language. Other
    models get the source through a prompt with `{text}`, `{source}`, `{target}` (names of languages), `{source_code}`
    and `{target_code}`; a decoder-only model goes on with the target.

    Args:
        tokenizer, model: of Hugging Face.
        prompt: instead of the default: the bare text, T5's `translate German to English: ...`, or for decoder-only
            models `German: ...` and `English: ` on the next line.

    Raises:
        RecipeError: the prompt has an unknown place, or none for the text.
        ModelError: the tokenizer has no padding token and none can be put in its place.
    """

    def __init__(self, tokenizer: Any, model: Any, prompt: str | None = None) -> None:
        self._tokenizer, self._model = tokenizer, model
        self._causal = not model.config.is_encoder_decoder
        self._codes = _language_codes(tokenizer)
        kind = str(getattr(model.config, "model_type", ""))
        self._prompt = prompt or (CAUSAL_PROMPT if self._causal else T5_PROMPT if "t5" in kind else "{text}")
        _check_prompt(self._prompt)
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if self._pad is None:
            raise ModelError("the tokenizer has neither a padding nor an end token, so sentences can't be batched")

    def batches(self, direction: Direction, pairs: Sequence[tuple[str, str]], size: int = 32) -> Iterator[Batch]:
        """The pairs of a direction, from the shortest to the longest, `size` a batch.

        Raises:
            DirectionError: the tokenizer has no code for a language.
        """
        ordered = sorted(pairs, key=lambda pair: max(map(len, pair)))
        for start in range(0, len(ordered), size):
            some = ordered[start : start + size]
            sources, targets = [source for source, _ in some], [target for _, target in some]
            make = self._causal_inputs if self._causal else self._inputs
            yield Batch(direction, make(direction, sources, targets))

    def _inputs(self, direction: Direction, sources: list[str], targets: list[str]) -> dict[str, torch.Tensor]:
        tokenizer = self._tokenizer
        if self._codes:
            tokenizer.src_lang, tokenizer.tgt_lang = self._code(direction.source), self._code(direction.target)
        else:
            sources = [self._filled(direction, text) for text in sources]
        common = {"padding": True, "truncation": True, "max_length": LONGEST, "return_tensors": "pt"}
        encoded = tokenizer(sources, **common)
        target = tokenizer(text_target=targets, **common)
        mask = target["attention_mask"]
        labels = target["input_ids"].masked_fill(mask == 0, -100)
        return {
            "input_ids": encoded["input_ids"],
            "attention_mask": encoded["attention_mask"],
            "labels": labels,
            "decoder_input_ids": self._shifted(labels),
            "decoder_attention_mask": mask,
        }

    def _shifted(self, labels: torch.Tensor) -> torch.Tensor:
        """What the decoder reads to give `labels`: as the model makes it, or its start token and all but the last."""
        if hasattr(self._model, "prepare_decoder_input_ids_from_labels"):
            return self._model.prepare_decoder_input_ids_from_labels(labels=labels)
        start = torch.full_like(labels[:, :1], self._model.config.decoder_start_token_id)
        return torch.cat([start, labels[:, :-1]], dim=1).masked_fill(labels == -100, self._pad)

    def _causal_inputs(self, direction: Direction, sources: list[str], targets: list[str]) -> dict[str, torch.Tensor]:
        rows = []
        for source, target in zip(sources, targets, strict=True):
            prompt = self._tokenizer(self._filled(direction, source))["input_ids"][:LONGEST]
            end = [] if self._tokenizer.eos_token_id is None else [self._tokenizer.eos_token_id]
            rest = self._tokenizer(target, add_special_tokens=False)["input_ids"][:LONGEST]
            rows.append((prompt, rest + end))
        longest = max(len(prompt) + len(rest) for prompt, rest in rows)
        ids = torch.full((len(rows), longest), self._pad)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for row, (prompt, rest) in enumerate(rows):
            length = len(prompt) + len(rest)
            ids[row, :length] = torch.tensor(prompt + rest)
            mask[row, :length] = 1
            labels[row, len(prompt) : length] = torch.tensor(rest)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def _filled(self, direction: Direction, text: str) -> str:
        words = {
            "text": text,
            "source": name_of(direction.source),
            "target": name_of(direction.target),
            "source_code": direction.source,
            "target_code": direction.target,
        }
        filled = self._prompt
        for place in PLACES[1:]:
            filled = filled.replace(f"{{{place}}}", words[place])
        return filled.replace("{text}", text)

    def _code(self, language: str) -> str:
        if language not in self._codes:
            raise DirectionError(
                f"the tokenizer has no code for language {language!r}; {nearest(language, self._codes)}"
            )
        return self._codes[language]


def _language_codes(tokenizer: Any) -> dict[str, str]:
    """By our code, how the tokenizer writes a language; empty if it has no languages."""
    if not hasattr(tokenizer, "src_lang"):
        return {}
    named = getattr(tokenizer, "lang_code_to_token", None)
    tokens = list(named) if named else [*map(str, tokenizer.get_added_vocab())]
    codes: dict[str, str] = {}
    for token in tokens:
        try:
            code = canonical(token.strip("_<>[]"))
        except DirectionError:
            continue
        for spelling in (code, token.strip("_<>[]"), code.partition("_")[0]):
            codes.setdefault(spelling, token)
    return codes


def _check_prompt(prompt: str) -> None:
    import re

    unknown = [place for place in re.findall(r"{(\w*)}", prompt) if place not in PLACES]
    if unknown:
        raise RecipeError(f"prompt: unknown place {{{unknown[0]}}}; {nearest(unknown[0], PLACES)}")
    if "{text}" not in prompt:
        raise RecipeError("prompt: it has no {text}, where the source sentence goes")
