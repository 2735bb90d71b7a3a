"""Whether a checkpoint can be told the languages of a recipe, and its vocabulary changed as the recipe has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.errors import DirectionError, Mistakes, ModelError, nearest
from neuronspec.models.prompts import target_problems
from neuronspec.models.settings import ModelSettings
from neuronspec.models.text_format import Description
from neuronspec.models.tokenizer import tag_id, tags_of
from neuronspec.models.vocabulary import files_of, new_tags
from neuronspec.models.whole_frames import target_tag, target_tags


def language_problems(
    settings: ModelSettings, tokenizer: Any, described: Description, directions: Sequence[Direction]
) -> Iterator[str]:
    """What can't be done of what the recipe says of languages and vocabulary; see `Mistakes`.

    Args:
        settings: of the model.
        tokenizer: of the checkpoint, with the recipe's table of languages.
        described: how it reads sentences.
        directions: that are used.
    """
    yield from _untold(settings, tokenizer, described, directions)
    yield from _unchanged(settings, tokenizer)


def _untold(
    settings: ModelSettings, tokenizer: Any, described: Description, directions: Sequence[Direction]
) -> Iterator[str]:
    """Why the model can't be told each language, or doesn't tell them apart."""
    prompt = described.get("prompt", "")
    targets = sorted({direction.target for direction in directions})
    if described["kind"] in ("prompted", "causal") and "{target_tag}" not in prompt:
        yield from target_problems(prompt, targets, settings.languages)
        return
    by_source = described["kind"] == "prompted"
    known = list(target_tags(tokenizer).values()) if by_source else tags_of(tokenizer)
    wrong = {code: token for code, token in settings.languages.items() if token not in known}
    for code, token in wrong.items():
        yield f"model.languages: {code}: the tokenizer has no tag {token!r}; {nearest(token, known)}"
    owners: dict[str, str] = {}
    for code in targets if by_source else languages_of(directions):
        if code in settings.new_languages or code in wrong:
            continue
        try:
            own = target_tag(tokenizer, code) if by_source else tag_id(tokenizer, code)
            token = own if isinstance(own, str) else tokenizer.convert_ids_to_tokens(own)
        except DirectionError as error:
            remedy = "" if by_source else ", model.new_languages makes one"
            yield (
                f"corpus.languages: {code}: {settings.pretrained}: {error}. model.languages says which tag to "
                f"use{remedy}"
            )
            continue
        other = owners.setdefault(str(token), code)
        if other != code:
            yield (
                f"model.languages: {other} and {code} have the same tag, {token!r}, so the model couldn't tell them "
                "apart; give each its own"
            )


def _unchanged(settings: ModelSettings, tokenizer: Any) -> Iterator[str]:
    """Why the vocabulary can't be changed as the recipe has it."""
    changes = [key for key in ("new_languages", "extend_vocabulary", "trim_vocabulary") if getattr(settings, key)]
    if not changes:
        return
    try:
        files_of(tokenizer)
        new_tags(tokenizer, settings.new_languages)
    except ModelError as error:
        yield f"model.{changes[0]}: {error}"
    except Mistakes as error:
        yield from error.args
