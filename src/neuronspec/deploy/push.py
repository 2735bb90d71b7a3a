"""Uploading a model folder, an arm of a run, or an export to the Hugging Face hub with its model card."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from neuronspec.arms.registry import ARMS
from neuronspec.core.checksums import verify
from neuronspec.core.errors import EvaluationError, ModelError, PathError, RecipeError
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import RunFolder
from neuronspec.deploy.export_card import export_card
from neuronspec.deploy.exported import exported_in
from neuronspec.deploy.manifest import MANIFEST, Manifest
from neuronspec.models.changed_weights import CHANGED_FILE, INDEX_FILE, WHOLE_FILE, base_of, write_whole
from neuronspec.models.fit import VOCABULARIES
from neuronspec.models.hub import CARD, CARD_MARK, HUB_NAME, upload
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.specialization.model_card import CardFacts, model_card
from neuronspec.specialization.save import ADAPTERS_FILE, COMPACT_FILE

if TYPE_CHECKING:
    from neuronspec.evaluation.results import DirectionResult

logger = logging.getLogger(__name__)

_WEIGHTS = ("model.safetensors", "model-*.safetensors", "adapter_model.safetensors")
_PUSHED = (
    *_WEIGHTS, "config.json", "generation_config.json", "model.safetensors.index.json", MASKS_FILE, ADAPTERS_FILE,
    COMPACT_FILE, *VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt",
    "chat_template.jinja",
)  # fmt: skip
"""What makes a model: not its checkpoints, logs and pickles."""


def push_folder(path: Path, repo: str, *, arm: str = "specialized", private: bool | None = None) -> dict[str, Any]:
    """Upload an arm of a run, a model folder or an export, with a model card; what was uploaded and where it is.

    A `README.md` in the folder is taken as the card, unless `neuronspec` wrote it; one in the repository stays.

    Args:
        path: run folder, model folder, exported folder, bundle, or a folder of exported ones, which go up side by side.
        repo: `user/model`, made if it isn't there.
        arm: of a run.
        private: whether a repository that is made is private.

    Raises:
        PathError: there is no such folder.
        RecipeError: `repo` can't be a name, or the run has no such arm.
        ModelError: it holds no model, or one that only its run can compute, or the base that its weights are kept
            beside isn't there as it was; or an exported file was changed; or the upload fails.
    """
    if not HUB_NAME.fullmatch(repo):
        raise RecipeError(f"the repository is {repo!r}; it is named user/model")
    if not path.is_dir():
        raise PathError(f"{path} is no folder: give a run folder, a model folder or an exported folder")
    run = RunFolder(path)
    exports = [] if run.exists else exported_in(path)
    folder = run.arm(arm) if run.exists else path
    if run.exists and not folder.is_dir():
        known = ", ".join(sorted(each.name for each in run.arms.iterdir())) if run.arms.is_dir() else ""
        raise RecipeError(f"{path} has no finished arm {arm!r}; it has base{known and ', '}{known}")
    manifests = [Manifest.load(each) for each in exports]
    files = _exported_files(path, exports, manifests) if exports else _files(folder)
    own = folder / CARD
    text = own.read_bytes() if own.is_file() else b""
    if text and CARD_MARK.encode() not in text:
        files[CARD], card = own, None
    elif exports:
        card = export_card(manifests, repo)
    else:
        card = model_card(_masks(folder), _facts(run, folder, repo, arm))
    with TemporaryDirectory() as temporary:
        if base_of(folder) is not None:
            files[WHOLE_FILE] = Path(temporary) / WHOLE_FILE
            write_whole(folder, files[WHOLE_FILE])
        address = upload(repo, files, card, f"Upload {path.resolve().name}", private=private)
        size = sum(each.stat().st_size for each in files.values()) / 1e6
    return {
        "folder": str(folder),
        "repository": repo,
        "url": address,
        "files": sorted(files),
        "summary": f"{folder}: {len(files)} files, {size:.1f} MB, to {address}",
    }


def _exported_files(path: Path, exports: list[Path], manifests: list[Manifest]) -> dict[str, Path]:
    """What exports say belongs to them: of one, in the root of the repository; of several, a folder each."""
    found = {}
    for folder, manifest in zip(exports, manifests, strict=True):
        for name in (*manifest.files, MANIFEST):
            file = folder / name
            found[file.relative_to(path).as_posix()] = file
    return found


def _files(folder: Path) -> dict[str, Path]:
    found = {path.name: path for pattern in _PUSHED for path in sorted(folder.glob(pattern)) if path.is_file()}
    others = [file for name in ARMS for file in ARMS.get(name).files if (folder / file).is_file() and file not in found]
    if others:
        raise ModelError(
            f"{folder} holds {others[0]}, which only the run that trained the arm can compute: push another arm"
        )
    beside_base = base_of(folder) is not None
    has_weights = beside_base or any(map(list, map(folder.glob, _WEIGHTS)))
    if not {"config.json", ADAPTERS_FILE} & set(found) or not has_weights:
        raise ModelError(f"{folder} is not a model folder: it lacks config.json or weights (model.safetensors)")
    verify(folder)
    if beside_base:  # whole weights go up instead
        found = {name: file for name, file in found.items() if name not in (CHANGED_FILE, INDEX_FILE)}
    if not any(path.name in found for name in VOCABULARIES for path in folder.glob(name)):
        logger.warning("%s has no tokenizer: save it there with tokenizer.save_pretrained to translate text", folder)
    return found


def _masks(folder: Path) -> Any:
    from neuronspec.neurons.masks import NeuronMasks

    return NeuronMasks.load(folder / MASKS_FILE) if (folder / MASKS_FILE).is_file() else None


def _facts(run: RunFolder, folder: Path, repo: str, arm: str) -> CardFacts:
    """What a card tells of a model: of a run its base and its scores, too."""
    base = None
    if (folder / ADAPTERS_FILE).is_file():
        content = read_json(folder / ADAPTERS_FILE, dict[str, Any], "save the PeftModel again", error=ModelError)
        base = content.get("base_model_name_or_path")
    config = folder / "config.json"
    content = read_json(config, dict[str, Any], "copy it again", error=ModelError) if config.is_file() else {}
    causal = bool(content) and not content.get("is_encoder_decoder")
    if not run.exists:
        return CardFacts(repo, base, causal=causal)
    from neuronspec.recipe import Recipe

    recipe = Recipe.of_run(run.folder)
    results = _results(run, arm)
    scores = {
        "chrF++": {name: each.chrf for name, each in results.items() if each.chrf is not None},
        "BLEU": {name: each.bleu for name, each in results.items() if each.bleu is not None},
    }
    sentences = sum(each.n for each in results.values())
    return CardFacts(
        repo,
        recipe.model.pretrained,
        causal=causal,
        directions=sorted(results) or list(map(str, recipe.evaluated_directions)),
        scores=scores,
        tested_on=f"the {sentences:,} test sentences of its recipe",
    )


def _results(run: RunFolder, arm: str) -> dict[str, DirectionResult]:
    from neuronspec.evaluation.results import Results

    if not run.results.is_file():
        return {}
    try:
        return dict(Results.load(run.results).arms.get(arm, {}))
    except EvaluationError as error:
        logger.warning("%s", error)
        return {}
