"""The vocabulary of a tokenizer as its files have it: which pieces need which others, and writing it changed.

`FastFiles` is for all tokenizers with a `tokenizer.json` of BPE or unigram pieces; `neuronspec.models.m2m100_files` is
for M2M-100's own class. A changed vocabulary is numbered anew without gaps: the pieces in their old order, new pieces,
the tokens beside the pieces, new tags.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

from neuronspec.core.errors import ModelError
from neuronspec.core.files import write_json
from neuronspec.core.json_files import parse_json, read_json
from neuronspec.models.tokenizer import FORMAT_KEY

BYTE = re.compile(r"<0x[0-9A-F]{2}>")
CONFIG = "tokenizer_config.json"
SPACE = "▁"
AGAIN = "run again"
"""What is done where a file that was just written can't be read."""

PLAIN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
"""What tokenizers know of a special token."""


@dataclass(frozen=True, slots=True)
class NewPiece:
    """A piece that joins two neighbours.

    Args:
        left: the first of them.
        right: the second.
        score: the logarithm of its probability, for unigram pieces.
        parts: ids of the pieces of the old vocabulary that it was split into.
    """

    left: str
    right: str
    score: float
    parts: tuple[int, ...]

    @property
    def text(self) -> str:
        """The piece itself."""
        return self.left + self.right


Order: TypeAlias = list[int | NewPiece | str]
"""What each new id is: the old id, a new piece, or a new tag."""


class VocabularyFiles(ABC):
    """The vocabulary of a tokenizer, to be written changed.

    Attributes:
        fixed: ids that stay in any case: special tokens, bytes, and what the tokenizer itself relies on.
    """

    fixed: set[int]

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @abstractmethod
    def closed(self, ids: Collection[int]) -> set[int]:
        """Some ids, with those of all pieces that they are made from, so that text is cut as before."""

    @abstractmethod
    def words(self, text: str) -> list[tuple[int, ...]]:
        """The ids of a text's pieces, word by word: no piece reaches over the end of a word."""

    @abstractmethod
    def write(self, folder: Path, kept: Collection[int], pieces: Sequence[NewPiece], tags: Sequence[str]) -> Order:
        """Write the tokenizer with a changed vocabulary.

        Args:
            folder: an empty one.
            kept: ids that stay, `fixed` among them.
            pieces: new ones.
            tags: new special tokens.

        Returns:
            What each new id is.
        """

    @abstractmethod
    def token(self, number: int) -> str:
        """What an id stands for."""

    @abstractmethod
    def has(self, token: str) -> bool:
        """Whether a token is in the vocabulary."""

    def is_piece(self, number: int) -> bool:
        """Whether an id is that of a piece of words, not of a special token or a single byte."""
        return number not in self._special and BYTE.fullmatch(self.token(number)) is None

    @cached_property
    def _special(self) -> set[int]:
        return {*self.tokenizer.added_tokens_decoder, *self.tokenizer.all_special_ids}

    def save_rest(self, folder: Path, order: Order, dropped: Collection[str]) -> None:
        """Save what the tokenizer has beside its vocabulary."""
        self.tokenizer.save_pretrained(folder)
        path = folder / CONFIG
        content = read_json(path, dict[str, Any], AGAIN, error=ModelError)
        extra = [token for token in content.get("extra_special_tokens", []) if token not in dropped]
        content["extra_special_tokens"] = [*extra, *(one for one in order if isinstance(one, str))]
        described = content.get(FORMAT_KEY, {})
        described |= {name: order.index(described[name]) for name in ("pad", "end", "start") if name in described}
        write_json(path, content)


