"""The model card of a specialized model: README.md with the metadata that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neuronspec.core.direction import Monolingual, languages_of, parse_task
from neuronspec.core.languages import base_language
from neuronspec.models.hub import CARD_MARK, HUB_NAME, card_metadata
from neuronspec.specialization.registry import SEMANTICS

if TYPE_CHECKING:
    from neuronspec.neurons.masks import NeuronMasks

TAG = "neuronspec"
_SNAPSHOT = re.compile(r"models--([^/]+)--([^/]+)[/\\]snapshots[/\\]")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card tells beside the masks.

    Args:
        repo: `user/model`, where it goes.
        base: the checkpoint that the model was made from: a name on the hub or a folder, if it is known.
        causal: whether it is a model without an encoder.
        directions: of a model without masks.
        scores: by the name of a metric, by direction.
        tested_on: what the scores were computed on.
        tags: further ones.
    """

    repo: str
    base: str | None = None
    causal: bool = False
    directions: Sequence[str] = ()
    scores: Mapping[str, Mapping[str, float]] | None = None
    tested_on: str = ""
    tags: Sequence[str] = ()


def model_card(masks: NeuronMasks | None, facts: CardFacts) -> str:
    """The text of a model card.

    Args:
        masks: of the model; None for one without.
        facts: what else is known. The licence is that of the base's own card.
    """
    from huggingface_hub import ModelCardData

    directions = sorted(masks or facts.directions)
    languages = languages_of(map(parse_task, directions))
    base = card_metadata(facts.base) if facts.base else {}
    named = facts.base if facts.base and HUB_NAME.fullmatch(facts.base) else None
    licence = {key: base[key] for key in ("license", "license_name", "license_link") if base.get(key)}
    data = ModelCardData(
        language=list(dict.fromkeys(map(base_language, languages))) or None,
        base_model=named,
        library_name="transformers",
        pipeline_tag="text-generation" if facts.causal else "translation",
        tags=list(dict.fromkeys([TAG, "translation", *facts.tags])),
        **licence,
    )
    parts = [
        f"---\n{data.to_yaml()}\n---\n{CARD_MARK}\n\n# {facts.repo.rpartition('/')[2]}",
        _about(masks, named, languages),
        "## Use\n\n" + _usage(masks, facts, directions),
        _directions(masks, facts, directions),
        "## Licence\n\n" + _licence(named, bool(facts.base), licence),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def base_of(config: Any) -> str | None:
    """The checkpoint that a model was loaded from, as its configuration knows it."""
    name = str(getattr(config, "name_or_path", "") or "")
    if cached := _SNAPSHOT.search(name):
        return "/".join(cached.groups())
    return name if HUB_NAME.fullmatch(name) or Path(name, "config.json").is_file() else None


def _about(masks: NeuronMasks | None, base: str | None, languages: Sequence[str]) -> str:
    origin = f", made from [{base}](https://huggingface.co/{base})" if base else ""
    known = f" of {len(languages)} languages: {', '.join(languages)}" if languages else ""
    if masks is None:
        return f"A translation model{known}{origin}."
    info = masks.info
    coverage = info.coverage if not isinstance(info.coverage, dict) else ", ".join(
        f"{side} {k}" for side, k in info.coverage.items()
    )  # fmt: skip
    rows = {
        "criterion": info.criterion,
        "coverage k": coverage,
        _share(masks): f"{masks.sparsity():.3f}",
        "semantics": info.semantics,
        "directions with masks": len(masks),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items() if value is not None)
    return (
        f"A translation model{known}{origin}. Each direction has feed-forward neurons of its own "
        "([Tan et al., 2024](https://arxiv.org/abs/2404.11201)): `neuron_masks.safetensors`, written by "
        f"neuronspec.\n\n| | |\n|---|---|\n{table}"
    )


def _is_dense(masks: NeuronMasks) -> bool:
    """Whether the semantics leave the forward pass of the dense model as it is."""
    semantics = masks.info.semantics
    return semantics is not None and not SEMANTICS.get(semantics).compacts


def _share(masks: NeuronMasks) -> str:
    return f"sparsity (share of neurons {'not updated' if _is_dense(masks) else 'left out'})"


def _usage(masks: NeuronMasks | None, facts: CardFacts, directions: Sequence[str]) -> str:
    if masks is None:
        kind = "CausalLM" if facts.causal else "Seq2SeqLM"
        return (
            f"```python\nfrom transformers import AutoModelFor{kind}, AutoTokenizer\n\n"
            f'model = AutoModelFor{kind}.from_pretrained("{facts.repo}")\n'
            f'tokenizer = AutoTokenizer.from_pretrained("{facts.repo}")\n```'
        )
    direction = directions[0]
    translates = f'`ns.Translator("{facts.repo}")("...", "{direction}")` translates text.\n\n'
    return (
        f"Download it with `hf download {facts.repo}`, then:\n\n```python\nimport neuronspec as ns\n\n"
        f'model = ns.load("{facts.repo}")\nwith ns.use_direction(model, "{direction}"):\n'
        "    model.generate(...)\n```\n\n"
        f"{'' if isinstance(parse_task(direction), Monolingual) else translates}"
        "`transformers` alone loads the weights without the masks. "
        + (
            "They say which neurons a direction's training changed; the model computes the same without them."
            if _is_dense(masks)
            else "They were trained to be used with them: outside of a direction the model computes another function."
        )
    )


def _directions(masks: NeuronMasks | None, facts: CardFacts, directions: Sequence[str]) -> str:
    scores = {name: found for name, found in (facts.scores or {}).items() if found}
    if not masks and not scores:
        return ""
    columns = ["direction", *(["sparsity"] if masks else []), *scores]
    sparsity = masks.sparsity("direction") if masks else {}
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name in directions:
        cells = [name, *([f"{sparsity[name]:.3f}"] if masks else [])]
        cells += [f"{found[name]:.1f}" if name in found else "" for found in scores.values()]
        lines.append(f"| {' | '.join(cells)} |")
    tested = f"\n\nScores on {facts.tested_on}." if scores and facts.tested_on else ""
    return "## Directions\n\n" + "\n".join(lines) + tested


def _licence(base: str | None, is_made_from: bool, licence: Mapping[str, Any]) -> str:
    origin = base or "the model that this one was made from"
    if not licence:
        binds = f" The licence of {origin} binds this model, too." if is_made_from else ""
        return f"Not stated: add `license:` to the metadata above before you share the model.{binds}"
    name = str(licence.get("license_name") or licence["license"])
    limits = " It allows no commercial use." if "-nc" in name.lower() else ""
    return f"{name}, the licence of {origin}.{limits}"
