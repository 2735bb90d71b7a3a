"""Models of fairseq as folders of Hugging Face: M2M100 came from fairseq, so the weights are the same, name by name.

Where embeddings are normalised (`layernorm_embedding`), which M2M100 can't, the folder is one of mBART, which also came
from fairseq. It has a table of positions, into which the sinusoids are written.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MBartConfig,
    MBartForConditionalGeneration,
)
from transformers.models.m2m_100.modeling_m2m_100 import M2M100SinusoidalPositionalEmbedding

from neuronspec.core.checksums import digest
from neuronspec.core.errors import ModelError, PathError, RecipeError
from neuronspec.core.files import replacing_folder, write_json
from neuronspec.models.fairseq_checkpoint import ACTIVATIONS, Checkpoint, Settings, read_checkpoint
from neuronspec.models.fairseq_vocabulary import (
    Vocabulary,
    dictionary_file,
    make_tokenizer,
    read_pieces,
    read_vocabulary,
)
from neuronspec.models.load import LONGEST_TRANSLATION
from neuronspec.models.text_format import Description
from neuronspec.models.tied import KEY
from neuronspec.models.tokenizer import FORMAT_KEY

logger = logging.getLogger(__name__)

CONVERSION = "conversion.json"
"""The file in a converted folder that says what it was made from."""

_PAD, _UNKNOWN = 1, 3

_POSITIONS = 1024
"""Positions of an mBART at least: sinusoids go on beyond those that fairseq trained with."""

_MARKERS = ("encoder.version", "decoder.version", "encoder.embed_positions._float_tensor",
            "decoder.embed_positions._float_tensor")  # fmt: skip
"""Tensors of fairseq that hold no weights."""

_ENCODER, _DECODER, _OUTPUT = (
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.output_projection.weight",
)
"""The tables with a row for each id."""


def convert_fairseq(
    checkpoint: Path,
    out: Path,
    dictionary: Path | None = None,
    pieces: Path | None = None,
    languages: Sequence[str] = (),
) -> dict[str, Any]:
    """Convert a multilingual Transformer of fairseq into a folder of Hugging Face; what it holds.

    The folder opens with `transformers` (`M2M100ForConditionalGeneration`; `MBartForConditionalGeneration` where
    embeddings are normalised) and as `model.pretrained` of a recipe.

    Args:
        checkpoint: a `.pt` file of the task `translation_multi_simple_epoch`.
        out: the folder to create.
        dictionary: `dict.txt`, or the folder of the binarized data; by default beside the checkpoint.
        pieces: the SentencePiece model; by default the one beside the checkpoint.
        languages: those that have tags, in the order of `--langs`; by default as the checkpoint has them.

    Raises:
        PathError: a file isn't there.
        CorpusError: the dictionary is damaged.
        RecipeError: the languages aren't those of the checkpoint, or aren't known.
        ModelError: the checkpoint is damaged, holds what neither can compute, or its files don't belong together; or
            the folder exists.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelError(f"{out} exists already: remove it, or give another folder with --out")
    given = read_checkpoint(checkpoint)
    settings = given.settings
    if reason := _why_not(settings):
        raise ModelError(f"{checkpoint} can't be converted: {reason}")
    spm = pieces or _beside(checkpoint, "*.model", "the SentencePiece model", "--spm")
    words = dictionary_file(dictionary or checkpoint.parent)
    vocabulary = read_vocabulary(words, settings, _languages(settings, languages))
    tokenizer, lacking = make_tokenizer(vocabulary, read_pieces(spm))
    if framed := _framed(settings):
        tokenizer.init_kwargs[FORMAT_KEY] = framed
    weights = _weights(checkpoint, given, vocabulary, lacking)
    config = _config(settings, len(vocabulary.symbols) + lacking)
    if isinstance(config, MBartConfig):
        weights |= _added_by_mbart(config)
    _check_shapes(checkpoint, config, weights)
    with replacing_folder(out) as folder:
        config.save_pretrained(folder)
        _generation(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        sources = {path.name: digest(path) for path in (checkpoint, words, spm)}
        write_json(folder / CONVERSION, {"from": "fairseq", "sha256": sources, "settings": settings.model_dump()})
    rows = len(vocabulary.symbols)
    return {
        "folder": str(out),
        "parameters": sum(each.numel() for each in weights.values()),
        "ids": rows + lacking,
        "languages": [tag.strip("_") for tag in vocabulary.tags],
        "pieces_without_id": lacking,
    }


def _beside(checkpoint: Path, pattern: str, what: str, option: str) -> Path:
    found = sorted(checkpoint.parent.glob(pattern))
    if len(found) != 1:
        state = f"{len(found)} files are beside" if found else "nothing is beside"
        raise PathError(f"{what} is needed, and {state} {checkpoint} that may be it ({pattern}); name it by {option}")
    return found[0]


def _languages(settings: Settings, given: Sequence[str]) -> Sequence[str]:
    known = settings.languages
    if given and known and tuple(given) != known:
        raise RecipeError(
            f"--langs is {','.join(given)}, and the checkpoint was trained with {','.join(known)}, on whose order the "
            "ids depend; leave --langs out"
        )
    if not given and not known:
        where = f" but in {settings.lang_dict}" if settings.lang_dict else ""
        raise RecipeError(
            f"the checkpoint doesn't say which languages have tags{where}; give them by --langs, in the order of its "
            "training"
        )
    return known or given


def _why_not(settings: Settings) -> str | None:
    """Why a model can't be converted; None if it can."""
    one = settings
    if one.arch.endswith("_with_mask") or (one.task or "").startswith("mask_"):
        return (
            f"its architecture {one.arch} has masks of directions beside the weights. Convert the baseline that it "
            "was trained from, and select and specialize neurons here"
        )
    reasons = {
        f"its architecture is {one.arch}": not one.arch.startswith("transformer") or "_lm" in one.arch,
        f"its task is {one.task}, which has no tags of languages": one.task
        not in (None, "translation_multi_simple_epoch"),
        "its layers are normalised after each sum (no encoder_normalize_before, decoder_normalize_before)": not (
            one.encoder_normalize_before and one.decoder_normalize_before
        ),
        "its positions are learned": one.encoder_learned_pos or one.decoder_learned_pos,
        "it has no positions (no_token_positional_embeddings)": one.no_token_positional_embeddings,
        "the decoder's input and output have two tables of embeddings": not (
            one.share_all_embeddings or one.share_decoder_input_output_embed
        ),
        "its softmax is adaptive": one.adaptive_softmax_cutoff is not None,
        "its decoder has no attention of its own to the source": one.no_cross_attention or one.cross_self_attention,
        "its decoder doesn't end with a norm (no_decoder_final_norm)": one.no_decoder_final_norm,
        f"its activation is {one.activation_fn}, not {', '.join(ACTIVATIONS)}": one.activation_fn not in ACTIVATIONS,
        "encoder and decoder have different widths": len(
            {one.encoder_embed_dim, one.decoder_embed_dim, one.decoder_input_dim, one.decoder_output_dim} - {None}
        )
        > 1,
        "the tags of languages are in the place of <s> and </s>": one.lang_tok_replacing_bos_eos,
        f"its tags are of several kinds ({', '.join(one.langtoks_specs)})": one.langtoks_specs != ("main",),
        "its decoder is given no tag of the target's language (decoder_langtok), and its encoder reads that of "
        f"{'the source' if one.encoder_langtok else 'none'} (encoder_langtok)": not one.decoder_langtok
        and one.encoder_langtok != "tgt",
        "its encoder reads no tag of a language (encoder_langtok)": one.encoder_langtok is None,
    }
    found = next((reason for reason, applies in reasons.items() if applies), None)
    return (
        None
        if found is None
        else f"{found}; only pre-norm Transformers with sinusoidal positions and tags of languages can"
    )


def _framed(settings: Settings) -> Description | None:
    """How a model reads a sentence pair, where it isn't an M2M100 or its tags are elsewhere than in our own."""
    if settings.encoder_langtok == "src":
        return {"kind": "tagged", "pad": _PAD, "end": 2} if settings.layernorm_embedding else None
    return {"kind": "tagged", "pad": _PAD, "end": 2, "reads": "target", "writes": settings.decoder_langtok}


def _weights(path: Path, given: Checkpoint, vocabulary: Vocabulary, lacking: int) -> dict[str, torch.Tensor]:
    """The weights in float32 by the names of M2M100; `shared` is the table of the decoder's input and output."""
    tensors = {name: tensor for name, tensor in given.tensors.items() if name not in _MARKERS}
    tables = {name: tensors.pop(name) for name in (_ENCODER, _DECODER, _OUTPUT) if name in tensors}
    tables.setdefault(_OUTPUT, tables.get(_DECODER))  # type: ignore[arg-type]
    if missing := [name for name in (_ENCODER, _DECODER) if name not in tables]:
        raise ModelError(f"{path} is damaged: it lacks {missing[0]!r}; copy it again from where it is from")
    for name, table in tables.items():
        if table.dim() != 2 or table.shape[0] != len(vocabulary.symbols):
            raise ModelError(
                f"{path}: {name} has {table.shape[0]:,} rows, and the dictionary with fairseq's 4 tokens and "
                f"{len(vocabulary.tags)} tags of languages {len(vocabulary.symbols):,} ids: it is another model's "
                "dictionary (--dict), or the languages are others (--langs)"
            )
    encoder, decoder, output = (tables[name] for name in (_ENCODER, _DECODER, _OUTPUT))
    apart = not given.settings.share_all_embeddings
    if not torch.equal(decoder, output) or not (apart or torch.equal(encoder, decoder)):
        raise ModelError(f"{path} is damaged: tables of embeddings that are one by its options differ")
    named = {"model.shared.weight": decoder} | ({f"model.{_ENCODER}": encoder} if apart else {})
    extended = {
        name: torch.cat([table, table[_UNKNOWN].expand(lacking, -1)]).float().contiguous()
        for name, table in named.items()
    }
    return extended | {f"model.{name}": tensor.float().contiguous().clone() for name, tensor in tensors.items()}


def _added_by_mbart(config: MBartConfig) -> dict[str, torch.Tensor]:
    """What an mBART has beside fairseq's weights: tables of positions, and a bias of the output."""
    rows = config.max_position_embeddings + 2  # a position's row is its number in fairseq, which counts from 2
    sinusoids = M2M100SinusoidalPositionalEmbedding.get_embedding(rows, config.d_model, _PAD)
    tables = {f"model.{part}.embed_positions.weight": sinusoids.clone() for part in ("encoder", "decoder")}
    return tables | {"final_logits_bias": torch.zeros(1, config.vocab_size)}


def _config(settings: Settings, rows: int) -> M2M100Config | MBartConfig:
    one = settings
    positions = max(one.max_source_positions, one.max_target_positions)
    chosen: dict[str, Any] = {} if one.share_all_embeddings else {KEY: "decoder"}
    if one.layernorm_embedding:
        positions = max(positions, _POSITIONS)
        chosen |= {"architectures": ["MBartForConditionalGeneration"], "forced_eos_token_id": None}
    else:
        chosen |= {"architectures": ["M2M100ForConditionalGeneration"]}
    return (MBartConfig if one.layernorm_embedding else M2M100Config)(
        **chosen,
        vocab_size=rows,
        max_position_embeddings=positions,
        d_model=one.encoder_embed_dim,
        encoder_layers=one.encoder_layers,
        encoder_ffn_dim=one.encoder_ffn_embed_dim,
        encoder_attention_heads=one.encoder_attention_heads,
        decoder_layers=one.decoder_layers,
        decoder_ffn_dim=one.decoder_ffn_embed_dim,
        decoder_attention_heads=one.decoder_attention_heads,
        activation_function=ACTIVATIONS[one.activation_fn],
        dropout=one.dropout,
        attention_dropout=one.attention_dropout,
        activation_dropout=one.activation_dropout,
        encoder_layerdrop=one.encoder_layerdrop,
        decoder_layerdrop=one.decoder_layerdrop,
        scale_embedding=not one.no_scale_embedding,
        init_std=one.encoder_embed_dim**-0.5,
        dtype="float32",
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        tie_word_embeddings=True,
    )


def _generation(config: M2M100Config | MBartConfig) -> GenerationConfig:
    ids = {name: getattr(config, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    return GenerationConfig(
        num_beams=5, max_length=LONGEST_TRANSLATION, decoder_start_token_id=config.decoder_start_token_id, **ids
    )


def _check_shapes(path: Path, config: M2M100Config | MBartConfig, weights: Mapping[str, torch.Tensor]) -> None:
    """Check that the weights are those that the options in the checkpoint ask for, before anything is written."""
    if config.d_model % config.encoder_attention_heads or config.d_model % config.decoder_attention_heads:
        raise ModelError(f"{path} is damaged: a width of {config.d_model} can't be divided among its attention heads")
    kind: Any = MBartForConditionalGeneration if isinstance(config, MBartConfig) else M2M100ForConditionalGeneration
    with torch.device("meta"):
        wanted = {name: each.shape for name, each in kind(config).state_dict().items()}
    tied = {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"}
    for name in sorted(wanted.keys() - weights.keys() - tied):
        raise ModelError(f"{path} lacks {name.removeprefix('model.')!r}, which its options ask for: it is damaged")
    for name, tensor in weights.items():
        own = name.removeprefix("model.")
        if name not in wanted:
            raise ModelError(
                f"{path} has a tensor {own!r}, which a plain Transformer hasn't: it is of another architecture than "
                "its options say"
            )
        if tensor.shape != wanted[name]:
            raise ModelError(
                f"{path}: {own} is {list(tensor.shape)}, and its options ask for {list(wanted[name])}: it is damaged"
            )
