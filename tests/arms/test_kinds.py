"""The table of what each kind of model can do: it is the documentation's, it names every arm, and it is obeyed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.families import FAMILIES, build_family, padded_inputs
from tests.helpers.toy_arm import toy_recipe
from transformers.activations import ACT2FN

from neuronspec.arms.arm import get_arm
from neuronspec.arms.kinds import ARMS, SETTINGS, _without_counts, check_kind, table
from neuronspec.arms.registry import ARMS as REGISTERED
from neuronspec.core.errors import RecipeError
from neuronspec.models.batch import Batch
from neuronspec.models.pretrained import FAMILIES as STARTS
from neuronspec.models.pretrained import kind_of, read_config
from neuronspec.models.settings import ModelSettings
from neuronspec.neurons.activations import SiteInfo
from neuronspec.neurons.recording import record_activations
from neuronspec.recipe import Recipe
from neuronspec.runs.requirements import check_machine

ACTIVATION_KEYS = (
    "feed_forward_proj", "activation_function", "hidden_activation", "hidden_act", "dense_act_fn", "is_gated_act"
)  # fmt: skip
PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"

ASKED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "recording.positions: prompt or continuation": (
        {"recording": {"positions": "prompt"}}, {"new", "encoder-decoder"}
    ),
    "evaluation.engine: ctranslate2": ({"evaluation": {"engine": "ctranslate2"}}, set()),
    "evaluation.zero_shot": ({"evaluation": {"zero_shot": ["de-fr"]}}, {"causal"}),
    "specialization.components: encoder": ({"specialization": {"components": "encoder"}}, {"causal"}),
    "selection.granularity: language or family": ({"selection": {"granularity": "language"}}, {"causal"}),
    "selection.coverage/fraction of encoder and decoder": (
        {"selection": {"coverage": {"encoder": 0.9, "decoder": 0.8}}}, {"causal"}
    ),
    "selection.coverage/fraction of layers": ({"selection": {"coverage": {"layers": 0.9}}}, {"new", "encoder-decoder"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of each kind, a folder with the configuration of a model."""
    found = {}
    for kind, family in (("encoder-decoder", "t5"), ("causal", "llama")):
        found[kind] = tmp_path_factory.mktemp(kind)
        build_family(family).config.save_pretrained(found[kind])
    return found


def recipe_of(kind: str, checkpoints: dict[str, Path], asked: dict[str, Any]) -> Recipe:
    evaluation = {"max_new_tokens": 32, **asked.get("evaluation", {})}  # of the 64 positions of the tiny models
    recipe = toy_recipe(**asked | {"evaluation": evaluation})
    if kind == "new":
        return recipe
    return recipe.model_copy(update={"model": ModelSettings(pretrained=str(checkpoints[kind]))})


@pytest.mark.parametrize(
    ("kind", "entry", "message"),
    [
        ("new", {"fraction": {"layers": 0.2}, "criterion": "exclusive"}, "selection.coverage/fraction of layers"),
        ("causal", {"components": "encoder"}, "specialization.components: encoder"),
        ("causal", {"granularity": "language"}, "selection.granularity"),
    ],
)
def test_settings_of_an_arm_of_its_own_are_checked(
    kind: str, entry: dict[str, Any], message: str, checkpoints: dict[str, Path]
) -> None:
    with pytest.raises(RecipeError, match=message):
        check_kind(recipe_of(kind, checkpoints, {"arms": [{"name": "mine"} | entry]}))


def test_the_page_has_the_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8")


def test_every_arm_is_in_it() -> None:
    assert set(REGISTERED.names) == set(ARMS)
    for needed in ("specialized", "dense", "random", "lora"):
        assert not ARMS[needed].refused
    assert set(ASKED) == set(SETTINGS)


@pytest.mark.parametrize("kind", ["new", "encoder-decoder", "causal"])
@pytest.mark.parametrize("name", ASKED)
def test_what_is_refused_is_refused_and_nothing_else(name: str, kind: str, checkpoints: dict[str, Path]) -> None:
    asked, refused = ASKED[name]
    recipe = recipe_of(kind, checkpoints, asked)
    assert kind_of(recipe.model) == kind
    if kind in refused:
        reason = re.escape(SETTINGS[name].refused[kind])
        for check in (check_kind, lambda recipe: check_machine(recipe, ["prepare"])):
            with pytest.raises(RecipeError, match=reason):
                check(recipe)
    else:
        check_kind(recipe)


