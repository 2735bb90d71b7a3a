"""The tokenizer: SentencePiece pieces in a Hugging Face tokenizer with language tags, in the manner of NLLB.

What is saved is a stock class of transformers, so `AutoTokenizer.from_pretrained(folder)` needs nothing else:
`NllbTokenizer` for BPE, `MBart50Tokenizer` for unigram (the one stock class with a unigram model and language tags).
Ids: <s> 0, <pad> 1, </s> 2, <unk> 3, pieces, then the tags `__en__`, `__de__`, ... A source comes out as
[tag, pieces, </s>]. Special tokens written out in a text (`<s>`, `__de__`) are text like any other
(`split_special_tokens`).

`MBart50Tokenizer` comes with 52 language codes of its own (`en_XX`, ...), which stay unused. One trap: a folder saved
after `src_lang` was set to one of our tags can't be loaded again, because its constructor knows only its own codes.
`keep_loadable` takes the setting out of what is saved; tokenizers made or loaded by us have it. Who loads the folder
with `AutoTokenizer` and saves a copy sets `src_lang` back to `en_XX` before.
"""

from __future__ import annotations

import io
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neuronspec.core.checksums import verify
from neuronspec.core.errors import CorpusError, DirectionError, RecipeError, nearest, told_as
from neuronspec.core.languages import canonical, match_language
from neuronspec.models.config_files import check_json_files
from neuronspec.models.settings import TokenizerSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

_TAG = re.compile(r"__(\w+)__")
_ASCII = string.digits + string.ascii_letters + string.punctuation
# A fixed number, whatever the machine: floating-point sums of the unigram trainer depend on it.
_THREADS = 4
_LONGEST_LINE = 1 << 16
_OWN_CODE = "en_XX"
NO_REGION = "_XX"
"""How the tags of mBART-50 end where a language has no region."""
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
LANGUAGES_KEY = "neuronspec_languages"
"""The key of tokenizer_config.json that says which token is the tag of a language, where a recipe does."""
CLEANING_KEY = "neuronspec_cleaning"
"""The key of tokenizer_config.json that says how a text is cleaned for it, where that isn't plain to see.

`cleaning`: as in `neuronspec.models.text_format.Cleaning`; `punctuation`: whether it is normalised as Moses does.
"""
FORMAT_KEY = "neuronspec_format"
"""The key of tokenizer_config.json that says how a model reads a sentence pair, where it has no tags as ours do."""


def language_tag(code: str) -> str:
    """The tag token of a language: `__de__`."""
    return f"__{code}__"


