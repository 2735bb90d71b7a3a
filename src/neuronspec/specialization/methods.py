"""What a specialized model does in place of its class: `save_pretrained`, `push_to_hub`, `generate`.

They are attributes of the instance, so the class stays as it is; `Trainer`, pipelines and accelerate call them as ever.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from neuronspec.core.errors import ModelError
from neuronspec.core.files import scratch_folder
from neuronspec.models.hub import CARD, upload
from neuronspec.models.sites import is_peft_model, unwrap, unwrapped
from neuronspec.specialization.model_card import CardFacts, base_of, model_card
from neuronspec.specialization.model_state import attached, specialization_of

MASKS_FILE = "neuron_masks.safetensors"


def save_masks(model: nn.Module, folder: str | Path) -> None:
    """Write the masks of a specialized model, as they act on it, into the folder of its dense checkpoint.

    Raises:
        ModelError: the model isn't specialized.
    """
    state = specialization_of(model)
    state.masks.with_info(semantics=state.semantics).save(Path(folder) / MASKS_FILE)


def bind(model: nn.Module) -> None:
    """Give a specialized model its methods."""
    inner = unwrap(model)
    for name, function in _METHODS.items():
        if hasattr(type(inner), name):
            vars(inner)[name] = partial(function, inner)
    bind_adapters(model)


def bind_adapters(model: nn.Module) -> None:
    """Let a `PeftModel` around a specialized model keep the masks beside its adapters."""
    for each in unwrapped(model):
        if is_peft_model(each):
            vars(each)["save_pretrained"] = partial(_save_adapters, each)


def unbind(model: nn.Module) -> None:
    """Undo `bind`."""
    for name in _METHODS:
        vars(unwrap(model)).pop(name, None)


def _save_pretrained(
    model: Any,
    save_directory: str | Path,
    is_main_process: bool = True,
    state_dict: Mapping[str, Any] | None = None,
    push_to_hub: bool = False,
    *more: Any,
    **options: Any,
) -> None:
    """`PreTrainedModel.save_pretrained`, and the masks beside the weights."""
    folder = Path(save_directory)
    check_savable(model, options)
    if is_main_process:  # the others may have got no weights
        check_own(model, model.state_dict() if state_dict is None else state_dict)
        _save_first(model, folder)
    hub = {name: options.pop(name) for name in _HUB_OPTIONS if name in options} if push_to_hub else {}
    type(model).save_pretrained(model, save_directory, is_main_process, state_dict, False, *more, **options)
    if push_to_hub and is_main_process:
        _push_to_hub(model, hub.pop("repo_id", folder.name), **hub)


_HUB_OPTIONS = ("repo_id", "commit_message", "create_pr", "private", "token", "revision", "commit_description", "tags")


def check_savable(model: Any, options: Mapping[str, Any]) -> None:
    """Check that what would be written are files that the masks can be beside.

    Raises:
        ModelError: they aren't.
    """
    what = _what(model)
    if options.get("distributed_checkpoint"):
        raise ModelError(f"{what} as a distributed checkpoint, which has no place for masks: gather it")
    if getattr(model, "_hf_peft_config_loaded", False):
        if not options.get("save_peft_format", True):
            raise ModelError(f"{what} with save_peft_format=False: nothing opens such adapters with their masks")
    elif any(type(layer).__module__.startswith("peft.") for layer in model.modules()):
        raise ModelError(
            f"{what}: it has layers of PEFT; save the PeftModel (its adapters, and the masks beside them), or "
            "merge first with merge_and_unload()"
        )


def check_own(model: Any, given: Mapping[str, Any]) -> None:
    """Check that a state dict is the model's whole own, which the masks belong to.

    Raises:
        ModelError: it isn't.
    """
    if getattr(model, "_hf_peft_config_loaded", False):
        return  # of adapters
    what, names = _what(model), dict[int, list[str]]()
    shapes = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        shapes[name] = tuple(getattr(parameter, "ds_shape", parameter.shape))
    for tied in names.values():
        found = next((name for name in tied if name in given), None)
        if found is None or tuple(given[found].shape) != shapes[found]:
            reason = "lacks" if found is None else "has another shape of"
            raise ModelError(
                f"{what}: the state dict {reason} {tied[0]!r}, so it isn't this model's own; pass a whole one, as "
                "of accelerator.get_state_dict(model) (DeepSpeed ZeRO-3: set stage3_gather_16bit_weights_on_model_save)"
            )
        if hasattr(given[found], "full_tensor") and getattr(model.config, "distributed_config", None) is None:
            raise ModelError(
                f"{what}: {found!r} is a shard; pass state_dict=get_model_state_dict(model, "
                "options=StateDictOptions(full_state_dict=True)) of torch.distributed.checkpoint.state_dict"
            )


def _what(model: Any) -> str:
    return f"this specialized {type(model).__name__} can't be saved"


def _save_first(model: nn.Module, folder: Path) -> None:
    """Write the masks, before the weights: a killed process leaves no folder that looks like a dense model."""
    folder.mkdir(parents=True, exist_ok=True)
    save_masks(model, folder)
    if _OF_TRAINER.fullmatch(folder.name):  # whose parent it uploads, with the files of a checkpoint that it knows
        save_masks(model, folder.parent)


_OF_TRAINER = re.compile(r"checkpoint-\d+")


def _save_adapters(model: Any, save_directory: str | Path, *args: Any, **options: Any) -> None:
    """`PeftModel.save_pretrained`, and the masks beside the adapters."""
    if attached(model) is not None and options.get("is_main_process", True):
        _save_first(model, Path(save_directory))
    type(model).save_pretrained(model, save_directory, *args, **options)


def _push_to_hub(model: Any, repo_id: str, *, commit_message: str | None = None, **options: Any) -> str:
    """`PreTrainedModel.push_to_hub` with the masks and a model card."""
    saved = {name: options.pop(name) for name in ("max_shard_size",) if name in options}
    tags = options.pop("tags", None) or ()
    tags = [*(getattr(model, "model_tags", None) or ()), *([tags] if isinstance(tags, str) else tags)]
    with scratch_folder() as folder:
        model.save_pretrained(folder, **saved)
        files = {path.name: path for path in sorted(folder.iterdir()) if path.name != CARD}
        causal = not getattr(model.config, "is_encoder_decoder", False)
        masks = specialization_of(model).masks.with_info(semantics=specialization_of(model).semantics)
        card = model_card(masks, CardFacts(repo_id, base_of(model.config), causal, tags=tags))
        return upload(repo_id, files, card, commit_message or "Upload model", **options)


def _generate(model: Any, *args: Any, **options: Any) -> Any:
    """`generate`, which outside of a direction computes the dense model: said once, where masks make another one."""
    state = specialization_of(model)
    if state.active is None and state.rule.compacts and not state.warned:
        state.warned = True
        warnings.warn(
            f"generate on a specialized {type(model).__name__} outside of a direction computes the dense model, not "
            "what its masks make of it; choose a direction: with ns.use_direction(model, "
            f'"{next(iter(state.masks))}"): model.generate(...)',
            stacklevel=2,
        )
    return type(model).generate(model, *args, **options)


_METHODS: dict[str, Callable[..., Any]] = {
    "save_pretrained": _save_pretrained,
    "push_to_hub": _push_to_hub,
    "generate": _generate,
}
