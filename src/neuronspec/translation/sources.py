"""Sources as the model reads them, and what happens to those that are too long for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError, MissingExtraError
from neuronspec.core.languages import base_language, script_of
from neuronspec.models.text_cleaning import framed, with_plain_punctuation
from neuronspec.models.text_format import TextFormat

TooLong: TypeAlias = Literal["error", "truncate", "split"]

_WITHOUT_SPACES = {"Hans", "Hant", "Jpan", "Thai", "Khmr", "Laoo", "Mymr"}


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What is translated at once: a source, or a part of one.

    Args:
        source: index of the source.
        ids: as the format has them; see `neuronspec.models.frames.Frame.sources`.
        first: whether it is the first part of its source.
    """

    source: int
    ids: list[int]
    first: bool = True


@dataclass(slots=True)
class Prepared:
    """The parts of all sources that aren't empty, in order; how many sources were cut and how many split."""

    parts: list[Part] = field(default_factory=list)
    truncated: int = 0
    split: int = 0


def prepare_sources(
    text_format: TextFormat, sources: Sequence[str], longest: int | None, too_long: TooLong, direction: Direction
) -> Prepared:
    """Clean the sources as the tokenizer's training text was, and tokenize those that aren't empty.

    Args:
        text_format: how the model reads them.
        sources: sentences.
        longest: ids that a source may have; None: any number.
        too_long: what happens to longer ones: `error`; `truncate`: they are cut and counted; `split`: they are split
            at sentence ends, as few parts as possible, and a sentence that is still too long is cut and counted.
        direction: that they are translated in.

    Raises:
        EvaluationError: a source is too long and `too_long` is `error`.
        DirectionError: the tokenizer has no code for a language.
    """
    frame = text_format.frame
    prepared = Prepared()
    lines = [framed(source) for source in sources]
    ours = text_format.cleaning == "neuronspec"
    texts = [line.text if ours else line.written for line in lines]
    if text_format.punctuation:
        texts = with_plain_punctuation(texts, direction.source)
    filled = [index for index, text in enumerate(texts) if text]
    for index, ids in zip(filled, frame.sources([texts[index] for index in filled], direction), strict=True):
        if longest is None or len(ids) <= longest:
            prepared.parts.append(Part(index, ids))
            continue
        if too_long == "error":
            raise EvaluationError(
                f"line {index + 1} has {len(ids)} pieces, and the model reads {longest} at most: shorten it, or let it "
                "be split at sentence ends (too_long: split) or cut (too_long: truncate)"
            )
        groups = [texts[index]]
        if too_long == "split":
            sentences = split_sentences(texts[index], direction.source)
            room = longest - frame.fixed(direction)
            groups = _grouped(sentences, frame.targets(sentences), room, joiner(direction.source))
            prepared.split += len(groups) > 1
        found = frame.sources(groups, direction)
        prepared.truncated += any(len(each) > longest for each in found)
        for place, (group, each) in enumerate(zip(groups, found, strict=True)):
            fitting = each if len(each) <= longest else frame.cut(group, direction, longest)
            prepared.parts.append(Part(index, fitting, place == 0))
    return prepared


def split_sentences(text: str, language: str) -> list[str]:
    """The sentences of a text, without the spaces between them.

    Raises:
        MissingExtraError: sentencex isn't installed.
    """
    check_splitter()
    from sentencex import segment

    return [sentence.strip() for sentence in segment(base_language(language), text) if sentence.strip()]


def check_splitter() -> None:
    """Check that sentences can be split.

    Raises:
        MissingExtraError: sentencex isn't installed.
    """
    import importlib.util

    if importlib.util.find_spec("sentencex") is None:
        raise MissingExtraError("sentencex", "deploy", "splitting text at sentence ends")


def joiner(language: str) -> str:
    """What separates two sentences: nothing in scripts that are written without spaces."""
    return "" if script_of(language) in _WITHOUT_SPACES else " "


def join_parts(
    sources: int, parts: Sequence[Part], texts: Mapping[Part, list[tuple[str, float]]], language: str
) -> list[list[tuple[str, float]]]:
    """By source, the n-best lists of its parts put together rank by rank; scores are the means over the parts."""
    by_source: list[list[list[tuple[str, float]]]] = [[] for _ in range(sources)]
    for part in parts:
        by_source[part.source].append(texts[part])
    between = joiner(language)
    return [
        [
            (between.join(text for text, _ in ranked), sum(score for _, score in ranked) / len(ranked))
            for ranked in zip(*lists, strict=False)
        ]
        for lists in by_source
    ]


def _grouped(sentences: Sequence[str], pieces: Sequence[list[int]], longest: int, between: str) -> list[str]:
    """Neighbouring sentences together as long as their pieces are `longest` at most."""
    groups: list[list[str]] = []
    size = 0
    for sentence, ids in zip(sentences, pieces, strict=True):
        if groups and size + len(ids) <= longest:
            groups[-1].append(sentence)
            size += len(ids)
        else:
            groups.append([sentence])
            size = len(ids)
    return [between.join(group) for group in groups]
