"""The table of what each arm, and each setting that not all models have, does on each kind of model. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neuronspec.arms.arm import arm_of
from neuronspec.core.errors import MaskError, Mistakes, RecipeError
from neuronspec.models.dimensions import UNGATED
from neuronspec.models.pretrained import Kind, kind_of, read_config
from neuronspec.neurons.criteria.criterion import Criterion
from neuronspec.neurons.pooling import groups_of
from neuronspec.neurons.registry import CRITERIA
from neuronspec.recipe import Recipe
from neuronspec.translation.convertible import why_not_converted

KINDS: Mapping[Kind, str] = {
    "new": "new model",
    "encoder-decoder": "encoder-decoder checkpoint",
    "causal": "decoder-only checkpoint",
}

_SIDES = "a zero-shot direction takes the encoder of one direction and the decoder of another, and there is no encoder"


_POSITIONS = ("max_position_embeddings", "n_positions")
_ACTIVATIONS = ("feed_forward_proj", "activation_function", "hidden_activation", "hidden_act", "ffn_activation")
_DEFAULT_ACTIVATIONS = {
    "bloom": "gelu", "gpt2": "gelu_new", "gpt_neox": "gelu", "marian": "gelu", "mbart": "gelu", "mt5": "gated-gelu",
}  # fmt: skip
"""Of the types whose configuration may not name one and that have no ReLU then."""
_RECTIFIED = ("relu", "relu2", "relu6")
"""What configurations call activations behind which counts are recorded."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a recipe that not every kind of model can do.

    Args:
        asked: whether a recipe asks for it.
        refused: by kind, why it can't.
    """

    asked: Callable[[Recipe], bool]
    refused: Mapping[Kind, str]


def _arm(name: str, refused: Mapping[Kind, str] | None = None) -> Part:
    return Part(lambda recipe: name in recipe.arm_kinds, refused or {})


ARMS: Mapping[str, Part] = {
    "specialized": _arm("specialized"),
    "dense": _arm("dense"),
    "random": _arm("random"),
    "magnitude": _arm("magnitude"),
    "top_fraction": _arm("top_fraction"),
    "lora": _arm("lora"),
    "adapters_direction": _arm("adapters_direction"),
    "adapters_family": _arm("adapters_family"),
    "adapters_matched": _arm("adapters_matched"),
    "lass": _arm("lass"),
    "finetune": _arm("finetune"),
    "averaged": _arm("averaged"),
    "bilingual": _arm(
        "bilingual", dict.fromkeys(("encoder-decoder", "causal"), "it trains new models, of a preset's shape")
    ),
}

SETTINGS: Mapping[str, Part] = {
    "recording.positions: prompt or continuation": Part(
        lambda recipe: recipe.recording.positions != "both",
        dict.fromkeys(("new", "encoder-decoder"), "the encoder reads the source, and the decoder the target"),
    ),
    "evaluation.engine: ctranslate2": Part(lambda recipe: recipe.evaluation.engine == "ctranslate2", {}),
    "evaluation.zero_shot": Part(lambda recipe: bool(recipe.evaluation.zero_shot), {"causal": _SIDES}),
    "specialization.components: encoder": Part(
        lambda recipe: recipe.specialization.components == "encoder", {"causal": "there is no encoder"}
    ),
    "selection.granularity: language or family": Part(
        lambda recipe: recipe.selection.granularity != "direction" and recipe.recording.positions == "both",
        {"causal": "the same layers read source and target; it needs recording.positions: prompt or continuation"},
    ),
    "selection.coverage/fraction of encoder and decoder": Part(
        lambda recipe: bool({"encoder", "decoder"} & _sides_of(recipe)),
        {"causal": "there is one stack of layers: give one number, or layers, layers/out, ..."},
    ),
    "selection.coverage/fraction of layers": Part(
        lambda recipe: "layers" in _sides_of(recipe),
        dict.fromkeys(("new", "encoder-decoder"), "give it for encoder and decoder"),
    ),
}


def check_arms(recipe: Recipe) -> None:
    """Check that the arms of a recipe can be trained as it has them.

    Raises:
        Mistakes: what they can't do.
    """
    problems: list[str] = []
    for name in recipe.arm_names:
        try:
            arm, own = arm_of(recipe, name)
            arm.check(own)
        except RecipeError as error:
            problems += error.args
    if problems:
        raise Mistakes(*dict.fromkeys(problems))


def check_kind(recipe: Recipe) -> None:
    """Check that the model of a recipe can do all that the recipe asks for.

    Raises:
        Mistakes: it can't.
        RecipeError: there is no such checkpoint.
        ModelError: its config.json can't be read.
    """
    kind = kind_of(recipe.model)
    problems = list(_problems(recipe, kind))
    problems = problems or [*_not_converted(recipe), *_too_much(recipe, kind), *_cant_select(recipe, kind)]
    if problems:
        raise Mistakes(*problems)


def table() -> str:
    """Both tables as Markdown, for the documentation."""
    lines = [f"| | {' | '.join(KINDS.values())} |", f"|---|{'---|' * len(KINDS)}"]
    for name, part in [*((f"arm `{name}`", part) for name, part in ARMS.items()), *_described()]:
        cells = (f"no: {part.refused[kind]}" if kind in part.refused else "yes" for kind in KINDS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _described() -> Iterator[tuple[str, Part]]:
    for name, part in SETTINGS.items():
        key, *rest = name.split(" of ")
        yield " of ".join([f"`{key}`", *rest]), part


def _problems(recipe: Recipe, kind: Kind) -> Iterator[str]:
    recipes = [recipe, *map(recipe.for_arm, recipe.arm_names)]
    for name, part in [*((f"arms: {name}", part) for name, part in ARMS.items()), *SETTINGS.items()]:
        if kind in part.refused and any(map(part.asked, recipes)):
            article = "an" if kind == "encoder-decoder" else "a"
            yield f"{name}: {article} {KINDS[kind]} can't do that, since {part.refused[kind]}"


def _not_converted(recipe: Recipe) -> list[str]:
    """Why the engine can't run the checkpoint."""
    if recipe.evaluation.engine != "ctranslate2" or recipe.model.pretrained is None:
        return []
    reason = why_not_converted(read_config(recipe.model))
    return [f"evaluation.engine: {reason}; use transformers"] if reason else []


