"""Changing the vocabulary of a pretrained tokenizer: tags for new languages, new pieces, fewer pieces.

Each change writes a tokenizer and says by an `IdMap` which rows of the model's embeddings the new ids start from;
`neuronspec.models.resize` changes the model accordingly.
"""

from __future__ import annotations

import heapq
import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from neuronspec.core.errors import DirectionError, Mistakes, ModelError
from neuronspec.core.json_files import read_json
from neuronspec.core.languages import base_language, get_language, iso_639_3, match_language, same_language
from neuronspec.models.id_map import IdMap
from neuronspec.models.m2m100_files import M2M100Files
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import (
    FORMAT_KEY,
    LANGUAGES_KEY,
    language_tag,
    load_tokenizer,
    tag_id,
    tagged_languages,
    tags_of,
)
from neuronspec.models.vocabulary_files import FastFiles, NewPiece, VocabularyFiles

_OURS = re.compile(r"__\w+__")
_NLLB = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}(_[A-Z]{2})?")
_MBART = re.compile(r"[a-z]{2,3}_[A-Z]{2}")
_ALPHABET = string.digits + string.ascii_letters + string.punctuation
"""Characters that a trimmed vocabulary keeps whether or not the corpus has them, so that placeholders survive."""

_IDS = ("pad", "end", "start")
"""Ids in the description of a format."""

_FEWEST = 2
"""A new piece must occur as often as this in the text that it is learnt from."""


def files_of(tokenizer: Any) -> VocabularyFiles:
    """The vocabulary of a tokenizer.

    Raises:
        ModelError: it is of a kind that can't be changed; says why.
    """
    if type(tokenizer).__name__ == "M2M100Tokenizer":
        return M2M100Files(tokenizer)
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(
            f"the vocabulary of a {type(tokenizer).__name__} can't be changed: it has no tokenizer.json; leave "
            "new_languages, trim_vocabulary and extend_vocabulary out"
        )
    return FastFiles(tokenizer)


