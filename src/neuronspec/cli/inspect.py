"""The command `inspect`: what a file or folder holds, without loading a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuronspec.cli.inspect_corpus import corpus_facts, dropped_facts, show_dropped
from neuronspec.cli.options import AllowPluginsOption, JsonOption, NoVerifyOption
from neuronspec.cli.output import print_facts, print_json
from neuronspec.core.checksums import verify
from neuronspec.core.errors import ModelError, NeuronspecError, PathError, told_as
from neuronspec.core.files import no_regular_file
from neuronspec.core.json_files import read_json
from neuronspec.core.run_folder import CHECKPOINT_RECORD, TRAINING_LOG, RunFolder

if TYPE_CHECKING:
    from neuronspec.recipe import Recipe

Facts = dict[str, Any]
HERE = RunFolder(Path())
commands = typer.Typer()


@commands.command(epilog="Example: neuronspec inspect runs/demo/masks.safetensors")
def inspect(
    file: Annotated[Path, typer.Argument(help="A file or folder that neuronspec wrote.", show_default=False)],
    dropped: Annotated[
        bool, typer.Option("--dropped", help="Of a run or its data: some of the text that each rule dropped.")
    ] = False,
    as_json: JsonOption = False,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Show what a file or folder holds that neuronspec wrote."""
    facts = dropped_facts(file) if dropped else describe(file)
    if as_json:
        print_json(facts)
    elif dropped:
        show_dropped(facts)
    else:
        print_facts(facts)


def describe(path: Path) -> Facts:
    """What `path` holds, as plain JSON values; `kind` says which kind of file it is.

    Raises:
        PathError: there is no such path, or it is of a kind that isn't described.
        NeuronspecError: it is damaged.
    """
    if not path.exists():
        raise PathError(f"{path}: no such file or folder")
    if not RunFolder(path).exists:  # all of a run would take long
        verify(path)  # before anything is read: its message names the remedy
    kind = _kind_of(path)
    if kind is None:
        what = "folder" if path.is_dir() else "file"
        raise PathError(
            f"{path}: inspect doesn't describe this kind of {what}; it describes: {', '.join(sorted(_DESCRIBERS))}"
        )
    return {"kind": kind, "path": str(path), **_DESCRIBERS[kind](path)}


def _kind_of(path: Path) -> str | None:
    if path.is_dir():
        for kind, marker in (
            ("run", HERE.recipe),
            ("exported model", "neuronspec.json"),
            ("model", "config.json"),
            ("tokenizer", "tokenizer_config.json"),
            ("checkpoint", CHECKPOINT_RECORD),
            ("analysis", "subject.json"),
            ("corpus", "corpus.json"),
            ("sweep", "sweep.json"),
        ):
            if (path / marker).exists():
                return kind
        return "exported models" if any(path.glob("*/neuronspec.json")) else None
    names = {
        HERE.recipe.name: "recipe",
        "corpus.json": "corpus report",
        HERE.results.name: "results",
        HERE.stages.name: "stages",
        HERE.analysis.name: "findings",
        "subject.json": "subject",
        TRAINING_LOG: "training log",
    }
    if path.name in names:
        return names[path.name]
    if path.suffix == ".safetensors":
        return _safetensors_kind(path)
    return "recipe" if path.suffix in (".yaml", ".yml") else None


def _safetensors_kind(path: Path) -> str:
    marker = _metadata(path).get("format", "")
    return {"neuronspec.masks": "masks", "neuronspec.activations": "activations"}.get(marker, "weights")


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    if reason := no_regular_file(path):
        raise NeuronspecError(f"{path} can't be read: {reason}")
    with told_as(NeuronspecError, f"{path} is not a complete safetensors file"), safe_open(path, "numpy") as file:
        return dict(file.metadata() or {})


