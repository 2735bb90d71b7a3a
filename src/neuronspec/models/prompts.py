"""Prompts: how models that have no tags of languages are told what to do. No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from neuronspec.core.direction import Direction
from neuronspec.core.errors import RecipeError, nearest
from neuronspec.core.languages import name_of

PLACES = ("text", "source", "target", "source_code", "target_code", "target_tag")

PLAIN = "{text}"
T5_PROMPT = "translate {source} to {target}: {text}"
SOURCE_TAG = "{target_tag} {text}"
CAUSAL_PROMPT = "{source}: {text}\n{target}: "
CHAT_PROMPT = "Translate the following text from {source} into {target}.\n{source}: {text}\n{target}:"


def checked_prompt(prompt: str) -> str:
    """A prompt whose places are known.

    Args:
        prompt: with the place `{text}` for the source sentence; it may have `{source}`, `{target}` (names of the
            languages), `{source_code}`, `{target_code}` and `{target_tag}` (as the tokenizer writes it: `>>deu<<`).

    Raises:
        RecipeError: it has an unknown place, or none for the text.
    """
    unknown = [place for place in re.findall(r"{(\w*)}", prompt) if place not in PLACES]
    if unknown:
        raise RecipeError(f"prompt: unknown place {{{unknown[0]}}}; {nearest(unknown[0], PLACES)}")
    if prompt.count("{text}") != 1:
        raise RecipeError(
            "prompt: it has no {text}, where the source sentence goes"
            if "{text}" not in prompt
            else "prompt: it has {text} more than once; the source sentence goes in one place"
        )
    return prompt


def target_problems(prompt: str, targets: Sequence[str], names: Mapping[str, str]) -> Iterator[str]:
    """Why a prompt without tags doesn't tell the languages apart that a model is to write: it names none, or two alike.

    Args:
        prompt: as of `checked_prompt`.
        targets: codes of the languages, each once.
        names: as of `filled`.
    """
    if len(targets) > 1 and not any(place in prompt for place in ("{target}", "{target_code}")):
        yield (
            f"model.pretrained: the model isn't told which of {', '.join(targets)} to write: its tokenizer has no "
            "tags of languages, and the prompt has no {target}; set model.prompt, or keep directions into one "
            "language"
        )
    owners: dict[str, str] = {}
    for code in targets if "{target_code}" not in prompt else ():
        name = names.get(code) or name_of(code)
        other = owners.setdefault(name, code)
        if other != code:
            yield (
                f"model.languages: {other} and {code} are both called {name!r} in the prompt, so the model isn't told "
                f"which to write; give each a name of its own, as in model.languages: {{{code}: ...}}"
            )


def filled(prompt: str, direction: Direction, names: Mapping[str, str], tag: str = "") -> str:
    """A prompt for a direction, with only `{text}` left open.

    Args:
        prompt: as of `checked_prompt`.
        direction: source and target language.
        names: how languages are called, by code, where it isn't by their English name.
        tag: of the target language.
    """
    words = {
        "source": names.get(direction.source) or name_of(direction.source),
        "target": names.get(direction.target) or name_of(direction.target),
        "source_code": direction.source,
        "target_code": direction.target,
        "target_tag": tag,
    }
    for place, word in words.items():
        prompt = prompt.replace(f"{{{place}}}", word)
    return prompt
