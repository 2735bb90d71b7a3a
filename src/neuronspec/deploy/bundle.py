"""Bundles: one dense CTranslate2 model with the masks of all directions, cut when a direction is loaded.

Beside the dense model a bundle has `neuron_masks.safetensors` and, where unselected neurons give constants,
`output_biases.safetensors`: by `DIRECTION/SITE` the bias of the site's output with those constants in it, computed from
the weights before they were quantized.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from neuronspec.core.direction import Direction
from neuronspec.core.errors import ModelError, told_as
from neuronspec.core.files import scratch_folder
from neuronspec.deploy.ct2_file import cut, read_model_file
from neuronspec.deploy.export import Sample, describe, translator_of_files, verify
from neuronspec.deploy.manifest import DirectionFacts, Manifest, new_folder
from neuronspec.deploy.opening import Opened, own_directions
from neuronspec.models.linear import bias_of
from neuronspec.models.load import LONGEST_TRANSLATION
from neuronspec.models.sites import find_ffn_sites
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.compact import CompactReport, compact, count_parameters
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.specialization.model_state import specialization_of
from neuronspec.translation.conversion import VOCABULARIES, convert
from neuronspec.translation.quantizations import QUANTIZATIONS

BIASES_FILE = "output_biases.safetensors"
_MODEL_FILES = ("config.json", *VOCABULARIES)


def export_bundle(
    opened: Opened, folder: Path, quantization: str = "int8", samples: dict[str, Sample] | None = None
) -> Manifest:
    """Write all directions that a specialized model has masks for as one bundle.

    Args:
        opened: a specialized model whose semantics leave neurons out.
        folder: must not exist, or be empty.
        quantization: a name in `QUANTIZATIONS`.
        samples: by direction, sentences to verify with.

    Raises:
        ModelError: the folder exists, the model can't be converted, or a direction translates otherwise.
    """
    directions, state = own_directions(opened.model), specialization_of(opened.model)
    with new_folder(folder) as temporary, scratch_folder() as exact:
        convert(opened.model, opened.tokenizer, temporary, quantization, LONGEST_TRANSLATION)
        state.masks.with_info(semantics=state.semantics).save(temporary / MASKS_FILE)
        _save_biases(opened, directions, temporary)
        float32 = temporary
        if quantization != "float32" and samples:
            float32 = exact
            convert(opened.model, opened.tokenizer, float32, "float32", LONGEST_TRANSLATION)
            for name in (MASKS_FILE, BIASES_FILE):
                if (temporary / name).is_file():
                    (float32 / name).write_bytes((temporary / name).read_bytes())
        facts = {name: _facts(opened, name, temporary, float32, quantization, samples) for name in directions}
        opened.tokenizer.save_pretrained(temporary)
        dense = count_parameters(opened.model)
        report = CompactReport("", state.semantics, dict.fromkeys((site.name for site in state.sites), 0), dense, dense)
        describe(opened, "bundle", facts, quantization, report).save(temporary)
    return Manifest.load(folder)


def _facts(
    opened: Opened, name: str, folder: Path, float32: Path, quantization: str, samples: dict[str, Sample] | None
) -> DirectionFacts:
    neurons = sum(int(mask.sum()) for mask in specialization_of(opened.model).masks[name].values())
    sample = (samples or {}).get(name)
    if sample is None:
        return DirectionFacts(neurons=neurons)
    direction = Direction.parse(name)
    exact = translator_of_files(cut_files(float32, direction), "float32")
    rounded = None
    if quantization != "float32":
        rounded = translator_of_files(cut_files(folder, direction), QUANTIZATIONS.get(quantization).computed("cpu"))
    return DirectionFacts(neurons=neurons, verification=verify(opened, direction, exact, rounded, sample))


def _save_biases(opened: Opened, directions: list[str], folder: Path) -> None:
    state = specialization_of(opened.model)
    if not any(place.constants for place in state.places):
        return
    biases: dict[str, np.ndarray] = {}
    for name in directions:
        sites = {site.name: site for site in find_ffn_sites(compact(opened.model, name))}
        for site, constant in ((place.site, place.constants) for place in state.places):
            bias = bias_of(sites[site.name].down)
            if constant and bias is not None:
                biases[f"{name}/{site.name}"] = bias.detach().float().cpu().numpy()
    save_file(biases, folder / BIASES_FILE)


def cut_files(folder: Path, direction: Direction, pivot: str | None = None) -> dict[str, bytes]:
    """The files of a direction's CTranslate2 model, cut out of a bundle; a direction without masks is composed.

    Raises:
        DirectionError: the bundle has no masks for the direction, and none to compose them from.
        ModelError: the bundle is damaged.
    """
    derived = NeuronMasks.load(folder / MASKS_FILE).for_direction(direction, pivot)
    with told_as(ModelError, f"the bundle in {folder} can't be read", "copy it again, or export again"):
        biases = load_file(folder / BIASES_FILE) if (folder / BIASES_FILE).is_file() else {}
        model = read_model_file((folder / "model.bin").read_bytes())
        files = {name: (folder / name).read_bytes() for name in _MODEL_FILES if (folder / name).is_file()}
        for site, mask in derived.masks.items():
            home = derived.encoder if site.startswith("encoder") else derived.decoder
            cut(model, site, np.flatnonzero(mask.numpy()), biases.get(f"{home}/{site}"))
    return files | {"model.bin": model.encoded()}


def composed_in(folder: Path, direction: Direction) -> tuple[Any, int]:
    """The directions that a bundle composes a direction from (None if it has its own), and its number of neurons.

    Raises:
        DirectionError: as `cut_files`.
    """
    derived = NeuronMasks.load(folder / MASKS_FILE).for_direction(direction)
    origin = (str(derived.encoder), str(derived.decoder)) if derived.composed else None
    return origin, sum(int(mask.sum()) for mask in derived.masks.values())
