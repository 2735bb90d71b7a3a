"""The vocabulary of a model of fairseq: `dict.txt`, the SentencePiece model and the tags of languages, as a tokenizer.

SentencePiece cuts a text, and `dict.txt` gives the pieces ids. The tokenizer does both, in plain files of Hugging Face:
it normalises, joins the pieces by SentencePiece's order or scores, and has fairseq's ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from neuronspec.core.errors import CorpusError, ModelError, PathError, RecipeError, told_as
from neuronspec.core.files import no_regular_file
from neuronspec.models.fairseq_checkpoint import Settings
from neuronspec.models.tokenizer import language_tag, merges_of

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""Tokens that every dictionary of fairseq begins with; they aren't in `dict.txt`."""

_STYLES = {"multilingual": "__{}__", "mbart": "[{}]"}
"""How `--lang-tok-style` spells the tag of a language."""

_LARGEST = 2**28
_NORMAL, _UNKNOWN, _CONTROL, _UNIGRAM, _BPE = 1, 2, 3, 1, 2
"""Types of pieces and of models in the files of SentencePiece."""


class Vocabulary(NamedTuple):
    """What the ids of a model of fairseq stand for.

    Args:
        symbols: by id; tags of languages are spelled as ours, whatever their style in fairseq was.
        tags: those of languages, in their order.
    """

    symbols: list[str]
    tags: list[str]


def read_vocabulary(path: Path, settings: Settings, languages: Sequence[str]) -> Vocabulary:
    """The ids as fairseq's task gives them: special tokens, the lines of `dict.txt`, then tags that it lacks.

    Args:
        path: of `dict.txt`, or the folder of the binarized data, whose `dict.*.txt` must be equal.
        settings: of the checkpoint.
        languages: in the order of `--langs`.

    Raises:
        PathError: there is no such file.
        CorpusError: a line is damaged, or the dictionaries of the languages differ.
        RecipeError: two languages would have the same tag.
    """
    symbols = [*SPECIAL, *_read_dictionary(dictionary_file(path))]
    ids = {symbol: number for number, symbol in enumerate(symbols)}
    style, tags = _STYLES[settings.lang_tok_style], []
    for language in languages:
        given, tag = style.format(language), language_tag(language.replace("-", "_"))
        if tag in tags or (tag != given and tag in ids):
            raise RecipeError(f"--langs: {language} is named twice, or {tag} is in the dictionary; give each one once")
        if given in ids:
            symbols[ids[given]] = tag
        else:
            symbols.append(tag)
        tags.append(tag)
    if settings.lang_tok_style == "mbart" and "<mask>" not in ids:
        symbols.append("<mask>")
    return Vocabulary(symbols, tags)


def dictionary_file(path: Path) -> Path:
    """The `dict.txt` that a path means: itself, or the one in a folder, where those of all languages must be equal.

    Raises:
        PathError: the folder has none.
        CorpusError: those in it differ.
    """
    if not path.is_dir():
        return path
    found = sorted(path.glob("dict*.txt"))
    if not found:
        raise PathError(f"{path} holds no dict.txt; name the dictionary that the model was trained with by --dict")
    for other in found[1:]:
        if _read_dictionary(other) != _read_dictionary(found[0]):
            raise CorpusError(
                f"{found[0]} and {other} differ, and the model has one vocabulary for all languages; name the right "
                "one by --dict"
            )
    return found[0]


def _read_dictionary(path: Path) -> list[str]:
    """The pieces in a `dict.txt`, a line each: the piece, a space, how often it occurred."""
    if reason := no_regular_file(path):
        raise PathError(
            f"{path} can't be read: {reason}; name the dictionary that the model was trained with by --dict"
        )
    if path.stat().st_size > _LARGEST:
        raise CorpusError(f"{path} is no dictionary of fairseq: it is larger than {_LARGEST // 2**20} MiB")
    pieces: dict[str, int] = dict.fromkeys(SPECIAL, 0)
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for number, line in enumerate(lines, start=1):
            piece, _, count = line.rstrip().rpartition(" ")
            if not piece or not count.isascii() or not count.isdigit():
                raise CorpusError(
                    f"{path}:{number}: {line[:40]!r} is no line of a dictionary, a piece and how often it occurred; "
                    "copy the file again"
                )
            if piece in pieces:
                first = f"line {pieces[piece]}" if pieces[piece] else "fairseq's own tokens"
                raise CorpusError(f"{path}:{number}: {piece!r} is there twice, in {first} too; copy the file again")
            pieces[piece] = number
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: byte {error.start + 1} isn't UTF-8; copy the file again") from None
    return list(pieces)[len(SPECIAL) :]


