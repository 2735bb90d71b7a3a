"""What each stage of a recipe does: reads its inputs from the run folder, calls one package, writes its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from neuronspec.core.direction import Direction
from neuronspec.core.processes import processes
from neuronspec.core.progress import SILENT, Bars, Progress
from neuronspec.corpus.settings import CatalogsCorpus, MosesCorpus, TsvCorpus
from neuronspec.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from neuronspec.arms.arm import Given, Method
    from neuronspec.corpus.store import TokenStore
    from neuronspec.training.loss import InDirection


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, the recipe that makes it, and where to print."""

    recipe: Recipe
    folder: Path
    console: Console

    @property
    def progress(self) -> Progress:
        """Shows how far the work is."""
        return SILENT if self.console.quiet else Bars(self.console)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def activations(self) -> Path:
        return self.folder / "activations.safetensors"

    @property
    def masks(self) -> Path:
        return self.folder / "masks.safetensors"

    @property
    def results(self) -> Path:
        return self.folder / "results.json"

    @property
    def analysis(self) -> Path:
        return self.folder / "analysis.json"

    @property
    def report(self) -> Path:
        return self.folder / "report" / "index.html"

    def arm(self, name: str) -> Path:
        """The checkpoint folder of an arm; `base` is one of them."""
        return self.base if name == "base" else self.folder / "arms" / name

    def evaluation(self, arm: str) -> Path:
        return self.folder / "evaluation" / arm

    def store(self) -> TokenStore:
        from neuronspec.corpus.store import TokenStore

        return TokenStore.open(self.data)

    def log(self, line: str) -> None:
        """Add a line to RUN/run.log, in the main process."""
        if not processes().is_main:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "run.log").open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {line}\n")


def input_stamps(recipe: Recipe) -> dict[str, Any]:
    """What tells whether the input text changed: package versions, or file sizes and times."""
    corpus = recipe.corpus
    if isinstance(corpus, CatalogsCorpus) and corpus.folder is None:
        return {package: _version(package) for package in corpus.packages}
    if isinstance(corpus, MosesCorpus):
        patterns = [pattern for pattern in (corpus.train, corpus.valid, corpus.test) if pattern]
        files = [path for pattern in patterns for path in _matching(pattern)]
    elif isinstance(corpus, TsvCorpus):
        files = [path for path in (corpus.train, corpus.valid, corpus.test) if path]
    else:
        files = sorted(corpus.folder.rglob("*.po*")) if corpus.folder else []
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in files if path.exists()}


def _matching(pattern: str) -> list[Path]:
    """The files that a Moses pattern can mean."""
    path = Path(pattern.replace("{pair}", "*").replace("{lang}", "*"))
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def prepare(run: Run) -> None:
    """Text in: RUN/data."""
    from neuronspec.corpus.prepare import prepare as prepare_corpus
    from neuronspec.translation.registry import check_engine
    from neuronspec.evaluation.scorer import check_scoring
    from neuronspec.training.tracking import check_trackers

    # before the long work, though later stages need them
    check_trackers(run.recipe.tracking)
    check_engine(run.recipe.evaluation)
    check_scoring(run.recipe.evaluation.scores, [direction.target for direction in run.recipe.evaluated_directions])
    prepare_corpus(run.recipe, run.data, run.console)


def train_base(run: Run) -> None:
    """The multilingual baseline: RUN/base."""
    from neuronspec.models.load import build_model
    from neuronspec.training.train import train

    store = run.store()
    model = build_model(run.recipe.model, store.tokenizer, run.recipe.seed)
    train(
        model,
        store.tokenizer,
        store,
        run.recipe.training,
        directions=run.recipe.corpus.all_directions,
        seed=run.recipe.seed if run.recipe.training.seed is None else run.recipe.training.seed,
        folder=run.base,
        console=run.console,
        trackers=run.recipe.tracking,
    )