class FastFiles(VocabularyFiles):
    """A tokenizer of the library `tokenizers`, with BPE (of characters or of bytes) or unigram pieces.

    Raises:
        ModelError: its pieces are of another kind.
    """

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer)
        self._content: dict[str, Any] = parse_json(tokenizer.backend_tokenizer.to_str(), dict[str, Any])
        model = self._content["model"]
        self._kind = model.get("type")
        if self._kind not in ("BPE", "Unigram") or any(
            model.get(f"{name}") for name in ("continuing_subword_prefix", "end_of_word_suffix")
        ):
            raise ModelError(
                f"the vocabulary of a {type(tokenizer).__name__} can't be changed: its pieces are {self._kind} with "
                "marks inside or at the end of words, and only plain BPE and unigram pieces are known; leave "
                "new_languages, trim_vocabulary and extend_vocabulary out"
            )
        if self._kind == "BPE":
            self._tokens = {number: token for token, number in model["vocab"].items()}
            merges = [tuple(one.split(" ") if isinstance(one, str) else one) for one in model["merges"]]
            self._merges: dict[tuple[str, str], int] = {pair: rank for rank, pair in enumerate(merges)}
        else:
            self._tokens = {number: token for number, (token, _) in enumerate(model["vocab"])}
        self._ids = {token: number for number, token in self._tokens.items()}
        self._added = {entry["id"]: entry for entry in self._content["added_tokens"]}
        self.fixed = self._relied_on() | set(self._added)

    def _relied_on(self) -> set[int]:
        model = self._content["model"]
        tokens = {token for token in self._tokens.values() if BYTE.fullmatch(token)}
        if '"ByteLevel"' in json.dumps([self._content["pre_tokenizer"], self._content["normalizer"]]):
            from tokenizers.pre_tokenizers import ByteLevel

            tokens |= set(ByteLevel.alphabet())
        tokens |= {str(model.get("unk_token"))} | set(_named_by(self._content["post_processor"]))
        found = {self._ids[token] for token in tokens & self._ids.keys()}
        if self._kind == "Unigram":
            # what an unknown character costs is told by the worst of all scores
            scores = [score for _, score in model["vocab"]]
            found |= {scores.index(min(scores)), *([] if model["unk_id"] is None else [model["unk_id"]])}
        return found | ({self._ids[SPACE]} if SPACE in self._ids else set())

    def closed(self, ids: Collection[int]) -> set[int]:
        """Some ids, with those of all pieces that they are made from."""
        found = set(ids)
        for number in ids:
            token = self._tokens.get(number)
            if token is None or number in self._added or BYTE.fullmatch(token):
                continue
            parts = {*token, *(joined_on_the_way(token, self._merges.get) if self._kind == "BPE" else ())}
            found |= {self._ids[part] for part in parts & self._ids.keys()}
        return found

    def words(self, text: str) -> list[tuple[int, ...]]:
        """The ids of a text's pieces, word by word."""
        encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        found: list[list[int]] = []
        before = None
        for number, word in zip(encoding.ids, encoding.word_ids, strict=True):
            if word != before or self.token(number).startswith(SPACE):
                found.append([])
            found[-1].append(number)
            before = word
        return [tuple(ids) for ids in found]

    def token(self, number: int) -> str:
        """What an id stands for."""
        return str(self._added[number]["content"] if number in self._added else self._tokens[number])

    def has(self, token: str) -> bool:
        """Whether a token is in the vocabulary."""
        return token in self._ids or any(entry["content"] == token for entry in self._added.values())

    def write(self, folder: Path, kept: Collection[int], pieces: Sequence[NewPiece], tags: Sequence[str]) -> Order:
        """Write tokenizer.json and tokenizer_config.json."""
        beside = sorted(number for number in self._added.keys() - self._tokens.keys() if number in kept)
        order: Order = [*(number for number in sorted(self._tokens) if number in kept), *pieces, *beside, *tags]
        new = {one: number for number, one in enumerate(order) if isinstance(one, int)}
        dropped = {entry["content"] for number, entry in self._added.items() if number not in new}
        self.save_rest(folder, order, dropped)
        content = read_json(folder / "tokenizer.json", dict[str, Any], AGAIN, error=ModelError)
        self._change_model(content["model"], new, pieces)
        added = [entry | {"id": new[number]} for number, entry in self._added.items() if number in new]
        added += [{"id": len(order) - len(tags) + place, "content": tag} | PLAIN for place, tag in enumerate(tags)]
        content["added_tokens"] = sorted(added, key=lambda entry: entry["id"])
        ids = {self.token(number): place for number, place in new.items()}
        _renumber(content["post_processor"], ids)
        if content["padding"] is not None:
            content["padding"]["pad_id"] = ids[content["padding"]["pad_token"]]
        write_json(folder / "tokenizer.json", content)
        return order

    def _change_model(self, model: dict[str, Any], new: Mapping[int, int], pieces: Sequence[NewPiece]) -> None:
        places = {number: place for number, place in new.items() if number in self._tokens}
        if self._kind == "Unigram":
            scores = [entry for number, entry in enumerate(model["vocab"]) if number in places]
            model["vocab"] = [*scores, *([piece.text, piece.score] for piece in pieces)]
            model["unk_id"] = None if model["unk_id"] is None else places[model["unk_id"]]
            return
        vocabulary = {self._tokens[number]: place for number, place in places.items()}
        vocabulary |= {piece.text: len(vocabulary) + place for place, piece in enumerate(pieces)}
        merges = [*self._merges, *((piece.left, piece.right) for piece in pieces)]
        model["vocab"] = vocabulary
        model["merges"] = [
            [left, right]
            for left, right in merges
            if left in vocabulary and right in vocabulary and left + right in vocabulary
        ]


def joined_on_the_way(token: str, rank: Callable[[tuple[str, str]], float | None]) -> Iterator[str]:
    """What BPE joins on the way from the characters to a token, which is the same wherever the token stands.

    Args:
        token: as in the vocabulary.
        rank: of joining two neighbours: the lowest goes first; None if they aren't joined.
    """
    parts = list(token)
    while len(parts) > 1:
        ranks = [(found, place) for place, pair in enumerate(pairwise(parts)) if (found := rank(pair)) is not None]
        if not ranks:
            return
        place = min(ranks)[1]
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
        yield parts[place]


def _named_by(processor: Any) -> Iterator[str]:
    """The tokens that a post-processor puts around a text."""
    for part in _parts_of(processor):
        yield from part.get("special_tokens", {})
        yield from (part[name][0] for name in ("sep", "cls") if name in part)


def _renumber(processor: Any, ids: Mapping[str, int]) -> None:
    """Give the tokens of a post-processor their new ids; those that are gone were of another source language."""
    for part in _parts_of(processor):
        for entry in part.get("special_tokens", {}).values():
            entry["ids"] = [ids[token] for token in entry["tokens"]]
        for name in ("sep", "cls"):
            if name in part:
                part[name] = [part[name][0], ids[part[name][0]]]


def _parts_of(processor: Any) -> Iterator[dict[str, Any]]:
    if processor is None:
        return
    yield processor
    for part in processor.get("processors", []):
        yield from _parts_of(part)
