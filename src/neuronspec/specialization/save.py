"""Folders of specialized and of compact models. JSON and safetensors only.

A *specialized* folder is a plain Hugging Face checkpoint, which loads without neuronspec as the dense shared
model, plus `neuron_masks.safetensors` (see `neuronspec.neurons.packing`). Adapters that a `PeftModel` saves have that
file beside them, too.

A *compact* folder holds `config.json` and `generation_config.json` of the dense model, `model.safetensors` with
the compact weights, and `neuronspec_compact.json` with the widths; `from_pretrained` can't load it, for a
configuration has no place for another width in each layer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import transformers
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, load_model, save_model
from transformers import AutoConfig, PreTrainedModel

from neuronspec.core.errors import MaskError, MissingExtraError, ModelError, told_as
from neuronspec.core.files import filling_folder
from neuronspec.core.json_files import read_json
from neuronspec.core.registry import OneOf
from neuronspec.models import load as build
from neuronspec.models.hub import local_folder
from neuronspec.models.linear import bias_of
from neuronspec.models.sites import find_ffn_sites
from neuronspec.models.tied import separate_encoder
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.compact import (
    CompactReport,
    compact_report,
    count_parameters,
    resize,
    set_compact_report,
)
from neuronspec.specialization.methods import MASKS_FILE, bind_adapters
from neuronspec.specialization.model_state import Components, specialization_of
from neuronspec.specialization.registry import SEMANTICS

ADAPTERS_FILE = "adapter_config.json"
COMPACT_FILE = "neuronspec_compact.json"
WEIGHTS_FILE = "model.safetensors"


class CompactSite(BaseModel):
    """A site: its number of neurons, and whether `down` has a bias."""

    model_config = ConfigDict(extra="forbid")
    width: int
    down_bias: bool


class CompactFile(BaseModel):
    """`neuronspec_compact.json`: what a compact model is made of, and its sites by name."""

    model_config = ConfigDict(extra="forbid")
    format: Literal["neuronspec.compact"] = "neuronspec.compact"
    version: Literal[1] = 1
    direction: str
    semantics: Annotated[str, OneOf(SEMANTICS)]
    model_class: str
    dtype: str
    parameters: int
    dense_parameters: int
    sites: dict[str, CompactSite]


def save_specialized(model: PreTrainedModel, folder: str | Path) -> None:
    """Write a specialized model: the dense checkpoint, and its masks beside it.

    It is what the model's `save_pretrained` writes, but files of the same names are replaced only when all are written;
    others in the folder stay.

    Args:
        model: a specialized model.
        folder: made if it is missing.

    Raises:
        ModelError: the model isn't specialized.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> ns.save_specialized(model, folder / "model")
        >>> again = ns.load(folder / "model")
        >>> with ns.use_direction(again, "en-de"):
        ...     logits = again(**batches[0].to(again.device).inputs).logits
    """
    specialization_of(model)
    with filling_folder(Path(folder)) as temporary:
        model.save_pretrained(temporary)


def load(
    folder: str | Path, device: torch.device | str | None = None, *, revision: str | None = None
) -> PreTrainedModel:
    """The specialized model in a folder or on the Hugging Face hub, in eval mode, with its masks.

    `save_specialized`, the model's own `save_pretrained` and Hugging Face's `Trainer` write such folders. Nothing is
    downloaded: a model of the hub is read from its cache.

    Args:
        folder: a local folder, or a name on the hub, `user/model`. Where it holds adapters that a `PeftModel` saved,
            the model comes with them.
        device: where the model goes; the first GPU if there is one, else the CPU.
        revision: branch, tag or commit on the hub.

    Raises:
        PathError: the cache has no such model; says how to download it.
        ModelError: there is no model in the folder, or it is damaged or a compact one.
        MaskError: there are no masks, or they are of another model.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> model.save_pretrained(folder / "model")
        >>> again = ns.load(folder / "model")
        >>> with ns.use_direction(again, "en-de"):
        ...     logits = again(**batches[0].to(again.device).inputs).logits
    """
    folder = local_folder(folder, revision)
    if (folder / COMPACT_FILE).is_file():
        raise ModelError(f"{folder} holds a compact model: read it with load_compact")
    has_adapters = (folder / ADAPTERS_FILE).is_file()
    if ((folder / "config.json").is_file() or has_adapters) and not (folder / MASKS_FILE).is_file():
        kind = "adapters" if has_adapters else "a dense model"
        raise MaskError(f"{folder} has no {MASKS_FILE}: it is {kind}; load it with transformers, then specialize it")
    model = build.load_model(_base_of(folder) if has_adapters else folder, device, dtype="auto")
    masks = NeuronMasks.load(folder / MASKS_FILE)
    sides = {name.split(".")[0] for name in masks.sites}
    components: Components = "both"
    if bool(getattr(model.config, "is_encoder_decoder", False)) and len(sides) == 1:
        components = "encoder" if sides == {"encoder"} else "decoder"
    specialize(model, masks, semantics=masks.info.semantics or "weight", components=components)
    return _with_adapters(model, folder) if has_adapters else model


def _base_of(folder: Path) -> Path:
    """The folder of the model that adapters were trained on."""
    content = read_json(folder / ADAPTERS_FILE, dict[str, Any], "save the PeftModel again", error=ModelError)
    name = content.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{folder / ADAPTERS_FILE} names no model in base_model_name_or_path: write its folder there")
    return local_folder(name, None if Path(name).is_dir() else content.get("revision"))


def _with_adapters(model: PreTrainedModel, folder: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError:
        raise MissingExtraError("peft", "baselines", f"{folder} holds adapters, which") from None
    with told_as(ModelError, f"the adapters in {folder} can't be loaded"):
        adapted = PeftModel.from_pretrained(model, str(folder), local_files_only=True)
    bind_adapters(adapted)
    return adapted.eval()


def save_compact(model: PreTrainedModel, folder: str | Path) -> None:
    """Write a compact model; its weights alone, so a specialized folder stays the source of truth.

    Args:
        model: a model that `compact` made.
        folder: made if it is missing.

    Raises:
        ModelError: the model isn't a compact one.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> ns.save_compact(ns.compact(model, "en-de"), folder / "small")
        >>> small = ns.load_compact(folder / "small")
    """
    report = compact_report(model)
    sites = {site.name: site for site in find_ffn_sites(model)}
    content = CompactFile(
        direction=report.direction,
        semantics=report.semantics,
        model_class=type(model).__name__,
        dtype=str(model.dtype).removeprefix("torch."),
        parameters=report.parameters,
        dense_parameters=report.dense_parameters,
        sites={
            name: CompactSite(width=width, down_bias=bias_of(sites[name].down) is not None)
            for name, width in report.widths.items()
        },
    )
    with filling_folder(Path(folder)) as temporary:
        model.config.save_pretrained(temporary)
        if model.can_generate():
            model.generation_config.save_pretrained(temporary)
        save_model(model, str(temporary / WEIGHTS_FILE), metadata={"format": "pt"})
        text = json.dumps(content.model_dump(), indent=1) + "\n"
        (temporary / COMPACT_FILE).write_text(text, encoding="utf-8")


def load_compact(folder: str | Path, device: torch.device | str | None = None) -> PreTrainedModel:
    """The compact model in a folder that `save_compact` wrote, in eval mode.

    Args:
        folder: a local folder.
        device: where the model goes; the first GPU if there is one, else the CPU.

    Raises:
        ModelError: there is no compact model in the folder, it is damaged, or of a class that `transformers`
            doesn't have.

    Examples:
        >>> model = ns.specialize(model, masks)
        >>> ns.save_compact(ns.compact(model, "en-de"), folder / "small")
        >>> small = ns.load_compact(folder / "small")
    """
    folder = Path(folder)
    content = read_compact_file(folder)
    model_class = getattr(transformers, content.model_class, None)
    if not (isinstance(model_class, type) and issubclass(model_class, PreTrainedModel)):
        raise ModelError(
            f"{folder}: transformers {transformers.__version__} has no model class {content.model_class!r}"
        )
    with told_as(ModelError, f"the compact model in {folder} can't be loaded"):
        build.check_json_files(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        build.check_config(config, folder, compare=False)
        build.check_generation(folder, getattr(config.get_text_config(), "vocab_size", None))
        model = model_class._from_config(config, dtype=getattr(torch, content.dtype))
        _resize_sites(model, content)
        tensors = load_file(folder / WEIGHTS_FILE)
        separate_encoder(model)
        _untie(model, tensors)
        _match_dtypes(model, tensors)
        load_model(model, folder / WEIGHTS_FILE)
        if (folder / "generation_config.json").is_file():
            model.generation_config = transformers.GenerationConfig.from_pretrained(folder)
    widths = {name: site.width for name, site in content.sites.items()}
    report = CompactReport(
        content.direction, content.semantics, widths, count_parameters(model), content.dense_parameters
    )
    set_compact_report(model, report)
    return build.placed(model.eval(), device)


def read_compact_file(folder: Path) -> CompactFile:
    """Read `neuronspec_compact.json` of a folder.

    Raises:
        ModelError: it is missing or damaged.
    """
    path = folder / COMPACT_FILE
    if not path.is_file():
        raise ModelError(f"{folder} holds no compact model: {COMPACT_FILE} is missing; save_compact writes one")
    return read_json(path, CompactFile, "copy the folder again, or make it again", error=ModelError)


def _resize_sites(model: PreTrainedModel, content: CompactFile) -> None:
    sites = {site.name: site for site in find_ffn_sites(model)}
    for name, wanted in content.sites.items():
        resize(sites[name], wanted.width, wanted.down_bias)


def _untie(model: PreTrainedModel, tensors: dict[str, Any]) -> None:
    """Some checkpoints (mT5, MADLAD) have an output matrix of their own, though their configuration ties it."""
    output: Any = model.get_output_embeddings()
    if output is None:
        return
    names = [name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter is output.weight]
    if sum(name in tensors for name in names) > 1:
        output.weight = torch.nn.Parameter(output.weight.detach().clone())


def _match_dtypes(model: PreTrainedModel, tensors: dict[str, Any]) -> None:
    """Some models keep some parameters in another dtype than the rest."""
    for name, parameter in model.named_parameters():
        if name in tensors and tensors[name].dtype != parameter.dtype:
            parameter.data = parameter.data.to(tensors[name].dtype)