def tagged_languages(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    """The tokens that are tags of languages, by code: in our tokenizers, M2M100's and NLLB's.

    Args:
        tokenizer: of Hugging Face.
    """
    special = tags_of(tokenizer)
    tagged = {match[1]: token for token in special if (match := _TAG.fullmatch(token))}
    known: dict[str, str] = {}
    for spelling, token in (tagged or {token: token for token in special}).items():
        try:
            known.setdefault(canonical(spelling.removesuffix(NO_REGION)), token)
        except DirectionError:
            if tagged:
                known.setdefault(spelling, token)
    return known


def tag_id(tokenizer: PreTrainedTokenizerBase, code: str) -> int:
    """The id of a language's tag, in our tokenizers and in those of M2M100 (`__de__`) and NLLB (`deu_Latn`).

    It is what `generate(forced_bos_token_id=...)` takes.

    Args:
        tokenizer: of Hugging Face.
        code: of the language, in any spelling.

    Raises:
        DirectionError: the tokenizer has no tag for the language; lists those that it has.
    """
    given = getattr(tokenizer, "init_kwargs", {}).get(LANGUAGES_KEY, {})
    if code in given:
        return _id_of(tokenizer, given[code])
    if language_tag(code) in tags_of(tokenizer):
        return _id_of(tokenizer, language_tag(code))
    known = tagged_languages(tokenizer)
    found = match_language(code, known)
    if found is None:
        raise DirectionError(f"the tokenizer has no tag for language {code!r}; {nearest(code, known) or 'it has none'}")
    return _id_of(tokenizer, known[found])


def tags_of(tokenizer: Any) -> list[str]:
    """The special tokens without a role of their own, such as that of `<pad>`: those that can be tags of languages.

    Args:
        tokenizer: of Hugging Face. M2M100's keeps its tags apart.
    """
    tags = getattr(tokenizer, "lang_code_to_token", None) or {}
    roles = {str(getattr(tokenizer, f"{role}_token", None)) for role in _ROLES}
    return [token for token in (*map(str, tokenizer.all_special_tokens), *tags.values()) if token not in roles]


def _id_of(tokenizer: Any, token: str) -> int:
    return int(tokenizer.convert_tokens_to_ids(token))


def train_tokenizer(
    sentences: Iterable[str], settings: TokenizerSettings, languages: Sequence[str], characters: Iterable[str] = ()
) -> PreTrainedTokenizerBase:
    """Train SentencePiece on cleaned sentences, and make a Hugging Face tokenizer of it.

    Args:
        sentences: training text, streamed; SentencePiece holds what it gets in memory.
        settings: type, vocabulary size, character coverage.
        languages: codes to make tags for; the first is the source language until `src_lang` is set.
        characters: with `character_coverage` 1, all of them get a piece, seen in `sentences` or not. Printable ASCII
            always does, so that placeholders, tags and addresses survive.

    Raises:
        RecipeError: the vocabulary is larger than the text allows, or smaller than its characters need.
        CorpusError: there is no text.
    """
    required = set(_ASCII) | (set(characters) - {" "} if settings.character_coverage == 1 else set())
    if settings.normalization != "identity":
        required = _normalised(required, settings.normalization)
    pieces, charsmap = _train_pieces(sentences, settings, "".join(sorted(required)))
    return make_tokenizer(settings.type, pieces, [language_tag(code) for code in languages], charsmap)


def make_tokenizer(kind: str, pieces: Sequence[tuple[str, float]], tags: list[str], charsmap: bytes = b"") -> Any:
    """Make a Hugging Face tokenizer of SentencePiece's pieces.

    Args:
        kind: `bpe` or `unigram`.
        pieces: with their scores, in the order of their ids, from the four special tokens on.
        tags: of languages.
        charsmap: SentencePiece's normalisation; none if it is empty.
    """
    if kind == "unigram":
        made = make_unigram(pieces, tags, charsmap)
    else:
        made = _make_bpe([piece for piece, _ in pieces], tags, charsmap)
    if charsmap or kind == "unigram":  # its own normalisation comes after our cleaning
        made.init_kwargs[CLEANING_KEY] = {"cleaning": "neuronspec"}
    return made


def _normalised(characters: set[str], rule: str) -> set[str]:
    """The characters that are left of some after SentencePiece's normalisation."""
    from sentencepiece import SentencePieceNormalizer

    normalizer = SentencePieceNormalizer(rule_name=rule)
    return set("".join(normalizer.normalize(one) for one in sorted(characters))) - {" ", "▁"}


def load_tokenizer(folder: Path | str) -> PreTrainedTokenizerBase:
    """Read the tokenizer in a folder.

    Args:
        folder: a local one, with `tokenizer_config.json`.

    Raises:
        CorpusError: there is none, or it can't be read.
        ModelError: its class is another one than that of its vocabulary.
        RunError: it isn't the one that its run made.
    """
    from transformers import AutoTokenizer

    from neuronspec.models.fit import check_class, check_tokenizer_folder

    verify(Path(folder))
    if not (Path(folder) / "tokenizer_config.json").is_file():
        raise CorpusError(f"{folder}: no tokenizer there (tokenizer_config.json is missing)")
    check_tokenizer_folder(Path(folder))
    check_json_files(Path(folder))
    with told_as(CorpusError, f"{folder}: the tokenizer can't be read", "copy its files again from where it is from"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    if any(_TAG.fullmatch(str(token)) for token in tokenizer.all_special_tokens):
        check_class(tokenizer, folder)
    return keep_loadable(tokenizer)


def _train_pieces(
    sentences: Iterable[str], settings: TokenizerSettings, required: str
) -> tuple[list[tuple[str, float]], bytes]:
    """Train a SentencePiece model; its pieces with their scores, in the order of their ids, and its normalisation."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type=settings.type,
            vocab_size=settings.vocabulary,
            character_coverage=settings.character_coverage,
            required_chars=required,
            normalization_rule_name=settings.normalization,
            remove_extra_whitespaces=False,
            max_sentence_length=_LONGEST_LINE,
            num_threads=_THREADS,
            bos_id=0,
            pad_id=1,
            eos_id=2,
            unk_id=3,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise _explain(str(error), settings) from None
    parsed: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    parsed.ParseFromString(model.getvalue())
    return [(piece.piece, piece.score) for piece in parsed.pieces], parsed.normalizer_spec.precompiled_charsmap


def _explain(message: str, settings: TokenizerSettings) -> CorpusError | RecipeError:
    wanted = f"tokenizer.vocabulary is {settings.vocabulary}"
    if largest := re.search(r"value <= (\d+)", message):
        return RecipeError(
            f"{wanted}, but the training text gives at most {largest[1]} pieces: set it to {largest[1]} or less"
        )
    if needed := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return RecipeError(
            f"{wanted}, but single characters and special tokens alone need {needed[1]}: set it (well) above "
            f"{needed[1]}, or lower tokenizer.character_coverage (now {settings.character_coverage:g})"
        )
    if "sentences_.empty" in message:
        return CorpusError("there is no training text to train the tokenizer on")
    return CorpusError(f"SentencePiece can't train the tokenizer: {message}")


def _make_bpe(pieces: list[str], tags: list[str], charsmap: bytes) -> Any:
    from transformers import NllbTokenizer

    return NllbTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=merges_of(pieces),  # type: ignore[arg-type]
        extra_special_tokens=tags,
        src_lang=tags[0],
        mask_token=None,
        split_special_tokens=True,
        _spm_precompiled_charsmap=charsmap or None,  # type: ignore[arg-type]
    )


def merges_of(pieces: Sequence[str]) -> list[tuple[str, str]]:
    """The merges that make the BPE of tokenizers segment as SentencePiece does, best first.

    SentencePiece merges the neighbours whose union comes first in its vocabulary, whatever the two are.

    Args:
        pieces: in the order of their ids.
    """
    ids = {piece: index for index, piece in enumerate(pieces)}
    merges: list[tuple[str, str]] = []
    for piece in pieces:
        halves = ((piece[:cut], piece[cut:]) for cut in range(1, len(piece)))
        known = [(left, right) for left, right in halves if left in ids and right in ids]
        merges += sorted(known, key=lambda pair: (ids[pair[0]], ids[pair[1]]))
    return merges


def make_unigram(pieces: Sequence[tuple[str, float]], tags: Sequence[str], charsmap: bytes = b"") -> Any:
    """Make a tokenizer of SentencePiece's unigram pieces.

    Args:
        pieces: with their log-probabilities; ids are their places.
        tags: language tags, whose ids follow; the first is the source language until `src_lang` is set.
        charsmap: SentencePiece's normalisation; none if it is empty.
    """
    from transformers import MBart50Tokenizer
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    # Special tokens are pieces too: too improbable to be found in a text that spells one out.
    never = 10 * min(score for _, score in pieces) - 10
    vocabulary = [(piece, score if index > 3 else never) for index, (piece, score) in enumerate(pieces)]
    # With one of its own codes among the pieces the class takes the vocabulary as it is.
    vocabulary.append((_OWN_CODE, never))
    tokenizer = MBart50Tokenizer(
        vocab=vocabulary,
        extra_special_tokens=[*tags, *(code for code in FAIRSEQ_LANGUAGE_CODES if code != _OWN_CODE)],
        bos_token="<s>",  # noqa: S106
        mask_token=None,
        split_special_tokens=True,
        _spm_precompiled_charsmap=charsmap or None,  # type: ignore[arg-type]
    )
    return keep_loadable(tokenizer, tags[0])


def keep_loadable(tokenizer: Any, source: str | None = None) -> Any:
    """Leave `src_lang` out of what a unigram tokenizer saves, and set it; other tokenizers stay as they are."""
    if type(tokenizer).__name__ != "MBart50Tokenizer":
        return tokenizer
    ours = [str(token) for token in tokenizer.all_special_tokens if str(token).startswith("__")]
    if ours:
        tokenizer.src_lang = source or ours[0]
        tokenizer.init_kwargs.pop("src_lang", None)
    return tokenizer


def sample_sizes(available: Mapping[str, int], temperature: float, limit: int) -> dict[str, int]:
    """How many sentences of each language to take, in proportion to `available ** (1 / temperature)`.

    A small language may get more than it has: its sentences are repeated.

    Source: Arivazhagan et al. (2019), "Massively Multilingual Neural Machine Translation in the Wild", section 4.2.

    Args:
        available: sentences by language.
        temperature: 1 keeps the proportions; a high one makes languages equal.
        limit: sentences in total, at most; all that are available if they are fewer.
    """
    total = min(limit, sum(available.values()))
    weights = {code: count ** (1 / temperature) for code, count in available.items() if count}
    return {code: max(1, round(total * weight / sum(weights.values()))) for code, weight in weights.items()}


def sample(batches: Iterable[pa.RecordBatch], available: Mapping[str, int], sizes: Mapping[str, int]) -> Iterator[str]:
    """Take `sizes[code]` of the `available[code]` sentences of each language, evenly spaced or evenly repeated.

    No random numbers: the same rows give the same sample.

    Args:
        batches: a column per language, null where a row has no sentence in it.
        available: sentences by language in all batches.
        sizes: how many of them to take, from `sample_sizes`.
    """
    import pyarrow as pa

    seen = dict.fromkeys(sizes, 0)
    for batch in batches:
        for code, size in sizes.items():
            present = np.flatnonzero(batch.column(code).is_valid().to_numpy(zero_copy_only=False))
            places = seen[code] + np.arange(len(present) + 1)
            seen[code] += len(present)
            times = np.diff(places * size // available[code])
            yield from batch.column(code).take(pa.array(np.repeat(present, times))).to_pylist()
