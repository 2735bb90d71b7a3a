"""What this machine lacks for a recipe is told by `validate` and refused by `run`, before anything is written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.mutations import neuronspec
from tests.helpers.synthetic import write_recipe

from neuronspec.core.errors import CorpusError, MissingExtraError, NeuronspecError, RecipeError, TrainingError
from neuronspec.models.footprint import Room
from neuronspec.recipe import Recipe
from neuronspec.runs import footprint
from neuronspec.runs.footprint import memory_problem
from neuronspec.runs.requirements import check_machine, check_processes, warnings_of

GIGABYTE = 10**9

NEEDS = [
    ("tracking=[tensorboard]", "tensorboard", "train"),
    ("tracking=[wandb]", "wandb", "specialize"),
    ("tracking=[mlflow]", "mlflow", "train"),
    ("training.optimizer=adamw_8bit", "bitsandbytes", "train"),
    ("continuation.optimizer=adamw_8bit", "bitsandbytes", "specialize"),
    ("arms=[lora]", "peft", "specialize"),
    ("evaluation.engine=ctranslate2", "ctranslate2", "evaluate"),
    ("evaluation.too_long=split", "sentencex", "evaluate"),
    ("evaluation.scores.detokenise=true", "sacremoses", "evaluate"),
    ("seed=1", "plotly", "report"),
    ("corpus.train={reader: catalogs}", "polib", "prepare"),
    ("corpus.train={reader: catalogs}", "plone.app.locales", "prepare"),
]


@pytest.mark.parametrize(("change", "package", "stage"), NEEDS)
def test_a_missing_package(tmp_path: Path, absent: Any, change: str, package: str, stage: str) -> None:
    file = write_recipe(tmp_path)
    absent(package)
    outcome = neuronspec("validate", file, "--set", change, folder=tmp_path)
    assert outcome.code == 0 and ": valid" in outcome.out
    assert f"needs the package '{package}': install it with pip install 'neuronspec[" in outcome.err
    with pytest.raises(MissingExtraError, match=f"'{package}'"):
        check_machine(Recipe.load(file, [change]), [stage])


def test_a_missing_library_of_a_reader(tmp_path: Path, absent: Any) -> None:
    recipe = Recipe.load(write_recipe(tmp_path), ["corpus.train={reader: hf, path: someone/pairs}"])
    absent("datasets")
    with pytest.raises(CorpusError, match="'hf' needs the package 'datasets': install it with pip install datasets"):
        check_machine(recipe, ["prepare"])


@pytest.mark.parametrize("command", [("validate",), ("validate", "--json")])
def test_a_machine_that_has_all_gives_no_warning(tmp_path: Path, command: tuple[str, ...]) -> None:
    outcome = neuronspec(*command, write_recipe(tmp_path), folder=tmp_path)
    assert (outcome.code, outcome.err) == (0, "")


def test_scores_that_would_be_left_out(tmp_path: Path, absent: Any) -> None:
    file = write_recipe(tmp_path)
    absent("py3langid")
    change = f"evaluation.scores={{comet: {tmp_path}, comet_python: {sys.executable}}}"
    outcome = neuronspec("validate", file, "--set", change, folder=tmp_path)
    assert outcome.code == 0
    assert "leave a score out: evaluation.scores.off_target needs the package 'py3langid'" in outcome.err
    assert "leave a score out: evaluation.scores.comet: unbabel-comet is not installed" in outcome.err


def memory_of(free: float, total: float) -> Room:
    return Room("the machine", int(total * GIGABYTE), int(free * GIGABYTE))


def big(**training: Any) -> Recipe:
    """Of 242 million parameters: 3.9 GB with AdamW."""
    settings = {"updates": 10, "batch_tokens": 1000} | training
    return Recipe.model_validate(
        {
            "name": "big",
            "corpus": {"train": {"reader": "catalogs"}, "languages": ["de"]},
            "tokenizer": {"vocabulary": 64_000},
            "model": {"preset": "big"},
            "training": settings,
            "continuation": {"updates": 5},
        }
    )


def test_too_little_memory_for_the_model_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"^training needs about 3\.9 GB .* adamw \(242 million .* has 3\.0 GB"):
        memory_problem(big(), "training", memory_of(3, 3))
    assert memory_problem(big(optimizer="adafactor"), "training", memory_of(3, 3)) is None  # 1.9 GB


@pytest.mark.parametrize(
    ("settings", "room", "warned"),
    [
        ({}, memory_of(16, 16), False),
        ({"batch_tokens": 40_000}, memory_of(16, 16), True),
        ({"batch_tokens": 40_000, "gradient_checkpointing": True}, memory_of(16, 16), False),
        ({}, memory_of(2, 16), True),  # somebody else uses the rest now
        ({"parallel": "fsdp"}, memory_of(3, 3), True),  # how many processes will share it isn't known
    ],
)
def test_what_may_not_fit_is_warned_of(settings: dict[str, Any], room: Room, warned: bool) -> None:
    told = memory_problem(big(**settings), "training", room) or ""
    assert ("million parameters" in told) == warned
    assert ("fsdp shares" in told) == ("parallel" in settings)


def test_sharded_weights_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WORLD_SIZE", "8"), ("RANK", "0")):
        monkeypatch.setenv(name, value)
    assert memory_problem(big(parallel="fsdp"), "training", memory_of(3, 3)) is None
    with pytest.raises(RecipeError, match=r"training needs about 483\.8 MB"):
        memory_problem(big(parallel="fsdp"), "training", memory_of(0.4, 0.4))


@pytest.mark.parametrize("command", ["validate", "run"])
def test_commands_refuse_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(footprint, "room", lambda: memory_of(1e-4, 1e-4))
    file, run = write_recipe(tmp_path), tmp_path / "run"
    more = ("--out", run) if command == "run" else ()
    outcome = neuronspec(command, file, *more, folder=tmp_path)
    assert outcome.code == 2 and "too little for the model alone" in outcome.err and outcome.readable()
    assert [path.name for path in run.glob("*")] in ([], [".lock"])


def test_stages_that_train_nothing_need_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "room", lambda: memory_of(1e-4, 1e-4))
    check_machine(big(), ["prepare", "record", "select", "evaluate", "analyse", "report"])
    with pytest.raises(NeuronspecError, match="continuation needs"):
        check_machine(big(), ["specialize"])


def test_tags_of_new_languages_that_nothing_trains() -> None:
    """Both languages would be written after the same tag, for ever."""

    def told(**sections: Any) -> str:
        corpus = {"train": {"reader": "catalogs"}, "languages": ["de", "nds"]} | sections.pop("corpus", {})
        model = {"pretrained": "some/model", "new_languages": {"nds": "de"}}
        content = {"name": "trial", "corpus": corpus, "model": model, "continuation": {"updates": 5}}
        return "\n".join(warnings_of(Recipe.model_validate(content | sections), ["specialize"], here=False))

    every = "the tags of nds (as de) start as copies, and these arms leave them so: specialized, dense, random."
    frozen = {"continuation": {"updates": 5, "freeze_embeddings": True}}
    assert every in told(**frozen)
    assert not told(**frozen, training={"updates": 5})
    assert every in told(**frozen, training={"updates": 5, "freeze_embeddings": True})
    assert not told(**frozen, corpus={"directions": ["en-nds", "de-en"]})
    for trainable in ("ffn", "neurons"):
        assert not told(specialization={"trainable": trainable})
    assert not told()
    assert not told(arms=[{"name": "mine", "trainable": "neurons"}])
    adapters = told(arms=["adapters_family", "adapters_direction"])
    assert "leave them so: adapters_family." in adapters and "take adapters_direction" in adapters
    assert not told(arms=["adapters_family"], training={"updates": 5})
    assert not told(arms=["adapters_family"], corpus={"families": {"nds": "another"}})


@pytest.mark.parametrize("section", ["training", "continuation"])
def test_compilation_on_a_cpu_is_refused_before_anything_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    """That of the arms, too, which come after the baseline."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file, change = write_recipe(tmp_path), f"{section}.compile=true"
    told = f"{section}.compile is true, but the model is on a CPU"
    warned = neuronspec("validate", file, "--set", change, folder=tmp_path)
    assert warned.code == 0 and f"a run on this machine would stop: {told}" in warned.err
    refused = neuronspec("run", file, "--out", tmp_path / "run", "--set", change, folder=tmp_path)
    assert refused.code == 1 and told in refused.err
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]
    check_machine(Recipe.load(file, [change]), ["prepare", "record", "evaluate"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("arms=[{name: mine, arm: dense, coverage: 0.7}]", "arms: mine: the arm dense selects no neurons"),
        ("arms=[{name: mine, arm: lora, semantics: neuron}]", "arm lora doesn't depend on semantics"),
        ("continuation.mix_directions=true", "compute one direction per batch"),
        ("selection.coverage={encoder: 0.9}", "selection: no coverage for decoder"),
    ],
)
def test_validate_refuses_what_run_does(tmp_path: Path, change: str, told: str) -> None:
    file = write_recipe(tmp_path)
    arms = () if change.startswith("arms") else ("--set", "arms=[lora]")
    for command in (("validate", file), ("run", file, "--out", tmp_path / "run")):
        outcome = neuronspec(*command, "--set", change, *arms, folder=tmp_path)
        assert outcome.code == 2 and told in outcome.err, outcome.err


def test_what_several_processes_cannot_train_is_told_at_the_start(tmp_path: Path) -> None:
    """An arm, or sharding what drops layers, that comes long after the baseline."""
    file = write_recipe(tmp_path)
    recipe = Recipe.load(file, ["arms=[lora]"])
    tasks = ["prepare", "train", "specialize/lora", "specialize/dense"]
    with pytest.raises(TrainingError, match="an arm with lora by direction trains in one process"):
        check_processes(recipe, tasks, 2)
    check_processes(recipe, tasks, 1)
    check_processes(recipe, ["train", "specialize/dense"], 2)  # that one is trained already
    sharded = Recipe.load(file, ["continuation.parallel=fsdp", "model.encoder_layerdrop=0.1"])
    with pytest.raises(TrainingError, match="encoder_layerdrop and decoder_layerdrop to 0"):
        check_processes(sharded, ["train", "specialize/dense"], 2)
    check_processes(sharded, ["train"], 2)
    check_processes(sharded, ["specialize/dense"], 1)
    whole = Recipe.load(file, ["continuation.parallel=fsdp"])
    check_processes(whole, ["specialize/dense"], 2)
