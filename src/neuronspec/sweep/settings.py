"""A sweep file: which arms are trained with which settings and seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, PrivateAttr, field_validator, model_validator

from neuronspec.arms.registry import ARMS
from neuronspec.core.errors import Mistakes, RecipeError
from neuronspec.core.mistakes import explain
from neuronspec.core.registry import OneOf
from neuronspec.core.settings import MANY, Name, RecipePath, Section, Seed
from neuronspec.core.written import Change, Document
from neuronspec.core.yaml_file import load_yaml, option_change
from neuronspec.recipe import Recipe

_Whole: TypeAlias = Annotated[int, Field(ge=-MANY, le=MANY)]

Changes: TypeAlias = dict[str, Any]
"""Recipe keys as `section.key`, and their values."""

FLOOR = ("base", "copy")
"""The rows of the table that are no entries."""

RESERVED = {
    "name": "it is the recipe's",
    "arms": "an entry names its arm",
    "continuation.seed": "seeds set it",
}
"""Keys that no change may name, and why."""
BASE_SEED = "training.seed"

_SAME_TEST = "all entries are scored on the same test sentences; set it for all (set)"
SHARED = {
    "seed": _SAME_TEST,
    "corpus": _SAME_TEST,
    "evaluation.max_sentences": _SAME_TEST,
    "evaluation.zero_shot": _SAME_TEST,
    "evaluation.scores": _SAME_TEST,
}
"""Keys that no single entry may change, with all below them, and why."""

_TRAINING_TEXT = ("corpus.train", "corpus.tier_shares", "corpus.max_pairs", "corpus.cleaning", "corpus.filters")
"""What below `corpus` an entry may change all the same."""

Training: TypeAlias = tuple[int, int]
"""The seeds of a training: of its baseline (0: the recipe's) and of the continuation."""


def _different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{seeds} names a seed twice; leave one out")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=1), AfterValidator(_different)]


class Entry(Section):
    """One row of the table."""

    arm: Annotated[str, OneOf(ARMS)] | None = Field(None, description="which arm it is; the entry's name without it")
    set: Changes = Field({}, description="recipe keys that it changes, as {selection.coverage: 0.7}")
    seeds: Seeds | None = Field(None, description="other seeds than the sweep's")
    method: Name | None = Field(
        None,
        description="in an adaptation, whose frontier of gain against forgetting its trainings are points of; the "
        "entry's name without it",
    )


RESERVED_OPTIONS = {
    "time": "it is minutes",
    "partition": "it is partition",
    "gpus-per-node": "it is gpus",
    "cpus-per-task": "it is cpus",
    "mem": "it is memory",
    **dict.fromkeys(
        ("array", "dependency", "error", "job-name", "kill-on-invalid-dep", "nodes", "ntasks", "ntasks-per-node",
         "open-mode", "output", "requeue", "no-requeue", "signal", "wrap", "chdir"),
        "the sweep sets it",
    ),
}  # fmt: skip
"""Options of sbatch that a sweep can't name, and why."""


class SlurmSettings(Section):
    """What each job gets with `--executor slurm`."""

    partition: str | None = Field(None, min_length=1, description="of the cluster; without it, Slurm's default")
    minutes: Annotated[int, Field(ge=1, le=525_600)] = Field(
        240, description="time limit; three minutes before it, a training saves and its job is queued again"
    )
    restarts: Annotated[int, Field(ge=0, le=10_000)] = Field(
        20, description="how often a job that reached its time limit is queued again"
    )
    gpus: Annotated[int, Field(ge=0, le=64)] = Field(0, description="GPUs of a job")
    cpus: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="CPU cores of a job, which are threads of it")
    memory: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        None, description="main memory of a job in GB; without it, the cluster's default"
    )
    setup: list[str] = Field([], description="lines of bash before the work, as [module load cuda]")
    options: dict[str, str | _Whole | bool] = Field(
        {}, description="other options of sbatch, as {account: me, qos: low, constraint: a100}"
    )

    @field_validator("options")
    @classmethod
    def _check_options(cls, options: dict[str, str | int | bool]) -> dict[str, str | int | bool]:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        problems = [
            f"{name} can't be an option: {RESERVED_OPTIONS[name]}" for name in named if name in RESERVED_OPTIONS
        ]
        problems += [f"{name}: leave it out instead of false" for name, value in named.items() if value is False]
        if problems:
            raise Mistakes(*problems)
        return named


