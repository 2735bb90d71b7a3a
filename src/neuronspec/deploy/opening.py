"""Opening what a user names as a model: a run folder, a specialized, a dense or a compact model folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from neuronspec.arms.registry import ARMS
from neuronspec.core.direction import Direction, languages_of, nearest_directions
from neuronspec.core.errors import CorpusError, DirectionError, EvaluationError, MaskError, ModelError, PathError
from neuronspec.core.languages import unknown_language
from neuronspec.core.run_folder import RunFolder
from neuronspec.deploy.manifest import MANIFEST, is_folder_of_ctranslate2, without_manifest
from neuronspec.models.fit import check_fit
from neuronspec.models.hub import local_folder
from neuronspec.models.sites import find_ffn_sites
from neuronspec.models.tokenizer import load_tokenizer
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.save import COMPACT_FILE, load, load_compact

if TYPE_CHECKING:
    from neuronspec.corpus.store import TokenStore
    from neuronspec.neurons.masks import NeuronMasks

logger = logging.getLogger(__name__)

ARM = "specialized"
"""The arm of a run that is exported."""

WANTED = "give a run folder, a model folder or, to translate and to serve, an exported folder"


@dataclass(frozen=True, slots=True)
class Opened:
    """A model to export or to translate with.

    Args:
        path: what was named.
        model: specialized, dense or compact, in eval mode.
        tokenizer: its tokenizer.
        store: the texts of the run, if a run was named.
    """

    path: Path
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    store: TokenStore | None = None

    @property
    def kind(self) -> str:
        """What messages call it: `specialized`, `compact` or `dense`."""
        if attached(self.model) is not None:
            return "specialized"
        return "compact" if (self.path / COMPACT_FILE).is_file() else "dense"


def open_model(path: Path, device: str | None = None) -> Opened:
    """Open a run (its specialized arm), a model folder, or a model that the cache of the Hugging Face hub has.

    Raises:
        PathError: there is no such folder or model.
        ModelError: it holds no model, or a damaged one.
        CorpusError: it has no tokenizer.
    """
    path = local_folder(path)
    if RunFolder(path).exists:
        return _open_run(path, device)
    if not path.is_dir():
        raise PathError(f"{path} is no folder: {WANTED}")
    _check_not_exported(path)
    if not (path / "config.json").is_file() and not any(path.glob("*.safetensors")):
        raise ModelError(f"{path} is not a model folder: it holds no config.json and no weights; {WANTED}")
    if (path / COMPACT_FILE).is_file():
        model = load_compact(path, device)
    elif (path / MASKS_FILE).is_file():
        model = load(path, device)
    elif others := _beside_weights(path):
        raise ModelError(
            f"{path} holds {others[0]}, which only the run that trained the arm can compute (neuronspec evaluate RUN): "
            "without it the model would translate as something else"
        )
    else:
        from neuronspec.models.load import load_model

        model = load_model(path, device)
    from neuronspec.models.text_format import described

    return _fitting(Opened(path, model, described(_tokenizer(path), model.config)))


def open_specialized(path: Path, device: str | None = None) -> Opened:
    """As `open_model`, of a model with masks.

    Raises:
        NeuronspecError: as `open_model`; or the model isn't specialized.
    """
    opened = open_model(path, device)
    if attached(opened.model) is None:
        raise ModelError(
            f"{path} is a {opened.kind} model: only a specialized model ({MASKS_FILE} beside its weights) can be cut; "
            "translate and serve take it as it is"
        )
    return opened


def own_directions(model: PreTrainedModel) -> list[str]:
    """The directions that the model has masks for."""
    state = attached(model)
    return sorted(state.masks) if state is not None else []


def composable(masks: NeuronMasks) -> list[str]:
    """The directions without masks of their own that are composed, zero-shot, without being told the pivot."""
    own = list(masks.directions)
    pairs = {(into.source, out_of.target) for into in own for out_of in own if into.target == out_of.source}
    found = []
    for source, target in sorted(pairs):
        if source == target or Direction(source, target) in masks:
            continue
        with suppress(DirectionError, MaskError):
            masks.for_direction(Direction(source, target))
            found.append(f"{source}-{target}")
    return found


def neurons_of(model: PreTrainedModel, direction: Direction) -> tuple[int, int] | None:
    """Feed-forward neurons that compute a direction, and those of the whole model; None where it has no masks."""
    state = attached(model)
    if state is None:
        return None
    widths = {site.name: site.width for site in find_ffn_sites(model)}
    whole = sum(widths.values())
    if not state.rule.compacts:
        return whole, whole
    try:
        masks = state.masks.for_direction(direction).masks
    except DirectionError:
        return None
    return whole - sum(widths[site.name] - int(masks[site.name].sum()) for site in state.sites), whole


def stored_scores(path: Path) -> dict[str, float]:
    """chrF++ by direction of what is opened in a run, as its results say; nothing without results."""
    run = RunFolder(path)
    if not run.exists or not run.results.is_file():
        return {}
    from neuronspec.evaluation.results import Results

    try:
        scores = Results.load(run.results).arms.get(ARM, {})
    except EvaluationError as error:
        logger.warning("%s", error)
        return {}
    return {direction: each.chrf for direction, each in scores.items() if each.chrf is not None}


def check_directions(model: PreTrainedModel, directions: list[str], pivot: str | None = None) -> None:
    """Check that a specialized model can serve the directions, its own or composed.

    Raises:
        DirectionError: it can't; lists those that it has.
    """
    from neuronspec.specialization.scope import serve

    for name in directions:
        serve(model, Direction.parse(name), pivot)


def unknown_direction(name: str, known: list[str], damaged: Sequence[str] = ()) -> DirectionError:
    """The error for a direction that isn't there; it may be in one of the folders that are damaged.

    A language that neither the table nor the model knows is told, and no direction that merely looks alike.
    """
    direction = Direction.parse(name)
    spelled = languages_of(map(Direction.parse, known))
    strange = [code for code in (direction.source, direction.target) if code not in spelled]
    reasons = list(filter(None, map(unknown_language, strange)))
    listed = f"valid: {', '.join(known)}" if reasons and known else nearest_directions(direction, known)
    return DirectionError("; ".join(filter(None, [f"no model for direction {name}", *reasons, listed, *damaged])))


def _check_not_exported(path: Path) -> None:
    """An exported folder has a `config.json`, too, but no weights that PyTorch reads."""
    inside = [] if (path / "config.json").is_file() else sorted(path.iterdir())
    for folder in (path, *inside):
        if (folder / MANIFEST).is_file():
            raise ModelError(f"{folder} is an exported model: give the run or model folder that it was made from")
        if is_folder_of_ctranslate2(folder):
            raise without_manifest(folder)


def _open_run(path: Path, device: str | None) -> Opened:
    from neuronspec.corpus.store import TokenStore

    arm = RunFolder(path).arm(ARM)
    if not (arm / MASKS_FILE).is_file():
        raise _not_trained(path)
    store = TokenStore.open(RunFolder(path).data)
    return _fitting(Opened(path, load(arm, device), store.tokenizer, store))


def _fitting(opened: Opened) -> Opened:
    """The same, checked: the tokenizer can be the model's."""
    check_fit(opened.model, opened.tokenizer, opened.path)
    return opened


def _beside_weights(path: Path) -> list[str]:
    """Files of an arm without which its weights would translate as something else."""
    return [file for name in ARMS for file in ARMS.get(name).files if (path / file).is_file()]


def _not_trained(path: Path) -> ModelError:
    """The error for a run without the specialized arm: more training brings it, or its recipe doesn't ask for it."""
    from neuronspec.recipe import Recipe

    arms = Recipe.of_run(path).arm_names
    if ARM in arms:
        return ModelError(f"{path} has no finished arm {ARM!r} yet: continue with neuronspec specialize {path}")
    folders = map(RunFolder(path).arm, arms)
    there = [folder for folder in folders if (folder / "config.json").is_file() and not _beside_weights(folder)]
    hint = f", or name the folder of another arm, such as {there[0]}" if there else ""
    return ModelError(
        f"{path} has no arm {ARM!r}, only {', '.join(arms)}: add it to its recipe's arms and run the recipe again{hint}"
    )


def _tokenizer(path: Path) -> PreTrainedTokenizerBase:
    try:
        return load_tokenizer(path)
    except CorpusError as error:
        raise CorpusError(f"{error}; save the model's tokenizer into its folder") from None
