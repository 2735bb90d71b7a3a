"""From the finished cells of a sweep to `SWEEP/results.json`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from filecmp import cmp
from pathlib import Path
from statistics import fmean
from typing import Any

from neuronspec.arms.arm import Cost, read_cost
from neuronspec.core.direction import Direction
from neuronspec.core.errors import EvaluationError
from neuronspec.core.files import replacing_folder
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.run_folder import TRAINING_LOG, RunFolder
from neuronspec.corpus.store import TokenStore
from neuronspec.evaluation.adaptation import groups_of
from neuronspec.evaluation.alignment import sentence_ids
from neuronspec.evaluation.results import MAIN_SCORES, ArmScores, mean_score, read_scores_file, write_results
from neuronspec.evaluation.scorer import Scorer, score_arms
from neuronspec.evaluation.seeds import summarize_seeds
from neuronspec.evaluation.tables import tier_groups
from neuronspec.neurons.masks import NeuronMasks
from neuronspec.recipe import Recipe
from neuronspec.runs.state import read_stages
from neuronspec.scoring.joint import Ids
from neuronspec.scoring.statistics import Statistics
from neuronspec.specialization.methods import MASKS_FILE
from neuronspec.sweep.differences import TESTED, Differences, Found
from neuronspec.sweep.nodes import FLOOR, Node
from neuronspec.sweep.settings import Sweep, Training
from neuronspec.sweep.sweep_results import Entry, Spread, SweepResults
from neuronspec.training.log import read_log

logger = logging.getLogger(__name__)

_PREPARING = ("record", "select")

_TEXTS = (".src", ".hyp", ".ref")


def gather(
    sweep: Sweep,
    nodes: Sequence[Node],
    done: set[Path],
    failed: Mapping[str, str],
    folder: Path,
    progress: Progress = SILENT,
) -> SweepResults:
    """Score what is done and write `results.json`; returns its content.

    Args:
        sweep: see `Sweep`.
        nodes: all of it.
        done: the folders of those that are done.
        failed: why others failed, by name.
        folder: of the sweep.
        progress: shows that it scores.

    Raises:
        EvaluationError: a file is damaged, or entries were scored on different sentences.
    """
    finished = [node for node in nodes if node.folder in done]  # of others there may be no text at all
    recipe = next(node.recipe for node in finished if node.cell)
    store = _store(finished)
    scorer = Scorer.of_run(recipe.evaluation.scores, recipe.evaluated_directions, store)
    for name, reason in scorer.skipped.items():
        logger.info("%s skipped: %s", name, reason)
    facts = _facts(recipe, store, scorer)
    groups = _groups(facts)
    with progress.task("scoring"):
        found = _find(finished, scorer, folder, bool(sweep.base_seeds))
        starts = _starts(found, finished, scorer, folder) if facts.get("adapted") else {}
    with progress.task("testing significance"):
        ids = sentences_compared(found, facts["directions"])
        differences = Differences(sweep, found, groups, ids, recipe.evaluation.scores.resamples).all()
    facts |= {
        "sweep": sweep.name,
        "baselines": sweep.baselines,
        **({"margin": sweep.margin} if sweep.margin is not None else {}),
        "base_seeds": sweep.base_seeds or [],
        "recipe": recipe.to_yaml(),
        "entries": {
            label: _entry(one, groups, _method(sweep, label), _over_base(one, starts.get(label, {})))
            for label, one in found.items()
            if one.nodes[min(one.nodes)].cell
        },
        "differences": differences,
        "failed": dict(failed),
    }
    means = {label: _mean(one) for label, one in found.items()}
    return write_results(RunFolder(folder).results, means, facts, SweepResults)


def _find(nodes: Sequence[Node], scorer: Scorer, folder: Path, several: bool) -> dict[str, Found]:
    """What is evaluated, by label: `copy`, `base`, then the entries.

    Of baselines that differ because entries change them, it is the first one; of `several` base seeds, it is all.
    """
    found: dict[str, Found] = {}
    for node in nodes:
        for arm in [node.cell.arm] if node.cell else [name.partition("/")[2] for name in node.tasks if name in FLOOR]:
            base_seed = ((node.recipe.training and node.recipe.training.seed) or 0) if several and arm == "base" else 0
            label, training = (node.cell.entry, node.cell.training) if node.cell else (arm, (base_seed, 0))
            one = found.setdefault(label, Found())
            if training not in one.nodes:
                one.nodes[training] = node
                one.scores[training], one.statistics[training] = _scored(node, arm, scorer, folder)
    return {name: found[name] for name in (*(n for n in ("copy", "base") if n in found), *found)}


def _scored(node: Node, arm: str, scorer: Scorer, folder: Path) -> tuple[ArmScores, dict[str, Statistics]]:
    """The scores and the statistics of what a node has evaluated."""
    place = _copied(node, arm, folder) if node.given else RunFolder(node.folder).evaluations
    found = score_arms(place, [arm], scorer)[arm]
    if not node.given:  # scores that weren't up to date were added to the node's files
        node.pipeline().record_files(f"evaluate/{arm}")
    return found


def _starts(
    found: Mapping[str, Found], nodes: Sequence[Node], scorer: Scorer, folder: Path
) -> dict[str, dict[Training, ArmScores]]:
    """By entry and training, the scores of the baseline that it continues, evaluated as the entry is."""
    places = {node.folder: node for node in nodes}
    known: dict[Path, ArmScores] = {}
    starts: dict[str, dict[Training, ArmScores]] = {}
    for label, one in found.items():
        for training, node in one.nodes.items():
            if node.start in places:
                if node.start not in known:
                    known[node.start] = _scored(places[node.start], "base", scorer, folder)[0]
                starts.setdefault(label, {})[training] = known[node.start]
    return starts


def _copied(node: Node, arm: str, folder: Path) -> Path:
    """Where the scores of the run that the sweep began from may be written: that run itself stays as it is."""
    source, runs = RunFolder(node.folder).evaluation(arm), RunFolder(folder / "shared" / "given")
    copy = runs.evaluation(arm)
    texts = [path for path in source.iterdir() if path.suffix in _TEXTS]
    theirs, ours = read_scores_file(source), read_scores_file(copy)
    same = theirs and ours and (theirs.made_from, theirs.products) == (ours.made_from, ours.products)
    if not same or not all((copy / path.name).is_file() and cmp(path, copy / path.name, False) for path in texts):
        with replacing_folder(copy) as work:
            shutil.copytree(source, work, dirs_exist_ok=True)
    return runs.evaluations


def sentences_compared(found: Mapping[str, Found], directions: Sequence[str]) -> Mapping[str, Ids]:
    """The test sentences by direction, of what is compared: a baseline's run may hold arms with other test sets.

    Raises:
        EvaluationError: they aren't the same for all; names two files that differ.
    """
    folders = [
        RunFolder(node.folder).evaluation(node.cell.arm if node.cell else label)
        for label, one in found.items()
        for node in one.nodes.values()
    ]
    for name in directions:
        paths = [path for folder in folders if (path := folder / f"{name}.ref").exists()]
        other = next((path for path in paths if not cmp(paths[0], path, False)), None)
        if other is not None:
            raise EvaluationError(
                f"{paths[0]} and {other} are different test sentences, so their scores can't be compared; give all "
                "entries the same test text (corpus.test), and choose another --out"
            )
    return sentence_ids(folders, directions)


def _store(nodes: Sequence[Node]) -> TokenStore:
    """The prepared text of a sweep."""
    data = next(RunFolder(node.folder).data for node in nodes if "prepare" in (*node.tasks, *node.linked))
    return TokenStore.open(data)


def _facts(recipe: Recipe, store: TokenStore, scorer: Scorer) -> dict[str, Any]:
    """What `results.json` of a run says about the experiment."""
    return {
        "seed": recipe.seed,
        "pivot": recipe.corpus.pivot,
        "tiers": store.tiers,
        "families": {code: recipe.corpus.family(code) for code in recipe.corpus.languages},
        "directions": [str(direction) for direction in recipe.evaluated_directions],
        "zero_shot": [str(direction) for direction in recipe.evaluation.zero_shot_directions],
        **({"adapted": [str(one) for one in recipe.adapted_directions]} if recipe.continuation.directions else {}),
        "skipped": scorer.skipped,
        "references": store.references,
    }


def _groups(facts: Mapping[str, Any]) -> dict[str, list[str]]:
    """The directions by group."""
    trained = [name for name in facts["directions"] if name not in facts["zero_shot"]]
    tiers = tier_groups(sorted(trained, key=Direction.parse), facts["tiers"], facts["pivot"])
    found = {"all": trained, **tiers} | ({"zero-shot": facts["zero_shot"]} if facts["zero_shot"] else {})
    if facts.get("adapted"):
        groups = groups_of(trained, [], facts["adapted"])
        found |= {"adapted": groups["adapted"], "others": groups["others"]}
    return found


def _mean(one: Found) -> ArmScores:
    """The scores with means over seeds for numbers."""
    names = [name for name in next(iter(one.scores.values())) if all(name in scores for scores in one.scores.values())]
    return {name: mean_score([scores[name] for scores in one.scores.values()]) for name in names}


def _method(sweep: Sweep, label: str) -> str:
    """Whose frontier the trainings under a label are points of."""
    name = label.partition("+")[0]
    return sweep.arms[name].method or name


def _over_base(one: Found, starts: Mapping[Training, ArmScores]) -> dict[str, dict[str, list[float]]]:
    """By metric and direction, what each training gains over the baseline that it continues; losses gain by falling."""
    trainings = sorted(one.scores)
    found: dict[str, dict[str, list[float]]] = {}
    for metric, sign in {**dict.fromkeys(TESTED, 1.0), "loss": -1.0}.items():
        for name in one.scores[trainings[0]]:
            pairs = [
                (one.scores[training][name].get(metric), starts[training][name].get(metric))
                for training in trainings
                if name in starts.get(training, {}) and name in one.scores[training]
            ]
            gains = [sign * (mine - theirs) for mine, theirs in pairs if mine is not None and theirs is not None]
            if len(gains) == len(trainings):
                found.setdefault(metric, {})[name] = gains
    return found


def _entry(
    one: Found, groups: Mapping[str, Sequence[str]], method: str, over_base: dict[str, dict[str, list[float]]]
) -> Entry:
    node = one.nodes[min(one.nodes)]
    assert node.cell is not None, "entries have cells"
    arm = node.cell.arm
    folders = [RunFolder(each.folder).arm(arm) for each in one.nodes.values()]
    best = [loss for folder in folders if (loss := _best(folder)) is not None]
    return Entry(
        arm=arm,
        changes=node.cell.changes,
        seeds=sorted({seed for _, seed in one.nodes}),
        base_seeds=sorted({base for base, _ in one.nodes}) if node.cell.base_seed is not None else [],
        trained=sorted(one.nodes),
        means={group: _means(one, names) for group, names in groups.items() if names},
        validation=_summary(best) if len(best) == len(folders) else None,
        sparsity=_sparsity(folders[0]),
        method=method,
        over_base=over_base,
        cost=_cost(node, folders),
    )


def _best(folder: Path) -> float | None:
    lines = (line for line in read_log(folder / TRAINING_LOG) if line["kind"] == "validation")
    return min((loss for line in lines if (loss := line.get("loss")) is not None), default=None)


def _means(one: Found, names: Sequence[str]) -> dict[str, Spread]:
    """By metric, the mean over directions of each seed; nothing where an arm can't translate one of them."""
    found = {}
    for metric in MAIN_SCORES:
        values = [[scores[name].get(metric) for name in names if name in scores] for scores in one.scores.values()]
        known = [[value for value in each if value is not None] for each in values]
        if all(len(each) == len(names) for each in known):
            found[metric] = _summary([fmean(each) for each in known])
    return found


def _summary(values: Sequence[float]) -> Spread:
    summary = summarize_seeds(values)
    return Spread(mean=summary.mean, sd=summary.deviation, values=summary.values)


def _sparsity(folder: Path) -> float | None:
    path = folder / MASKS_FILE
    return NeuronMasks.load(path).sparsity() if path.exists() else None


def _cost(node: Node, folders: Sequence[Path]) -> Cost:
    """What the arm took, with the preparation that it needs; times and memory are the median and the most of seeds."""
    from statistics import median

    costs = [read_cost(folder) for folder in folders]
    state = read_stages(RunFolder(node.folder).stages)["tasks"]
    before = sum(state[name].get("seconds", 0.0) for name in _PREPARING if name in node.linked)
    times = [cost.update_seconds for cost in costs if cost.update_seconds is not None]
    return replace(
        costs[0],
        prepare_seconds=before + median(cost.prepare_seconds for cost in costs),
        update_seconds=median(times) if times else None,
        peak_memory=max(cost.peak_memory for cost in costs),
    )