def test_positions_make_pooling_by_language_possible(checkpoints: dict[str, Path]) -> None:
    asked = {"selection": {"granularity": "language"}, "recording": {"positions": "continuation"}}
    check_kind(recipe_of("causal", checkpoints, asked))


@pytest.mark.parametrize("kind", ["new", "encoder-decoder", "causal"])
def test_all_arms_but_bilingual_are_for_all(kind: str, checkpoints: dict[str, Path]) -> None:
    arms = [name for name in REGISTERED.names if name != "bilingual"]
    recipe = recipe_of(kind, checkpoints, {"arms": arms, "baselines": {"lass": {"updates": 2}}})
    check_kind(recipe)
    for name in arms:
        get_arm(name).check(recipe)


def test_a_checkpoint_that_cant_be_converted_is_refused(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    recipe = toy_recipe(evaluation={"engine": "ctranslate2"})
    for content, reason in (
        ({"model_type": "mbart", "is_encoder_decoder": True}, "begins with the target's code"),
        ({"model_type": "gemma2"}, "soft caps"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, r"\(llama3\)"),
        ({"model_type": "gpt2"}, "not 'gpt2'"),
        ({"model_type": "umt5", "is_encoder_decoder": True}, "not 'umt5'"),
        ({"model_type": "m2m_100", "encoder_attention_heads": 2, "decoder_attention_heads": 4}, "as many attention"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(content))
        with pytest.raises(RecipeError, match=f"evaluation.engine: .*{reason}"):
            check_kind(recipe.model_copy(update={"model": ModelSettings(pretrained=str(tmp_path))}))


def test_what_evaluation_has_no_room_for_is_told_before_anything_is_trained(checkpoints: dict[str, Path]) -> None:
    for asked, told in (({"max_new_tokens": 64}, "has 64 positions"), ({"beam": 51}, "vocabulary has 50 tokens")):
        with pytest.raises(RecipeError, match=f"evaluation.{next(iter(asked))} is .*{told}"):
            check_kind(recipe_of("causal", checkpoints, {"evaluation": asked}))
    check_kind(recipe_of("causal", checkpoints, {"evaluation": {"max_new_tokens": 63, "beam": 50}}))
    check_kind(recipe_of("encoder-decoder", checkpoints, {"evaluation": {"max_new_tokens": 1000}}))


@pytest.mark.parametrize("kind", ["new", "causal"])
def test_a_criterion_that_reads_counts_is_refused_where_magnitudes_are_recorded(
    kind: str, checkpoints: dict[str, Path]
) -> None:
    def check(selection: dict[str, Any], **asked: Any) -> None:
        recipe = recipe_of(kind, checkpoints, {"selection": selection, **asked})
        if kind == "new":
            recipe = recipe.model_copy(update={"model": ModelSettings(preset="tiny", activation_function="gelu")})
        check_kind(recipe)

    informed = {"criterion": "mutual_information", "fraction": 0.2}
    nested = {"criterion": "union", "parameters": {"of": ["cumulative", {"criterion": "mutual_information"}]}}
    told = "the model's FFNs have (gelu|a gate and silu), where .*use statistic: count"
    for selection in (informed, nested):
        with pytest.raises(RecipeError, match=f"^selection: {told}"):
            check(selection)
        check({**selection, "statistic": "count"})
    with pytest.raises(RecipeError, match=f"^arms: mine: selection: {told}"):
        check({}, arms=[{"name": "mine", **informed}])
    check({"criterion": "exclusive"})


def test_a_criterion_that_reads_counts_is_for_models_with_relu(checkpoints: dict[str, Path]) -> None:
    for kind in ("new", "encoder-decoder"):
        check_kind(recipe_of(kind, checkpoints, {"selection": {"criterion": "mutual_information"}}))


@pytest.mark.parametrize("named", [True, False], ids=["named", "left out"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if build_family(name).config.model_type in STARTS])
def test_every_family_is_told_as_the_recording_says(
    family: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where config.json names no activation, as those of some older checkpoints."""
    model = build_family(family)
    config = model.config.to_dict()
    if not named:
        config = {key: value for key, value in config.items() if key not in ACTIVATION_KEYS}
        changed = {key: value for key, value in type(model.config)().to_dict().items() if key in ACTIVATION_KEYS}
        model = type(model)(type(model.config).from_dict(model.config.to_dict() | changed))
    monkeypatch.setattr("neuronspec.arms.kinds.read_config", lambda model: config)
    kind = "encoder-decoder" if model.config.is_encoder_decoder else "causal"
    recorded = record_activations(model.eval(), [Batch("en-de", padded_inputs(model))])
    told = _without_counts(recipe_of("encoder-decoder", {"encoder-decoder": tmp_path}, {}), kind)
    assert (told is None) == (recorded.statistic == "count")


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_behind_a_gate_counts_are_refused_early_whatever_the_activation(activation: str, tmp_path: Path) -> None:
    config = {"model_type": "llama", "hidden_act": activation, "max_position_embeddings": 64, "vocab_size": 50}
    (tmp_path / "config.json").write_text(json.dumps(config))
    recipe = recipe_of("causal", {"causal": tmp_path}, {"selection": {"criterion": "mutual_information"}})
    with pytest.raises(RecipeError, match=f"the model's FFNs have a gate and {activation}, where .*is magnitude"):
        check_kind(recipe)


@pytest.mark.parametrize("where", ["selection", "arms: mine: selection"])
@pytest.mark.parametrize(
    ("corpus", "selection", "told"),
    [
        (
            {"directions": "out"},
            {"criterion": "lape", "granularity": "language"},
            "LAPE needs two .* encoder .* only en",
        ),
        (
            {"directions": "into"},
            {"criterion": "exclusive", "granularity": "language"},
            "exclusive .* decoder .* only en",
        ),
        ({"languages": ["de", "nl"]}, {"criterion": "mutual_information", "granularity": "family"}, "only Germanic"),
        ({"directions": ["en-de"]}, {"criterion": "lape"}, "encoder has only en-de"),
        (
            {"directions": "out"},
            {"criterion": "union", "granularity": "language", "parameters": {"of": ["lape", "cumulative"]}},
            "LAPE needs two",
        ),
        (
            {"directions": "out"},
            {"criterion": "random", "granularity": "language", "parameters": {"like": "exclusive"}},
            "exclusive needs two",
        ),
        ({}, {"coverage": {"encoder": 0.9}}, "no coverage for decoder of de-en: give 'decoder'"),
        ({}, {"coverage": {"encoder": 0.9, "decoder/out": 0.9}}, "no coverage for decoder of de-en"),
        ({}, {"criterion": "top_fraction", "fraction": {"decoder": 0.9}}, "no fraction for encoder of de-en"),
        ({}, {"criterion": "lape", "fraction": {"decoder": 0.1}}, "no fraction for encoder"),
    ],
)
def test_neurons_that_could_not_be_selected_are_told_before_anything_is_recorded(
    where: str, corpus: dict[str, Any], selection: dict[str, Any], told: str
) -> None:
    """Each would be refused after the recording; see the tests of criteria."""
    asked: dict[str, Any] = {"corpus": {"train": {"reader": "catalogs"}, "languages": ["de", "fr"]} | corpus}
    asked |= {"selection": selection} if where == "selection" else {"arms": [{"name": "mine", **selection}]}
    recipe = toy_recipe(**asked)
    with pytest.raises(RecipeError, match=f"^{where}: .*{told}"):
        check_kind(recipe)
    with pytest.raises(RecipeError, match=f"^{where}: .*{told}"):
        check_machine(recipe, ["train"])


@pytest.mark.parametrize("criterion", ["lape", "exclusive", "mutual_information"])
def test_several_groups_on_each_side_can_be_compared(criterion: str) -> None:
    for corpus, granularity in ((["en-de", "fr-en"], "language"), ("out", "direction"), ("both", "family")):
        languages = {"train": {"reader": "catalogs"}, "languages": ["de", "fr"], "directions": corpus}
        check_kind(toy_recipe(corpus=languages, selection={"criterion": criterion, "granularity": granularity}))


@pytest.mark.parametrize("name", ["relu2", "relu6"])
def test_other_rectifiers_count_as_the_recording_says(
    name: str, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = SiteInfo(name="layers.0", width=2, activation=type(ACT2FN[name]).__name__, gated=False, keeps_sign=True)
    assert recorded.counts_mean_firing
    config = read_config(recipe_of("encoder-decoder", checkpoints, {}).model) | {"feed_forward_proj": name}
    monkeypatch.setattr("neuronspec.arms.kinds.read_config", lambda model: config)
    check_kind(recipe_of("encoder-decoder", checkpoints, {"selection": {"criterion": "mutual_information"}}))


def test_stages_after_the_baseline_do_without_the_checkpoint(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    recipe = toy_recipe().model_copy(update={"model": ModelSettings(pretrained=str(tmp_path / "gone"))})
    check_machine(recipe, ["select"])
    with pytest.raises(RecipeError, match="gone"):
        check_machine(recipe, ["prepare"])