def read_pieces(path: Path) -> Any:
    """A model of SentencePiece: BPE or unigram, without symbols that its user defined.

    Raises:
        PathError: there is no such file.
        ModelError: it can't be read, or it cuts text in a way that tokenizers can't.
    """
    from sentencepiece import sentencepiece_model_pb2

    if reason := no_regular_file(path):
        raise PathError(f"{path} can't be read: {reason}; name the SentencePiece model by --spm")
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    with told_as(ModelError, f"{path} is no model of SentencePiece", "name the right one by --spm"):
        model.ParseFromString(path.read_bytes())
    trained, normal = model.trainer_spec, [each for each in model.pieces if each.type == _NORMAL]
    if not normal:
        raise ModelError(f"{path} is no model of SentencePiece: it holds no pieces; name the right one by --spm")
    other = [each.piece for each in model.pieces if each.type not in (_NORMAL, _UNKNOWN, _CONTROL)]
    reason = (
        f"its type isn't unigram or BPE ({trained.model_type})"
        if trained.model_type not in (_UNIGRAM, _BPE)
        else f"it has pieces of its user's or of bytes, such as {other[0]!r}"
        if other
        else "its pieces go beyond words"
        if any("▁" in each.piece[1:] for each in normal) or trained.treat_whitespace_as_suffix
        else None
    )
    if reason:
        raise ModelError(f"{path} can't be converted: {reason}; only BPE and unigram models of words' pieces can")
    return model


def make_tokenizer(vocabulary: Vocabulary, model: Any) -> tuple[Any, int]:
    """The tokenizer, and how many pieces of SentencePiece have no id in `dict.txt`.

    fairseq reads those as `<unk>`. They have ids after all others, since longer pieces are joined from them.

    Args:
        vocabulary: from `read_vocabulary`.
        model: from `read_pieces`.

    Raises:
        ModelError: most of the dictionary isn't of this SentencePiece model.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    scores = {each.piece: each.score for each in model.pieces if each.type == _NORMAL}
    named = {*SPECIAL, *vocabulary.tags, "<mask>"}
    own = [symbol for symbol in vocabulary.symbols if symbol not in named and not symbol.startswith("madeupword")]
    foreign = [symbol for symbol in own if symbol not in scores]
    if 2 * len(foreign) > len(own):
        raise ModelError(
            f"{len(foreign):,} of the {len(own):,} pieces in the dictionary, such as {foreign[0]!r}, aren't in the "
            "SentencePiece model: the two belong to different models; name the right ones by --dict and --spm"
        )
    given = set(vocabulary.symbols)
    lacking = [piece for piece in scores if piece not in given]
    symbols = [*vocabulary.symbols, *lacking]
    if model.trainer_spec.model_type == _BPE:
        ids = {symbol: number for number, symbol in enumerate(symbols)}
        tokenizer = Tokenizer(models.BPE(ids, merges_of(list(scores)), unk_token=SPECIAL[3], fuse_unk=True))
    else:
        # What isn't of SentencePiece is a piece here, too: too improbable to be found in a text that spells it out.
        never = 100 * min(scores.values()) - 100
        pairs = [(symbol, scores.get(symbol, never)) for symbol in symbols]
        tokenizer = Tokenizer(models.Unigram(pairs, unk_id=3, byte_fallback=False))
    spec = model.normalizer_spec
    charsmap = [normalizers.Precompiled(spec.precompiled_charsmap)] if spec.precompiled_charsmap else []
    spaces = [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")] if spec.remove_extra_whitespaces else []
    tokenizer.normalizer = normalizers.Sequence([*charsmap, *spaces])
    prepended = "always" if spec.add_dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=prepended, split=True)
    tokenizer.decoder = decoders.Metaspace("▁", prepend_scheme=prepended, split=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {SPECIAL[2]}", pair=f"$A $B {SPECIAL[2]}", special_tokens=[(SPECIAL[2], 2)]
    )
    bos, pad, eos, unk = SPECIAL
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=bos, pad_token=pad, eos_token=eos, unk_token=unk,
        extra_special_tokens=[AddedToken(tag, special=True, normalized=False) for tag in vocabulary.tags],
        split_special_tokens=True,
    )  # fmt: skip
    return made, len(lacking)