def _too_much(recipe: Recipe, kind: Kind) -> Iterator[str]:
    """What evaluation asks for and the checkpoint hasn't: it would be told when all is trained."""
    if recipe.model.pretrained is None:
        return
    config, asked = read_config(recipe.model), recipe.evaluation
    positions = next((config[key] for key in _POSITIONS if isinstance(config.get(key), int)), None)
    if kind == "causal" and positions is not None and asked.max_new_tokens >= positions:
        yield (
            f"evaluation.max_new_tokens is {asked.max_new_tokens}, and the model has {positions} positions for the "
            "prompt and the translation together: give a smaller one"
        )
    vocabulary = config.get("vocab_size")
    if isinstance(vocabulary, int) and asked.beam > vocabulary:
        yield f"evaluation.beam is {asked.beam}, and the vocabulary has {vocabulary} tokens; usual are 4 to 10"


def _cant_select(recipe: Recipe, kind: Kind) -> Iterator[str]:
    """Why neurons can't be selected from what will be recorded: it would be told after the recording."""
    corpus, sides = recipe.corpus, ("layers",) if kind == "causal" else ("encoder", "decoder")
    activation = _without_counts(recipe, kind)
    recipes = {"selection": recipe} | {f"arms: {name}: selection": recipe.for_arm(name) for name in recipe.arm_names}
    for where, one in recipes.items():
        selection, because = one.selection, ""
        if activation is not None and selection.statistic == "auto":
            selection = selection.model_copy(update={"statistic": "magnitude"})
            because = f"the model's FFNs have {activation}, where statistic: auto is magnitude, and "
        try:
            criterion: Criterion = CRITERIA.get(selection.criterion).from_settings(selection, corpus.pivot)
        except RecipeError as error:
            yield f"{where}: {because}{error}"
            return
        positions, granularity = recipe.recording.positions, selection.granularity
        try:
            criterion.check(groups_of(corpus.all_directions, sides, positions, granularity, corpus.families))
        except (MaskError, RecipeError) as error:
            yield f"{where}: {error}"
            return


def _without_counts(recipe: Recipe, kind: Kind) -> str | None:
    """What the model's FFNs have, where a value > 0 doesn't mean that the neuron fired; None where it does."""
    if recipe.model.pretrained is None:
        config: Mapping[str, Any] = {"activation_function": recipe.model.activation_function}
    else:
        config = read_config(recipe.model)
    default = _DEFAULT_ACTIVATIONS.get(str(config.get("model_type")), "relu")
    activation: str = next((config[key] for key in _ACTIVATIONS if isinstance(config.get(key), str)), default)
    gated = kind == "causal" and config.get("model_type") not in UNGATED
    if activation in _RECTIFIED and not gated:
        return None
    return f"a gate and {activation}" if gated else activation


def _sides_of(recipe: Recipe) -> set[str]:
    """The sides that coverage or fraction is given for."""
    given = recipe.selection.coverage, recipe.selection.fraction
    return {key.partition("/")[0] for value in given if isinstance(value, Mapping) for key in value}
