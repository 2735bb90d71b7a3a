"""Building Hugging Face M2M100 models from presets, and opening models from folders and the hub."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from neuronspec.core.checksums import verify
from neuronspec.core.errors import ModelError, RecipeError, told_as
from neuronspec.models.compatibility import why_not_computed
from neuronspec.models.config_files import check_config, check_json_files, stored_names
from neuronspec.models.fast_attention import use_fast_attention
from neuronspec.models.fit import check_fit, check_generation, check_tokenizer_folder
from neuronspec.models.hub import MAYBE_ON_HUB
from neuronspec.models.id_map import IdMap
from neuronspec.models.mixtures import why_not_mixture
from neuronspec.models.presets import PRESETS
from neuronspec.models.pretrained import check_checkpoint
from neuronspec.models.resize import resize
from neuronspec.models.settings import ModelSettings
from neuronspec.models.sites import find_ffn_sites
from neuronspec.models.start import start_as_fairseq
from neuronspec.models.tied import KEY, no_warning_of_own_table, separate_encoder

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=PreTrainedModel)

Dtype: TypeAlias = torch.dtype | Literal["auto"]
DeviceMap: TypeAlias = str | Mapping[str, int | str]

_OF_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty")
"""What `generate` does by itself after the checkpoints of many language models, and a translation isn't made with."""

LONGEST_TRANSLATION = 256
"""Maximum length of what `generate` gives, in tokens, unless the caller sets another."""


def build_model(
    settings: ModelSettings, tokenizer: PreTrainedTokenizerBase, seed: int
) -> M2M100ForConditionalGeneration:
    """Build a new model: the preset's shape, the recipe's fields over it, the tokenizer's vocabulary and ids.

    All embeddings are one tensor, unless `share_embeddings` leaves the encoder's out. Weights are drawn from
    N(0, init_std) with `init_std` d_model^-0.5 where the recipe gives none, the scale of Xavier's initialisation of a
    square matrix and of fairseq's embeddings; or as `init` says. They depend on `seed` alone; the global random state
    stays as it was.

    Args:
        settings: preset and fields.
        tokenizer: with padding, start and end tokens.
        seed: of the weights.

    Returns:
        The model in training mode, on `default_device()`.

    Raises:
        ModelError: the tokenizer lacks an id that the model needs.
    """
    fields = PRESETS.get(settings.preset) | settings.overrides
    fields.setdefault("init_std", fields["d_model"] ** -0.5)
    ids: dict[str, Any] = {
        name: _special_id(tokenizer, name) for name in ("pad_token_id", "eos_token_id", "bos_token_id")
    }
    shared: dict[str, Any] = {} if settings.share_embeddings == "all" else {KEY: settings.share_embeddings}
    config = M2M100Config(
        **fields,
        **ids,
        **shared,
        vocab_size=len(tokenizer),
        decoder_start_token_id=ids["eos_token_id"],
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = M2M100ForConditionalGeneration(config)
        separate_encoder(model)
        if settings.init == "fairseq":
            start_as_fairseq(model)
    model.generation_config = GenerationConfig(
        num_beams=5, max_length=LONGEST_TRANSLATION, decoder_start_token_id=ids["eos_token_id"], **ids
    )
    return placed(model)


def _special_id(tokenizer: PreTrainedTokenizerBase, name: str) -> int:
    value = getattr(tokenizer, name, None)
    if not isinstance(value, int):
        raise ModelError(f"the tokenizer has no {name} (seen: {value!r}); a model needs padding, start and end tokens")
    return value


def load_model(
    name: str | Path,
    device: torch.device | str | None = None,
    *,
    dtype: Dtype = torch.float32,
    device_map: DeviceMap | None = None,
) -> PreTrainedModel:
    """A model with its head, encoder-decoder or decoder-only, in eval mode, with the fastest attention.

    No code that comes with a model is executed.

    Args:
        name: a local folder; as a `str` that is no folder, a name on the Hugging Face hub.
        device: where it goes; `default_device()` without it.
        dtype: of its weights; `auto` for that in which they were saved.
        device_map: spreads it over several devices, with accelerate: `auto`, or a device by name of a module.

    Raises:
        ModelError: there is no model, its files are damaged or don't fit each other, it is of another kind, or it
            can't be spread so.
        RunError: its files aren't those that its run made.

    Examples:
        >>> model = load_model(Path("RUN/base"))  # doctest: +SKIP
    """
    if Path(name).exists():
        verify(Path(name))
    with _reading(name) as options, no_warning_of_own_table(config := _config_of(name, options)):
        spread = {} if device_map is None else {"device_map": device_map}
        model, report = _class_for(config).from_pretrained(
            name, dtype=dtype, output_loading_info=True, **options, **spread
        )
        separate_encoder(model)
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"the weights in {name} lack {len(missing)} tensors that its config.json asks for, "
            f"such as {missing[0]!r}; the folder is damaged or its files belong to different models"
        )
    if device_map is None:
        made = placed(model.eval(), device)
    else:
        made = model.eval()
        use_fast_attention(made)
    logger.debug(
        "%s: %s, %s parameters, %s, on %s",
        name,
        type(made).__name__,
        f"{made.num_parameters():,}",
        made.dtype,
        made.device,
    )
    return made