class Sweep(Section):
    """Arms x settings x seeds over one recipe."""

    name: Name = Field(description="names the sweep; a sweep folder belongs to one name")
    recipe: RecipePath = Field(description="the recipe that all share; relative to the sweep file")
    set: Changes = Field({}, description="recipe keys that are changed for all, as {continuation.updates: 500}")
    seeds: Seeds = Field([1], description="of each continuation: data order, dropout, random masks")
    base_seeds: Seeds | None = Field(
        None,
        description="baselines: one is trained with each of these (training.seed: weights, data order, dropout), and "
        "every entry continues from each with each of its seeds; without it, one baseline with the recipe's seed",
    )
    arms: dict[Name, Entry] = Field(min_length=1, description="the entries by name")
    settings: dict[Name, Changes] = Field(
        {}, description="groups of changes by name; each entry is trained with each of them, named ENTRY+NAME"
    )
    baselines: list[Name] = Field(["dense"], min_length=1, description="the entries that the others are compared with")
    margin: float | None = Field(
        None,
        gt=0,
        le=100,
        description="chrF++ that an entry may be worse than a baseline and count as no worse (non-inferiority): to be "
        "stated before the sweep is run, such as 0.1",
    )
    slurm: SlurmSettings = Field(SlurmSettings(), description="what a job gets with --executor slurm")
    _document: Document = PrivateAttr(Document("the sweep", {}, "sweep"))
    _given: dict[str, Change] = PrivateAttr({})

    @field_validator("arms", mode="before")
    @classmethod
    def _empty_entries(cls, arms: Any) -> Any:
        """`dense:` alone is an entry without changes."""
        return (
            {name: {} if entry is None else entry for name, entry in arms.items()} if isinstance(arms, dict) else arms
        )

    @model_validator(mode="after")
    def _check(self) -> Sweep:
        problems = [
            f"baselines: {name!r} is no entry; entries: {', '.join(sorted(self.arms))}"
            for name in self.baselines
            if name not in self.arms
        ]
        problems += [
            f"arms: {name}: an entry can't be named so: that is a row of its own" for name in FLOOR if name in self.arms
        ]
        reserved = self._reserved_keys()
        problems += _reserved("set", self.set, reserved)
        parts = {f"arms.{name}.set": entry.set for name, entry in self.arms.items()}
        for where, changes in (parts | {f"settings.{name}": part for name, part in self.settings.items()}).items():
            problems += _reserved(where, changes, reserved | SHARED)
        if problems:
            raise Mistakes(*problems)
        return self

    @classmethod
    def load(cls, path: Path, overrides: list[str] | None = None, *, check_files: bool = True) -> Sweep:
        """Read a sweep file.

        Args:
            path: of the file.
            overrides: recipe keys as given with `--set`, for all entries.
            check_files: whether the files that its recipe names must be there.

        Raises:
            RecipeError: the file is missing or mistaken, or an entry makes an invalid recipe; lists all mistakes.
        """
        document = load_yaml(path, kind="sweep")
        if document.looks_like("recipe"):
            raise RecipeError(f"{path} is a recipe, not a sweep: run it with 'neuronspec run {path} --out RUN'")
        sweep = explain(cls, document, {"folder": path.resolve().parent, "check_files": True})
        given = {change.key: change for change in map(option_change, overrides or [])}
        values = {key: change.value for key, change in given.items()}
        if problems := list(_reserved("--set", values, sweep._reserved_keys())):
            raise Mistakes(*problems)
        sweep = sweep.model_copy(update={"set": sweep.set | values})
        sweep._document, sweep._given = document, given
        sweep.recipes(check_files=check_files)
        return sweep

    def cells(self) -> Iterator[Cell]:
        """All trainings, entry by entry."""
        for name, entry in self.arms.items():
            for setting, changes in (self.settings or {"": {}}).items():
                label = f"{name}+{setting}" if setting else name
                own = self._changed(self.set, "set") | self._given | self._changed(entry.set, "arms", name, "set")
                own |= self._changed(changes, "settings", setting)
                # a name that is no arm's is refused when the recipe is made
                place = ("arms", name, "arm") if entry.arm else ("arms", name)
                own["arms"] = Change("arms", [entry.arm or name], self._document, place, whole=True)
                bases: list[int | None] = [*self.base_seeds] if self.base_seeds else [None]
                for base in bases:
                    for seed in entry.seeds or self.seeds:
                        yield Cell(label, entry.arm or name, seed, own | self._seeded(seed, base), base)

    def _changed(self, changes: Changes, *path: str) -> dict[str, Change]:
        """Changes by key, with where they stand in the file."""
        return {key: Change(key, value, self._document, (*path, key)) for key, value in changes.items()}

    def _seeded(self, seed: int, base: int | None) -> dict[str, Change]:
        seeds = {"continuation.seed": (seed, "seeds")} | ({} if base is None else {BASE_SEED: (base, "base_seeds")})
        return {key: Change(key, value, self._document, (name,), whole=True) for key, (value, name) in seeds.items()}

    def _reserved_keys(self) -> dict[str, str]:
        """Keys that no change may name, and why."""
        return RESERVED | ({BASE_SEED: "base_seeds set it"} if self.base_seeds else {})

    @staticmethod
    def baseline_of(entry: str, baseline: str, known: Collection[str]) -> str | None:
        """The baseline of an entry: the one with the same settings, if there is one among the known."""
        settings = entry.partition("+")[2]
        return next((name for name in (f"{baseline}+{settings}", baseline) if name in known), None)

    def _check_bases(self) -> None:
        values = load_yaml(self.recipe).values
        model, trained = values.get("model"), "training" in {*values, *(key.partition(".")[0] for key in self.set)}
        if self.base_seeds and not trained and isinstance(model, dict) and "pretrained" in model:
            raise RecipeError(
                f"base_seeds: a baseline is trained with each, and {self.recipe} has no section training, so its "
                "checkpoint is the only baseline; leave base_seeds out, or add training"
            )

    def recipes(self, *, check_files: bool = True) -> list[tuple[Cell, Recipe]]:
        """Each training with its recipe.

        Args:
            check_files: as of `load`.

        Raises:
            RecipeError: changes make a mistaken recipe; names the entries.
        """
        self._check_bases()
        made: list[tuple[Cell, Recipe]] = []
        mistakes: dict[str, dict[str, None]] = {}
        for cell in self.cells():
            try:
                recipe = Recipe.load(self.recipe, [*cell.given.values()], check_files=check_files)
                with recipe.located():
                    ARMS.get(cell.arm)().check(recipe)
                made.append((cell, recipe))
            except RecipeError as error:
                mistakes.setdefault(str(error), {})[cell.entry] = None
        if mistakes:
            raise RecipeError("\n".join(f"{entries_named(found)}: {error}" for error, found in mistakes.items()))
        _check_held_out(made)
        return made


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a sweep.

    Args:
        entry: its row of the table.
        arm: which arm it trains.
        seed: of the continuation.
        given: the changes to the recipe, by key.
        base_seed: of the baseline that it continues; None: the recipe's.
    """

    entry: str
    arm: str
    seed: int
    given: dict[str, Change]
    base_seed: int | None = None

    @property
    def name(self) -> str:
        """For messages, and the folder below `cells/`."""
        base = "" if self.base_seed is None else f"base-{self.base_seed}/"
        return f"{self.entry}/{base}seed-{self.seed}"

    @property
    def training(self) -> Training:
        """Its seeds."""
        return self.base_seed or 0, self.seed

    @property
    def changes(self) -> Changes:
        """To the recipe, without the seeds and the arm."""
        own = ("arms", "continuation.seed", *([] if self.base_seed is None else [BASE_SEED]))
        return {key: change.value for key, change in self.given.items() if key not in own}


def entries_named(names: Collection[str]) -> str:
    """`entry a`, or `entries a, b`."""
    return f"{'entry' if len(names) == 1 else 'entries'} {', '.join(names)}"


def _check_held_out(made: list[tuple[Cell, Recipe]]) -> None:
    """Refuse entries whose training text differs where validation and test text are drawn from it."""
    (first, recipe), *_ = made
    others = {cell.entry: None for cell, own in made if _drawn_from(own) != _drawn_from(recipe)}
    if others:
        raise RecipeError(
            f"{entries_named(others)}: corpus.train is other than that of entry {first.entry}, and validation or test "
            "text is drawn from it, so it would differ, too; give both corpus.valid and corpus.test, or write "
            "held_out: false in the sources that only some entries have"
        )


def _drawn_from(recipe: Recipe) -> list[dict[str, Any]]:
    """The sources that validation or test text is drawn from, with what decides which."""
    corpus = recipe.corpus
    if corpus.valid is not None and corpus.test is not None:
        return []
    return [source.model_dump(exclude={"weight"}) for source in corpus.sources["train"] if source.is_divided]


def _reserved(where: str, changes: Changes, reserved: dict[str, str]) -> Iterator[str]:
    """What changes name and may not, also in a section that is given as a whole."""
    for key in _named(changes):
        for name, why in reserved.items():
            if (key == name or key.startswith(f"{name}.")) and not key.startswith(_TRAINING_TEXT):
                yield f"{where}: {key} can't be changed: {why}"
    for key in changes:
        parts = [name for name in reserved if name in SHARED and name.startswith(f"{key}.")]
        if parts and not any(each in _named(changes) for each in parts):
            yield f"{where}: {key} can't be changed as a whole, with {', '.join(parts)}: {_SAME_TEST}; name single keys"


def _named(changes: Mapping[str, Any], above: str = "") -> list[str]:
    """The keys that changes name, and those inside of their values."""
    found = []
    for name, value in changes.items():
        found += [above + name, *(_named(value, f"{above}{name}.") if isinstance(value, Mapping) else ())]
    return found