def _weights(path: Path) -> Facts:
    from safetensors import safe_open

    _metadata(path)  # says if it is damaged
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (not a dict)
    values = 0
    for shape in shapes.values():
        size = 1
        for length in shape:
            size *= length
        values += size
    return {"tensors": len(shapes), "values": values}


def _masks(path: Path) -> Facts:
    from neuronspec.neurons.masks import NeuronMasks

    masks = NeuronMasks.load(path)
    return {
        "directions": [str(direction) for direction in masks],
        "sites": {site: f"{width} neurons" for site, width in masks.widths.items()},
        "sparsity": masks.sparsity(),
        "metadata": _metadata(path),
    }


def _activations(path: Path) -> Facts:
    from neuronspec.neurons.activations import Activations

    activations = Activations.load(path)
    tokens = {str(direction): max(sites.values()) for direction, sites in activations.tokens.items()}
    return {"tokens": tokens, "metadata": _metadata(path)}


def _json(path: Path, shape: Any = Facts) -> Any:
    return read_json(path, shape, "copy it again, or make it again", error=NeuronspecError)


def _results(path: Path) -> Facts:
    from neuronspec.evaluation.results import Results

    results = Results.load(path)
    means = {}
    for arm, scores in results.arms.items():
        kept = [score.chrf for score in scores.values() if score.chrf is not None]
        means[arm] = f"chrF++ {sum(kept) / len(kept):.1f}, mean of {len(kept)} directions" if kept else "no scores"
    return {"arms": means, "signatures": results.signatures}


def _log(path: Path) -> Facts:
    from neuronspec.training.log import read_log

    lines = read_log(path)
    tail = path.read_bytes().rpartition(b"\n")[2]
    if tail and not lines:
        raise NeuronspecError(f"{path} is damaged: it holds no whole line of a training log; remove it to train again")
    facts: Facts = {"lines": len(lines), "last": lines[-1] if lines else {}}
    if tail:
        facts["cut off"] = f"{len(tail)} bytes of one more line: training was killed, or goes on"
    return facts


def _recipe(path: Path) -> Facts:
    from neuronspec.recipe import Recipe

    return _facts_of(Recipe.load(path, trusted=False))  # to look at a file must not run code


def _facts_of(recipe: Recipe) -> Facts:
    return {
        "name": recipe.name,
        "languages": recipe.corpus.all_languages,
        "directions": [str(direction) for direction in recipe.corpus.all_directions],
        "arms": recipe.arm_names,
    }


def _run(path: Path) -> Facts:
    from neuronspec.models.id_map import IdMap
    from neuronspec.recipe import Recipe

    run = RunFolder(path)
    recipe = Recipe.of_run(path)  # whether or not the files that it names are still there
    start: Facts = {} if recipe.model.pretrained is None else {"starts from": recipe.model.pretrained}
    change = IdMap.load(run.base) or IdMap.load(run.tokenizer)
    if change is not None:
        start |= {"vocabulary": {name: f"{old:,}, now {new:,}" for name, (old, new) in change.facts().items()}}
    if start and run.tokenizer.is_dir():
        from neuronspec.models.text_format import TextFormat
        from neuronspec.models.tokenizer import load_tokenizer

        text_format = TextFormat.of(load_tokenizer(run.tokenizer))
        start["example"] = text_format.shown(recipe.corpus.all_directions[0])
    return _facts_of(recipe) | start | {"stages": _stages(run.stages) if run.stages.exists() else {}}


def _stages(path: Path) -> Facts:
    from neuronspec.runs.state import read_stages

    return {name: entry["state"] for name, entry in read_stages(path)["tasks"].items()}


_SHAPE = (
    "model_type", "dtype", "d_model", "encoder_layers", "decoder_layers", "encoder_ffn_dim", "decoder_ffn_dim",
    "num_layers", "num_decoder_layers", "d_ff", "hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size",
)  # fmt: skip
"""What config.json calls the sizes of a model: M2M100's names first, then T5's, then those of Llama's kind."""


