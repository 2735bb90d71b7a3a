"""Checkpoints of fairseq, read without fairseq: their settings and their tensors. Nothing in them is executed."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from neuronspec.core.errors import ModelError, PathError, told_as
from neuronspec.core.files import no_regular_file
from neuronspec.core.wording import first_mistake

_PACKAGES = ("argparse", "enum", "fairseq", "numpy", "omegaconf", "pathlib", "typing")
"""Packages whose objects lie beside the weights: settings, meters, the state of the data."""

_TYPES = frozenset(f"builtins.{name}" for name in ("bool", "bytes", "dict", "float", "int", "list", "object", "str"))
"""What OmegaConf names as the types of settings."""

_REMEDY = "copy it again from where it is from"

_PLAIN = (str, int, float)
"""Types of the values of options."""

ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "swish": "silu"}
"""Activations by their names in fairseq and in transformers."""


class StandIn:
    """An object of argparse, OmegaConf, fairseq or NumPy in a checkpoint: no more than what was stored of it."""

    stored: Any = None
    values: tuple[Any, ...] = ()

    def __new__(cls, *values: Any) -> StandIn:
        """Keep what the object was to be made of."""
        made = super().__new__(cls)
        made.values = values
        return made

    def __init__(self, *values: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.stored = state


class Settings(BaseModel):
    """What fairseq keeps of the options of a training, as far as it says how the model computes and reads."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    task: str | None = None
    arch: str = "transformer"
    encoder_embed_dim: int = Field(512, ge=4)
    encoder_ffn_embed_dim: int = Field(2048, ge=1)
    encoder_layers: int = Field(6, ge=1, le=1000)
    encoder_attention_heads: int = Field(8, ge=1)
    encoder_normalize_before: bool = False
    encoder_learned_pos: bool = False
    decoder_embed_dim: int = Field(512, ge=4)
    decoder_ffn_embed_dim: int = Field(2048, ge=1)
    decoder_layers: int = Field(6, ge=1, le=1000)
    decoder_attention_heads: int = Field(8, ge=1)
    decoder_normalize_before: bool = False
    decoder_learned_pos: bool = False
    decoder_input_dim: int | None = None
    decoder_output_dim: int | None = None
    activation_fn: str = "relu"
    dropout: float = Field(0.1, ge=0, le=1)
    attention_dropout: float = Field(0.0, ge=0, le=1)
    activation_dropout: float = Field(0.0, ge=0, le=1)
    encoder_layerdrop: float = Field(0.0, ge=0, le=1)
    decoder_layerdrop: float = Field(0.0, ge=0, le=1)
    share_all_embeddings: bool = False
    share_decoder_input_output_embed: bool = False
    no_scale_embedding: bool = False
    no_token_positional_embeddings: bool = False
    no_cross_attention: bool = False
    cross_self_attention: bool = False
    no_decoder_final_norm: bool = False
    layernorm_embedding: bool = False
    adaptive_softmax_cutoff: Any = None
    max_source_positions: int = Field(1024, ge=1, le=2**20)
    max_target_positions: int = Field(1024, ge=1, le=2**20)
    langs: tuple[str, ...] = ()
    lang_pairs: tuple[str, ...] = ()
    lang_dict: str | None = None
    lang_tok_style: Literal["multilingual", "mbart"] = "multilingual"
    lang_tok_replacing_bos_eos: bool = False
    encoder_langtok: Literal["src", "tgt"] | None = None
    decoder_langtok: bool = False
    langtoks_specs: tuple[str, ...] = ("main",)

    @field_validator("langs", "lang_pairs", "langtoks_specs", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(one.strip() for one in value.split(",")) if isinstance(value, str) else value

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that have tags, in fairseq's order; none where a file that isn't in the checkpoint has them."""
        if self.langs or self.lang_dict:
            return self.langs
        return tuple(sorted({one for pair in self.lang_pairs for one in pair.split("-")}))


class Checkpoint(NamedTuple):
    """A checkpoint of fairseq.

    Args:
        settings: of the model and of its task.
        tensors: the weights by fairseq's names; those of a zip file are mapped into memory.
    """

    settings: Settings
    tensors: dict[str, torch.Tensor]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of fairseq (0.9 to 0.12), without fairseq.

    Args:
        path: of a `.pt` file that PyTorch 1.6 or a later one wrote.

    Raises:
        PathError: there is no such file.
        ModelError: it is no checkpoint of fairseq, is damaged, or names something that isn't data.
    """
    if reason := no_regular_file(path):
        raise PathError(f"{path} can't be read: {reason}; give a checkpoint of fairseq, such as checkpoint_best.pt")
    _check_archive(path)
    with told_as(ModelError, f"{path} can't be read", _REMEDY):
        stand_ins = _stand_ins(path, torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
        with torch.serialization.safe_globals(list(stand_ins)):
            content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    content = content if isinstance(content, dict) else {}
    tensors = content.get("model")
    if not isinstance(tensors, dict) or not tensors or not ({"args", "cfg"} & content.keys()):
        keys = ", ".join(repr(key)[:40] for key in [*content][:3])
        raise ModelError(
            f"{path} is no checkpoint of fairseq, which has the weights under 'model' and its options under 'args' or "
            f"'cfg'; this one has {keys or 'neither'}"
        )
    _check_tensors(path, tensors)
    with told_as(ModelError, f"{path}: the options of fairseq in it can't be read", _REMEDY):
        return Checkpoint(_settings(path, content), tensors)


def _check_archive(path: Path) -> None:
    """Check the file as a zip archive: whole, and stored as it is, so that it takes no more memory than its size."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            head = file.read(2)
        if head == b"\x80\x02":
            raise ModelError(
                f"{path} has the form that PyTorch had before 1.6; where fairseq is installed, load it with torch.load "
                "and write it again with torch.save"
            )
        reason = "it is cut off" if head == b"PK" else "it isn't a file of PyTorch"
        raise ModelError(f"{path} can't be read: {reason}; {_REMEDY}")
    with told_as(ModelError, f"{path} can't be read", _REMEDY), zipfile.ZipFile(path) as archive:
        if any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist()):
            raise ModelError(f"{path} can't be read: its parts are compressed, which PyTorch never does; {_REMEDY}")


def _stand_ins(path: Path, names: list[str]) -> set[tuple[Any, str]]:
    """By name, an inert class for each thing that isn't a tensor.

    Raises:
        ModelError: a name isn't one of those that fairseq's checkpoints have.
    """
    unknown = sorted(name for name in names if name not in _TYPES and name.partition(".")[0] not in _PACKAGES)
    if unknown:
        raise ModelError(
            f"{path} names {unknown[0]}, which is neither a tensor nor an option of fairseq: reading it could run "
            "code, so it wasn't read. If you trust it, keep what is needed where fairseq is installed: "
            "torch.save({'args': c['args'], 'cfg': c['cfg'], 'model': c['model']}, 'small.pt')"
        )
    return {(type(name.rpartition(".")[2], (StandIn,), {}), name) for name in names}


def _check_tensors(path: Path, tensors: Mapping[Any, Any]) -> None:
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise ModelError(f"{path} is damaged: {name!r} under 'model' is no tensor; {_REMEDY}")
        if not tensor.is_floating_point() or tensor.is_sparse or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ModelError(f"{path} is damaged: the tensor {name!r} holds no numbers of its own; {_REMEDY}")


def _settings(path: Path, content: Mapping[str, Any]) -> Settings:
    """The options: a flat namespace `args` until 0.9, then `cfg` with sections, each of which may be a namespace."""
    found = dict(_fields(content.get("args")))
    cfg = _fields(content.get("cfg"))
    for section in ("task", "model"):
        fields = dict(_fields(cfg.get(section)))
        for part in ("encoder", "decoder"):
            nested = fields.pop(part, None)
            fields |= {f"{part}_{name}": value for name, value in _fields(nested).items()}
        if isinstance(name := fields.pop("_name", None), str):
            fields.setdefault({"task": "task", "model": "arch"}[section], name)
        found |= fields
    if "relu_dropout" in found and not found.get("activation_dropout"):  # its name until 0.8
        found["activation_dropout"] = found["relu_dropout"]
    specs = _fields(found.get("langtoks")).get("main")
    if isinstance(specs, list | tuple) and len(specs) == 2:  # how fairseq itself keeps the two options
        found |= {"encoder_langtok": specs[0], "decoder_langtok": specs[1] is not None}
    known = {name: found[name] for name in Settings.model_fields if found.get(name) is not None}
    for name, value in known.items():
        if not all(isinstance(one, _PLAIN) for one in (value if isinstance(value, list | tuple) else [value])):
            raise ModelError(f"{path}: the option {name} of fairseq in it is neither a plain value nor a list of them")
    try:
        return Settings.model_validate(known)
    except ValidationError as error:
        raise ModelError(f"{path}: the options of fairseq in it can't be used: {first_mistake(error)}") from None


def _fields(holder: Any) -> dict[str, Any]:
    """The options in a namespace, a node of OmegaConf, or a dictionary; none in anything else."""
    if isinstance(holder, StandIn):
        stored = holder.stored
        stored = stored[0] if isinstance(stored, tuple) and stored else stored
        content = stored.get("_content", stored) if isinstance(stored, dict) else None
        return _fields(content) if isinstance(content, dict) else {}
    return {str(name): _value(each) for name, each in holder.items()} if isinstance(holder, dict) else {}


def _value(node: Any) -> Any:
    """A plain value; sections stay in one piece."""
    items = node.stored.get("_content") if isinstance(node, StandIn) and isinstance(node.stored, dict) else None
    return [_leaf(each) for each in items] if isinstance(items, list) else _leaf(node)


def _leaf(node: Any) -> Any:
    """What a node of OmegaConf or a member of an enumeration stands for; anything else as it is."""
    if isinstance(node, StandIn) and isinstance(node.stored, dict) and "_val" in node.stored:
        node = node.stored["_val"]
    if isinstance(node, StandIn) and node.stored is None and len(node.values) == 1:
        return node.values[0]
    return node