def record(run: Run) -> None:
    """The activations of the baseline on held-out text: RUN/activations.safetensors."""
    from neuronspec.models.load import load_model
    from neuronspec.neurons.recording import record_activations, recording_batches

    joined = processes()
    model = load_model(run.base)
    batches = recording_batches(
        run.store(), run.recipe.corpus.all_directions, run.recipe.recording, run.progress
    )
    activations = record_activations(model, islice(batches, joined.rank, None, joined.size))
    if joined.is_main:
        activations.save(run.activations)


def select(run: Run) -> None:
    """The specialized neurons of each direction: RUN/masks.safetensors."""
    from neuronspec.neurons.activations import Activations
    from neuronspec.neurons.selection import select_masks

    masks = select_masks(Activations.load(run.activations), run.recipe.selection, run.recipe.corpus)
    masks.save(run.masks)
    run.console.print(f"{masks.sparsity():.1%} of the neurons are left out")


def continue_arm(arm: str) -> Callable[[Run], None]:
    """The stage that continues the baseline as `arm`: RUN/arms/ARM."""
    return partial(_continue_arm, arm)


def _continue_arm(name: str, run: Run) -> None:
    from neuronspec.arms.registry import get_arm
    from neuronspec.arms.arm import make

    make(get_arm(name), given_to(run, name))


def given_to(run: Run, arm: str) -> Given:
    """What an arm is made from."""
    from neuronspec.arms.arm import Given
    from neuronspec.arms.declared import declared
    from neuronspec.arms.registry import get_arm

    recipe = declared(run.recipe, get_arm(arm))
    return Given(recipe, run.arm(arm), run.base, run.activations, run.masks, run.store(), run.progress)


def load_arm(
    run: Run, name: str, zero_shot: Sequence[Direction] = (), method: Method = "auto"
) -> tuple[PreTrainedModel, InDirection]:
    """The trained model of an arm or `base`, and the context that a direction is run in."""
    from neuronspec.arms.registry import get_arm
    from neuronspec.models.load import load_model
    from neuronspec.training.loss import any_direction

    if name == "base":
        return load_model(run.base), any_direction
    return get_arm(name).load(given_to(run, name), zero_shot, method)


def evaluate(arm: str) -> Callable[[Run], None]:
    """The stage that translates and scores the test sets with `arm`: RUN/evaluation/ARM."""
    return partial(_evaluate, arm)


def _evaluate(arm: str, run: Run) -> None:
    from neuronspec.arms.registry import get_arm
    from neuronspec.evaluation.collect import check_overlap
    from neuronspec.evaluation.evaluate import evaluate_arm, evaluate_copy

    store, directions, settings = run.store(), run.recipe.evaluated_directions, run.recipe.evaluation
    folder = run.evaluation(arm)
    if arm == "copy":
        if not processes().is_main:
            return
        check_overlap(store, run.recipe.corpus.all_directions, settings.max_sentences, folder, run.console)
        evaluate_copy(store, directions, settings, folder)
        return
    kind = None if arm == "base" else get_arm(arm)
    if kind is not None:
        directions = kind.directions(run.recipe)
        if not kind.converts:
            settings = settings.model_copy(update={"engine": "transformers", "quantization": None})
    zero_shot = [direction for direction in settings.zero_shot_directions if direction in directions]
    model, in_direction = load_arm(run, arm, zero_shot)
    evaluate_arm(
        model,
        store.tokenizer,
        store,
        directions,
        settings,
        folder,
        in_direction=in_direction,
        console=run.console,
    )


def gather_results(run: Run) -> None:
    """The scores of all arms: RUN/results.json."""
    from neuronspec.evaluation.collect import gather
    from neuronspec.evaluation.results import write_results

    recipe, arms = run.recipe, ("copy", "base", *run.recipe.arms)
    folder = run.folder / "evaluation"
    scores, found = gather(folder, arms, recipe.evaluated_directions, recipe.evaluation, run.console)
    facts = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "pivot": recipe.corpus.pivot,
        "tiers": run.store().tiers,
        "families": {code: recipe.corpus.family(code) for code in recipe.corpus.languages},
    }
    write_results(run.results, scores, facts | found)