def _model(path: Path) -> Facts:
    from neuronspec.deploy.manifest import is_folder_of_ctranslate2, without_manifest

    if is_folder_of_ctranslate2(path):
        raise without_manifest(path)
    config = _json(path / "config.json")
    facts = {key: config[key] for key in _SHAPE if key in config}
    weights, masks, compact = (path / name for name in ("model.safetensors", "neuron_masks.safetensors", _COMPACT))
    if weights.exists():
        facts |= _weights(weights)
    facts |= _beside_base(path)
    if masks.exists():
        _metadata(masks)  # says if it is damaged
    facts["masks"] = masks.exists()
    if compact.exists():
        from neuronspec.specialization.save import read_compact_file

        cut = read_compact_file(path)
        facts |= {"compact for": cut.direction, "neurons": {name: site.width for name, site in cut.sites.items()}}
    return facts


def _beside_base(path: Path) -> Facts:
    """Of a model whose weights are kept as what differs from a base: how many do, and where the base is."""
    from neuronspec.models.changed_weights import CHANGED_FILE, base_of, check_base

    reference = base_of(path)
    if reference is None:
        return {}
    check_base(path)
    changed = path / CHANGED_FILE
    facts = _weights(changed) if changed.exists() else {"tensors": 0, "values": 0}
    base = str((path / reference.folder).resolve())
    return {f"changed {name}": value for name, value in facts.items()} | {"base": base}


def _exported(path: Path) -> Facts:
    from neuronspec.deploy.manifest import Manifest, facts_as_json

    facts = facts_as_json(Manifest.load(path))
    return {"holds": facts.pop("kind"), **facts}


def _exports(path: Path) -> Facts:
    from neuronspec.deploy.manifest import Manifest

    models = {}
    for file in sorted(path.glob("*/neuronspec.json")):
        try:
            manifest = Manifest.load(file.parent)
            models[file.parent.name] = f"{manifest.kind}, {manifest.quantization}"
        except ModelError as error:
            models[file.parent.name] = str(error)
    return {"models": models}


def _sweep(path: Path) -> Facts:
    """How many tasks of each of its runs are finished or started."""
    from neuronspec.sweep.nodes import OWNER, Owner

    files = sorted(path.rglob(HERE.stages.name))
    runs = {file.parent.relative_to(path).as_posix(): dict(Counter(_stages(file).values())) for file in files}
    return {"name": _json(path / OWNER, Owner)["sweep"], "runs": runs}


def _tokenizer(path: Path) -> Facts:
    config: Facts = _json(path / "tokenizer_config.json")
    return {"class": config.get("tokenizer_class"), "tags": config.get("extra_special_tokens", [])}


def _findings(path: Path) -> Facts:
    """How much each kind of analysis found."""
    found: dict[str, list[Any] | Facts] = _json(path, dict[str, list[Any] | Facts])
    return {name: f"{len(entries)} entries" for name, entries in found.items()}


def _subject(path: Path) -> Facts:
    facts: Facts = _json(path)
    return {key: value for key, value in facts.items() if key != "environment"}


_COMPACT = "neuronspec_compact.json"

_DESCRIBERS: dict[str, Callable[[Path], Facts]] = {
    "activations": _activations,
    "analysis": lambda path: _subject(path / "subject.json"),
    "checkpoint": lambda path: {"state": _json(path / CHECKPOINT_RECORD)},
    "corpus": lambda path: corpus_facts(path / "corpus.json"),
    "corpus report": corpus_facts,
    "exported model": _exported,
    "exported models": _exports,
    "findings": _findings,
    "masks": _masks,
    "model": _model,
    "recipe": _recipe,
    "results": _results,
    "run": _run,
    "subject": _subject,
    "stages": _stages,
    "sweep": _sweep,
    "tokenizer": _tokenizer,
    "training log": _log,
    "weights": _weights,
}