def outline_model(name: str | Path, dtype: Dtype = "auto") -> PreTrainedModel:
    """The model of a folder or of the hub without its weights, on the device `meta`: its layers, their names and sizes.

    Args:
        name: see `load_model`.
        dtype: of the weights; `auto` for that which its config.json names, float32 without.

    Raises:
        ModelError: there is no model, its config.json can't be read, or it is of another kind.
    """
    with _reading(name) as options:
        config = _config_of(name, options)
        kind = (getattr(config, "dtype", None) or torch.float32) if dtype == "auto" else dtype
        with torch.device("meta"):
            model = _class_for(config).from_config(config, dtype=kind)
            separate_encoder(model)
    head, table = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and head.weight is table.weight:
        stored = stored_names(Path(name))
        names = [f"{path}.weight" for path, module in model.named_modules() if module in (head, table)]
        if stored.issuperset(names):  # as of mT5 and MADLAD, whatever the configuration says
            head.weight = torch.nn.Parameter(torch.empty_like(head.weight))
    return model


def _config_of(name: str | Path, options: dict[str, Any]) -> Any:
    config = AutoConfig.from_pretrained(name, **options)
    if reason := why_not_mixture(config.to_dict()):
        raise ModelError(f"{name}: {reason}")
    if reason := why_not_computed(config):
        raise ModelError(f"{name}: {reason}")
    check_config(config, Path(name))
    check_generation(Path(name), getattr(config.get_text_config(), "vocab_size", None))
    return config


def _class_for(config: Any) -> Any:
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def load_with_tokenizer(
    name: str | Path, device: torch.device | str | None = None, *, dtype: Dtype = torch.float32
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model as `load_model` gives it, and its tokenizer.

    Args:
        name: see `load_model`.
        device: see `load_model`.
        dtype: see `load_model`.

    Raises:
        ModelError: as for `load_model`; or there is no tokenizer, or it isn't the model's.
        CorpusError: the tokenizer isn't whole.
    """
    model = load_model(name, device, dtype=dtype)
    return model, tokenizer_of(model, name)


def tokenizer_of(model: PreTrainedModel, name: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer in a model's folder or under its name.

    Args:
        model: with or without weights.
        name: see `load_model`.

    Raises:
        ModelError: there is no tokenizer, or it isn't the model's.
        CorpusError: it isn't whole.
    """
    if (Path(name) / "tokenizer_config.json").is_file():
        check_tokenizer_folder(Path(name))
    with _reading(name) as options:
        tokenizer = AutoTokenizer.from_pretrained(name, **options)
    check_fit(model, tokenizer, name)
    return tokenizer


def load_base(
    settings: ModelSettings, tokenizer: PreTrainedTokenizerBase, change: IdMap | None = None
) -> PreTrainedModel:
    """The checkpoint that a recipe starts from, in `model.dtype`.

    Args:
        settings: with `pretrained`.
        tokenizer: of the run.
        change: what became of the checkpoint's vocabulary, if it was changed.

    Raises:
        RecipeError: it isn't there, or a model of another kind.
        ModelError: it is damaged, or its FFN sites aren't known.
    """
    folder = check_checkpoint(settings)
    model = load_model(folder, dtype=getattr(torch, settings.dtype))
    if change is not None:
        resize(model, change)
    check_fit(model, tokenizer, folder)
    find_ffn_sites(model)
    model.generation_config.forced_bos_token_id = None  # the tag of a direction's target is given by ourselves
    for name in _OF_SAMPLING:
        setattr(model.generation_config, name, getattr(GenerationConfig(), name))
    return model


@contextmanager
def _reading(name: str | Path) -> Iterator[dict[str, Any]]:
    """What `from_pretrained` needs to know; whatever it raises becomes a `ModelError` that names the model."""
    is_local = isinstance(name, Path) or Path(name).exists()
    if is_local and not (Path(name) / "config.json").is_file():
        state = "holds no config.json" if Path(name).is_dir() else "does not exist"
        raise ModelError(f"{name} is not a model folder: it {state}")
    remedy = ""
    if is_local:
        check_json_files(Path(name))
        what = f"the model in {name} can't be loaded"
    elif not MAYBE_ON_HUB.fullmatch(str(name)):
        raise ModelError(
            f"there is no folder {name} here, and models on the Hugging Face hub have names like user/model"
        )
    else:
        _tell_of_hub(str(name))
        what = f"there is no folder {name} here, and as a hub's name the model {name} can't be loaded"
        remedy = "give the path of a folder that is here, or get a model of the hub with 'hf download'"
    with told_as(ModelError, what, remedy), without_progress_bars():
        yield {"local_files_only": is_local, "trust_remote_code": False}


@cache
def _tell_of_hub(name: str) -> None:
    """Say once, and not for outline, weights and tokenizer each, that the network is asked."""
    logger.info("there is no folder %s here: looking for the model %s on the Hugging Face hub", name, name)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep `transformers` from drawing progress bars of its own while it reads and writes models."""
    were_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            transformers_logging.enable_progress_bar()


def default_device() -> torch.device:
    """Where models run: the first CUDA device if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def checked_device(device: torch.device | str | None = None) -> torch.device:
    """A device that is there; `default_device()` without one.

    Raises:
        RecipeError: it is a GPU, and there is none or not so many; or it isn't the name of a device.
    """
    try:
        chosen = torch.device(device or default_device())
    except RuntimeError:
        raise RecipeError(
            f"the device is {device!r}; valid: cpu, cuda, and of several GPUs cuda:0, cuda:1, ..."
        ) from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise RecipeError(f"the device is {chosen}, and PyTorch finds no CUDA GPU here; leave --device out, or use cpu")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise RecipeError(f"the device is {chosen}, and the last GPU here is cuda:{torch.cuda.device_count() - 1}")
    return chosen


def placed(model: Model, device: torch.device | str | None = None) -> Model:
    """The model on `device` (`default_device()` without it), with the attention that is fastest there.

    Raises:
        RecipeError: as of `checked_device`.
    """
    cast(Any, model).to(checked_device(device))
    use_fast_attention(model)
    return model
