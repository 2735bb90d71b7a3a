"""What each stage of a recipe does: reads its inputs from the run folder, calls one package, writes its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from neuronspec.direction import Direction
from neuronspec.processes import processes
from neuronspec.recipe import CatalogsCorpus, MosesCorpus, Recipe, TsvCorpus

if TYPE_CHECKING:
    from neuronspec.batching.batch import Batch
    from neuronspec.corpus.store import TokenStore
    from neuronspec.neurons import Activations, Criterion, NeuronMasks
    from neuronspec.training.loss import InDirection


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder, the recipe that makes it, and where to print."""

    recipe: Recipe
    folder: Path
    console: Console

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
    from neuronspec.evaluation.engines import check_engine
    from neuronspec.evaluation.scoring import check_scoring
    from neuronspec.training.tracking import check_trackers

    # before the long work, though later stages need them
    check_trackers(run.recipe.tracking)
    check_engine(run.recipe.evaluation)
    check_scoring(run.recipe.evaluation.scores, [direction.target for direction in run.recipe.evaluated_directions])
    prepare_corpus(run.recipe, run.data, run.console)


def train_base(run: Run) -> None:
    """The multilingual baseline: RUN/base."""
    from neuronspec.model.build import build_model
    from neuronspec.training import train

    store = run.store()
    model = build_model(run.recipe.model, store.tokenizer, run.recipe.seed)
    train(
        model,
        store.tokenizer,
        store,
        run.recipe.training,
        directions=run.recipe.corpus.all_directions,
        seed=run.recipe.seed,
        folder=run.base,
        console=run.console,
        trackers=run.recipe.tracking,
    )


def record(run: Run) -> None:
    """The activations of the baseline on held-out text: RUN/activations.safetensors."""
    from neuronspec.model.build import load_model
    from neuronspec.neurons import record_activations

    joined = processes()
    model = load_model(run.base)
    activations = record_activations(model, islice(_recording_batches(run), joined.rank, None, joined.size))
    if joined.is_main:
        activations.save(run.activations)


def _recording_batches(run: Run) -> Iterator[Batch]:
    from rich.progress import track

    from neuronspec.batching import eval_batches

    store, settings = run.store(), run.recipe.recording
    directions = run.recipe.corpus.all_directions
    for direction in track(directions, description="recording", console=run.console, transient=True):
        pairs = store.pairs(settings.split, direction)
        yield from eval_batches(pairs, direction, store.tokenizer, batch_tokens=4096, limit=settings.sentences)


def select(run: Run) -> None:
    """The specialized neurons of each direction: RUN/masks.safetensors."""
    from neuronspec.neurons import Activations

    masks = select_masks(run, Activations.load(run.activations))
    masks.save(run.masks)
    run.console.print(f"{masks.sparsity():.1%} of the neurons are left out")


def select_masks(run: Run, activations: Activations) -> NeuronMasks:
    """The masks that the recipe selects from activations."""
    from neuronspec.neurons import select_neurons

    return select_neurons(
        activations, _criterion(run.recipe), run.recipe.selection.granularity, families_of(run.recipe)
    )


def families_of(recipe: Recipe) -> dict[str, str]:
    """By language of the recipe, the pivot's among them."""
    return {code: recipe.corpus.family(code) for code in recipe.corpus.all_languages}


def _criterion(recipe: Recipe) -> Criterion:
    from neuronspec.neurons import CumulativeActivation, TopFraction

    settings = recipe.selection
    if settings.fraction is not None:
        return TopFraction(settings.fraction, statistic=settings.statistic)
    coverage: Any = settings.coverage  # keys are checked; a mapping of literals isn't one of strings to mypy
    return CumulativeActivation(coverage, statistic=settings.statistic, pivot=recipe.corpus.pivot)


def continue_arm(arm: str) -> Callable[[Run], None]:
    """The stage that continues the baseline as `arm`: RUN/arms/ARM."""
    return partial(_continue_arm, arm)


def _continue_arm(arm: str, run: Run) -> None:
    from neuronspec.specialize import save_masks
    from neuronspec.training import train

    store = run.store()
    model, in_direction = load_arm(run, arm, run.base)
    train(
        model,
        store.tokenizer,
        store,
        run.recipe.continuation,
        directions=run.recipe.corpus.all_directions,
        seed=run.recipe.seed,
        folder=run.arm(arm),
        in_direction=in_direction,
        console=run.console,
        trackers=run.recipe.tracking,
    )
    if processes().is_main and _masks_of(run, arm) is not None:
        save_masks(model, run.arm(arm))


def _masks_of(run: Run, arm: str) -> Any:
    from neuronspec.baselines import arm_masks
    from neuronspec.neurons import NeuronMasks

    if arm == "base":
        return None
    return arm_masks(arm, NeuronMasks.load(run.masks) if arm != "dense" else None, run.recipe.seed)


def load_arm(
    run: Run, arm: str, folder: Path, zero_shot: Sequence[Direction] = (), method: Any = "auto"
) -> tuple[Any, InDirection]:
    """The model in `folder` with the masks of `arm` on it, and the context that a direction is run in.

    Zero-shot directions get composed masks.
    """
    from neuronspec.model.build import load_model
    from neuronspec.specialize import specialize, use_direction, use_directions

    model = load_model(folder)
    masks = _masks_of(run, arm)
    if masks is None:
        return model, lambda direction: nullcontext()
    for direction in zero_shot:
        derived = masks.for_direction(direction, run.recipe.corpus.pivot)
        masks = masks.compose(direction, encoder=derived.encoder, decoder=derived.decoder)
    settings = run.recipe.specialization
    specialize(model, masks, semantics=settings.semantics, components=settings.components, method=method)
    return model, lambda given: (use_direction if isinstance(given, Direction) else use_directions)(model, given)


def evaluate(arm: str) -> Callable[[Run], None]:
    """The stage that translates and scores the test sets with `arm`: RUN/evaluation/ARM."""
    return partial(_evaluate, arm)


def _evaluate(arm: str, run: Run) -> None:
    from neuronspec.evaluation import check_overlap, evaluate_arm, evaluate_copy

    store, directions, settings = run.store(), run.recipe.evaluated_directions, run.recipe.evaluation
    folder = run.evaluation(arm)
    if arm == "copy":
        if not processes().is_main:
            return
        check_overlap(store, run.recipe.corpus.all_directions, settings.max_sentences, folder, run.console)
        evaluate_copy(store, directions, settings, folder)
        return
    model, in_direction = load_arm(run, arm, run.arm(arm), settings.zero_shot_directions)
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
    from neuronspec.evaluation import gather, write_results

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