def new_tags(tokenizer: Any, new: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """The tags of new languages: by code the token, in the style of the tokenizer, and the id that it starts from.

    Args:
        tokenizer: of the checkpoint.
        new: by the code of each new language that of the related one.

    Raises:
        Mistakes: a language has a tag already, the related one has none, or the model has no tags.
    """
    if new and _is_prompted(tokenizer):
        raise Mistakes(
            "model.new_languages makes tags for models like NLLB-200, M2M-100 and mBART-50, and this one is told in "
            "another way what to write; leave new_languages out: model.languages says how it calls a language"
        )
    known, found, problems = tagged_languages(tokenizer), {}, []
    for code, related in new.items():
        other = match_language(code, known)
        if other is not None and (same_language(other, code) or code == base_language(code)):
            problems.append(f"{code} has a tag already, {known[other]!r}; leave it out of new_languages")
            continue
        try:
            start = tag_id(tokenizer, related)
        except DirectionError as error:
            problems.append(f"{code}: {related} can't lend its tag: {error}")
            continue
        found[code] = _tag_like(str(tokenizer.convert_ids_to_tokens(start)), code), start
    if problems:
        raise Mistakes(*(f"model.new_languages: {problem}" for problem in problems))
    return found


def _is_prompted(tokenizer: Any) -> bool:
    """Whether a model is told in another way than by tags of its tokenizer which language to write."""
    described = tokenizer.init_kwargs.get(FORMAT_KEY)
    return described is not None and described["kind"] != "tagged"


def _tag_like(tag: str, code: str) -> str:
    language, region = get_language(code), code.rpartition("_")[2]
    if _NLLB.fullmatch(tag):
        name = f"{iso_639_3(code)}_{language.script}"
        return f"{name}_{region}" if region.isupper() and "_" in code else name
    if _MBART.fullmatch(tag):
        return code if _MBART.fullmatch(code) else f"{code}_XX"
    return language_tag(code)


def add_languages(
    tokenizer: Any, new: Mapping[str, str], languages: Iterable[str], rows: int, folder: Path
) -> tuple[Any, IdMap]:
    """Give new languages tags, each of which starts from that of a related language.

    The tags of all languages are kept with the tokenizer by code: with `de_AT` beside `de_DE`, `de` could be either.

    Args:
        tokenizer: of the checkpoint.
        new: as of `new_tags`.
        languages: that are used.
        rows: of the checkpoint's embeddings.
        folder: where the tokenizer is written; there is none yet.

    Raises:
        Mistakes: as of `new_tags`.
        ModelError: the vocabulary can't be changed.
    """
    tags = new_tags(tokenizer, new)
    table = {code: tokenizer.convert_ids_to_tokens(tag_id(tokenizer, code)) for code in languages if code not in new}
    tokenizer.init_kwargs[LANGUAGES_KEY] = table | {code: token for code, (token, _) in tags.items()}
    files, whole = files_of(tokenizer), range(rows)
    changed, made = _written(files, folder, whole, tags=dict(tags.values()))
    return changed, IdMap(rows, [*made, *whole[len(made) :]])


def extend(tokenizer: Any, texts: Iterable[str], number: int, rows: int, folder: Path) -> tuple[Any, IdMap]:
    """Give a tokenizer new pieces for what a text has most of.

    As in byte-pair encoding (Sennrich et al., 2016), the two neighbours inside of words that occur most often become a
    piece, again and again; it begins with the pieces that the tokenizer has. Its merges come after all others, its
    score (unigram) is the logarithm of its share of all pieces. It starts from the mean of the pieces that it was.

    Args:
        tokenizer: whose pieces are joined.
        texts: that the pieces are for.
        number: of new pieces.
        rows: of the embeddings of its model.
        folder: where the tokenizer is written; there is none yet.

    Raises:
        Mistakes: the text has not so many pairs.
        ModelError: the vocabulary can't be changed.
    """
    files = files_of(tokenizer)
    words: Counter[tuple[int, ...]] = Counter()
    for text in texts:
        words.update(files.words(text))
    pieces = learn_pieces(files, words, number)
    if len(pieces) < number:
        remedy = f"set it to {len(pieces)} or less" if pieces else "leave it out"
        raise Mistakes(
            f"model.extend_vocabulary is {number}, and the training text has only {len(pieces)} pairs of pieces that "
            f"occur twice and are no piece yet: {remedy}"
        )
    changed, made = _written(files, folder, range(rows), pieces=pieces)
    return changed, IdMap(rows, made)


def learn_pieces(files: VocabularyFiles, words: Mapping[tuple[int, ...], int], number: int) -> list[NewPiece]:
    """The pieces that byte-pair encoding makes of the pieces of words.

    Args:
        files: of the tokenizer that cut the words.
        words: the ids of their pieces, with how often each occurs.
        number: of new pieces, at most.
    """
    parts: dict[str, tuple[int, ...]] = {
        files.token(one): (one,) for ids in words for one in ids if files.is_piece(one)
    }
    total = sum(len(ids) * count for ids, count in words.items())
    cut = [[files.token(one) for one in ids] for ids in words]
    counts, pairs = list(words.values()), Counter[tuple[str, str]]()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for place, pieces in enumerate(cut):
        for pair in pairwise(pieces):
            pairs[pair] += counts[place]
            where[pair].add(place)
    waiting = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(waiting)
    found: list[NewPiece] = []
    while waiting and len(found) < number:
        count, pair = heapq.heappop(waiting)
        if -count != pairs[pair]:
            heapq.heappush(waiting, (-pairs[pair], pair)) if pairs[pair] else None
            continue
        if -count < _FEWEST:
            break
        left, right = pair
        if left not in parts or right not in parts or left + right in parts or files.has(left + right):
            continue
        parts[left + right] = parts[left] + parts[right]
        found.append(NewPiece(left, right, math.log(-count / total), parts[left + right]))
        touched = set()
        for place in where.pop(pair):
            before, after = cut[place], _joined(cut[place], pair)
            for sign, pieces in ((-1, before), (1, after)):
                for each in pairwise(pieces):
                    pairs[each] += sign * counts[place]
                    touched.add(each)
                    where[each].add(place)
            cut[place] = after
        for each in touched - {pair}:
            heapq.heappush(waiting, (-pairs[each], each)) if pairs[each] else None
    return found


def _joined(pieces: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """Pieces with each occurrence of a pair as one, from the left."""
    found: list[str] = []
    rest = iter(range(len(pieces)))
    for place in rest:
        if tuple(pieces[place : place + 2]) == pair:
            found.append(pair[0] + pair[1])
            next(rest)
        else:
            found.append(pieces[place])
    return found


def trim(
    tokenizer: Any, used: Collection[int], characters: Iterable[str], languages: Iterable[str], model: Path,
    rows: int, folder: Path,
) -> tuple[Any, IdMap]:  # fmt: skip
    """Leave only the pieces that some text needs, so that it is cut as before.

    What stays: the pieces of the text and those that they are joined from, its characters and those of printable
    ASCII, bytes, special tokens, the tags of the languages that are used, and ids that the model's configuration names.

    Args:
        tokenizer: whose pieces are left out.
        used: the ids of all pieces of the text.
        characters: of the text.
        languages: that are used.
        model: the folder of the checkpoint.
        rows: of its embeddings.
        folder: where the tokenizer is written; there is none yet.

    Raises:
        ModelError: the vocabulary can't be changed.
    """
    described = tokenizer.init_kwargs.get(FORMAT_KEY)
    prompted = _is_prompted(tokenizer)
    tags = [] if prompted else [tag_id(tokenizer, code) for code in languages]
    unused = set() if prompted else _unused_tags(tokenizer, tags)
    if getattr(tokenizer, "src_lang", None) in {tokenizer.convert_ids_to_tokens(one) for one in unused}:
        tokenizer.src_lang = tokenizer.convert_ids_to_tokens(tags[0])
    files = files_of(tokenizer)
    alphabet = sorted({*characters, *_ALPHABET})
    single = tokenizer(alphabet, add_special_tokens=False)["input_ids"]
    kept = {*used, *files.fixed, *tags, *(one for ids in single for one in ids), *_named_ids(model, rows)}
    if described:
        kept |= {*TextFormat.of(tokenizer).frame.ends, *(described[name] for name in _IDS if name in described)}
    kept = files.closed(kept - unused | set(tags))
    changed, made = _written(files, folder, kept)
    return changed, IdMap(rows, made)


def _unused_tags(tokenizer: Any, used: Collection[int]) -> set[int]:
    """Tags of languages that may go. Those of M2M-100 and mBART-50 are a part of their classes."""
    if type(tokenizer).__name__ == "M2M100Tokenizer":
        return set()
    tags = [token for token in tags_of(tokenizer) if _OURS.fullmatch(token) or _NLLB.fullmatch(token)]
    return {int(tokenizer.convert_tokens_to_ids(token)) for token in tags} - set(used)


def _named_ids(model: Path, rows: int) -> set[int]:
    """The ids that the configuration of a model names, but for the tag that `generate` would begin with."""
    found = set()
    for path in (model / "config.json", model / "generation_config.json"):
        content = read_json(path, dict[str, Any], "copy the folder again", error=ModelError) if path.exists() else {}
        for name, value in content.items():
            if name.endswith("_token_id") and name != "forced_bos_token_id":
                found |= {one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int)}
    return {one for one in found if 0 <= one < rows}


def _written(
    files: VocabularyFiles,
    folder: Path,
    kept: Collection[int],
    pieces: Sequence[NewPiece] = (),
    tags: Mapping[str, int] | None = None,
) -> tuple[Any, list[int | tuple[int, ...]]]:
    """Write a changed tokenizer and read it again; what each of its ids starts from."""
    tags = tags or {}
    order = files.write(folder, kept, pieces, list(tags))
    changed = load_tokenizer(folder)
    starts: list[int | tuple[int, ...]] = []
    for number, one in enumerate(order):
        text = files.token(one) if isinstance(one, int) else one.text if isinstance(one, NewPiece) else one
        if changed.convert_ids_to_tokens(number) != text:
            raise ModelError(
                f"the vocabulary of a {type(changed).__name__} can't be changed: as saved, its id {number} is "
                f"{changed.convert_ids_to_tokens(number)!r}, not {text!r}; leave new_languages, trim_vocabulary and "
                "extend_vocabulary out"
            )
        starts.append(one if isinstance(one, int) else one.parts if isinstance(one, NewPiece) else (tags[one],))
    return changed, starts
