"""Reading exported folders: one direction each, a bundle or a dense model; loaded when asked for, within a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, ModelError, told_as
from neuronspec.core.json_files import read_json
from neuronspec.deploy.bundle import composed_in, cut_files
from neuronspec.deploy.export import translator_of_files
from neuronspec.deploy.manifest import MANIFEST, REMEDY, DirectionFacts, Manifest, is_folder_of_ctranslate2
from neuronspec.deploy.opening import composable, unknown_direction
from neuronspec.models.tokenizer import load_tokenizer
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.translation.conversion import VOCABULARIES
from neuronspec.translation.ctranslate2_engine import CTranslate2Engine, check_computes, load_translator
from neuronspec.translation.engine import check_beam
from neuronspec.translation.quantizations import QUANTIZATIONS
from neuronspec.translation.settings import EvaluationSettings


def exported_in(path: Path) -> list[Path]:
    """The exported folders that a path names: itself, or those right in it, also those that lost their manifest."""
    if (path / MANIFEST).is_file():
        return [path]
    if not path.is_dir():
        return []
    folders = sorted(folder for folder in path.iterdir() if folder.name[0] != ".")
    if not any((folder / MANIFEST).is_file() for folder in folders):
        return []
    return [folder for folder in folders if (folder / MANIFEST).is_file() or is_folder_of_ctranslate2(folder)]


@dataclass(slots=True)
class _Loaded:
    engine: CTranslate2Engine
    bytes: int


class ExportedModels:
    """Engines of exported folders by direction.

    Args:
        folders: as `exported_in` gives them; each is checked against its `neuronspec.json`. One of several that is
            damaged isn't served.
        settings: of the search.
        device, threads, precision: as of `Translator`.
        memory: megabytes of models to keep loaded; at least one is.

    Attributes:
        directions: those that are served.
        damaged: what is wrong with the others, by direction.

    Raises:
        ModelError: no folder is whole, or two folders serve one direction.
        RecipeError: the beam is larger than a vocabulary, or the GPU doesn't compute in that precision.
    """

    def __init__(
        self,
        folders: list[Path],
        settings: EvaluationSettings,
        device: str = "cpu",
        threads: int | None = None,
        memory: float | None = None,
        precision: str | None = None,
    ) -> None:
        self._settings, self._device, self._threads, self._precision = settings, device, threads, precision
        self._budget = None if memory is None else int(memory * 1e6)
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._homes: dict[str, tuple[Path, Manifest]] = {}
        self.damaged: dict[str, str] = {}
        for folder in folders:
            try:
                manifest = Manifest.load(folder)
            except ModelError as error:
                self.damaged |= dict.fromkeys(_directions_of(folder), str(error))
                continue
            for name in manifest.directions:
                if name in self._homes:
                    raise ModelError(f"{folder} and {self._homes[name][0]} both serve {name}: remove one of them")
                self._homes[name] = folder, manifest
        if not self._homes:
            raise ModelError(next(iter(self.damaged.values())))
        self.damaged = {name: problem for name, problem in self.damaged.items() if name not in self._homes}
        self.directions = sorted(self._homes)
        check_beam(settings.beam, min(manifest.vocabulary for _, manifest in self._homes.values()))
        if precision is not None and device != "cpu":
            for computed in {self._computed(manifest) for _, manifest in self._homes.values()}:
                check_computes(device, computed)

    @property
    def loaded(self) -> list[str]:
        """What is in memory, least recently used first: directions, and the folders of dense models."""
        return list(self._loaded)

    def composable(self) -> list[str]:
        """The directions without masks of their own that a bundle composes."""
        bundles = [folder for folder, manifest in self._homes.values() if manifest.kind == "bundle"]
        return composable(NeuronMasks.load(bundles[0] / MASKS_FILE)) if bundles else []

    def engine(self, direction: Direction) -> CTranslate2Engine:
        """The engine of a direction, loaded if it isn't.

        Raises:
            DirectionError: no folder serves it; lists those that are served.
            ModelError: the folder that would is damaged.
        """
        name = str(direction)
        with self._lock:
            if name not in self._homes and name in self.damaged:
                raise ModelError(self.damaged[name])
            if name not in self._homes and not self._compose(direction):
                raise unknown_direction(name, self.directions, list(dict.fromkeys(self.damaged.values())))
            folder, manifest = self._homes[name]
            key = str(folder) if manifest.kind == "dense" else name  # one model for all its directions
            if key not in self._loaded:
                size = manifest.files["model.bin"].bytes
                self._make_room(size)
                self._loaded[key] = _Loaded(self._load(folder, manifest, direction), size)
            self._loaded.move_to_end(key)
            return self._loaded[key].engine

    def neurons(self, direction: Direction) -> tuple[int, int] | None:
        """Feed-forward neurons that serve a direction, and those of the dense model."""
        home = self._homes.get(str(direction))
        return None if home is None else (home[1].directions[str(direction)].neurons, home[1].dense_neurons)

    def scores(self) -> dict[str, float]:
        """chrF++ by direction as they were exported, of those that were verified with references."""
        checked = {name: home[1].directions[name].verification for name, home in self._homes.items()}
        return {name: each.chrf for name, each in checked.items() if each is not None and each.chrf is not None}

    def _compose(self, direction: Direction) -> bool:
        """Whether a bundle can serve a direction without masks of its own; if so, it serves it from now on."""
        for folder, manifest in [home for home in self._homes.values() if home[1].kind == "bundle"][:1]:
            try:
                origin, neurons = composed_in(folder, direction)
            except DirectionError:
                return False
            facts = DirectionFacts(neurons=neurons, composed=origin)
            update = {"directions": manifest.directions | {str(direction): facts}}
            self._homes[str(direction)] = folder, manifest.model_copy(update=update)
            return True
        return False

    def _make_room(self, size: int) -> None:
        if self._budget is None:
            return
        while self._loaded and sum(each.bytes for each in self._loaded.values()) + size > self._budget:
            self._loaded.popitem(last=False)  # a request that still uses it keeps it alive until it is done

    def _computed(self, manifest: Manifest) -> str:
        return QUANTIZATIONS.get(manifest.quantization).computed(self._device, self._precision)

    def _load(self, folder: Path, manifest: Manifest, direction: Direction) -> CTranslate2Engine:
        computed = self._computed(manifest)
        with told_as(ModelError, f"the exported model in {folder} can't be loaded", REMEDY):
            if manifest.kind == "bundle":
                files = cut_files(folder, direction)
                translator = translator_of_files(files, computed, self._device, self._threads)
            else:
                translator = load_translator(folder, self._device, computed, self._threads)
        name = next((name for name in VOCABULARIES if name in manifest.files), VOCABULARIES[0])
        vocabulary = read_json(folder / name, list[str], REMEDY, error=ModelError)
        settings = self._settings.model_copy(
            update={"max_new_tokens": min(self._settings.max_new_tokens, manifest.longest_translation)}
        )
        origins = {name: facts.composed for name, facts in manifest.directions.items()}
        tokenizer = load_tokenizer(folder)
        if not len(tokenizer) <= len(set(vocabulary)) == len(vocabulary) == manifest.vocabulary:
            raise ModelError(
                f"{folder} is damaged: its vocabulary of {manifest.vocabulary} tokens has {len(set(vocabulary))} in "
                f"{name} and {len(tokenizer)} in the tokenizer; {REMEDY}"
            )
        one, longest = _One(translator, origins), manifest.longest_source
        return CTranslate2Engine(tokenizer, settings, one, vocabulary, longest, manifest.ends)


def _directions_of(folder: Path) -> list[str]:
    """The directions of a damaged folder; where its manifest can't be read, the folder's name says it."""
    try:
        return list(Manifest.load(folder, check=False).directions)
    except ModelError:
        return [folder.name]


@dataclass(frozen=True, slots=True)
class _One:
    """The translator of one folder."""

    model: Any
    origins: dict[str, tuple[str, str] | None]

    def translator(self, direction: Direction) -> Any:
        return self.model

    def origin(self, direction: Direction) -> tuple[str, str] | None:
        return self.origins.get(str(direction))
