"""The model card of exported folders on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence

from neuronspec.core.direction import Direction, languages_of
from neuronspec.core.languages import base_language
from neuronspec.deploy.manifest import DirectionFacts, Manifest
from neuronspec.models.hub import CARD_MARK
from neuronspec.specialization.model_card import TAG
from neuronspec.specialization.registry import SEMANTICS

_KINDS = {"bundle": "a bundle", "dense": "a dense model", "direction": "a folder per direction"}


def export_card(manifests: Sequence[Manifest], repo: str) -> str:
    """The text of the model card of a CTranslate2 model, or of several in one repository.

    Args:
        manifests: of the folders.
        repo: `user/model`, where they go.
    """
    from huggingface_hub import ModelCardData

    rows = {name: (facts, each) for each in manifests for name, facts in each.directions.items()}
    languages = languages_of(map(Direction.parse, sorted(rows)))
    data = ModelCardData(
        language=list(dict.fromkeys(map(base_language, languages))) or None,
        library_name="ctranslate2",
        pipeline_tag="translation",
        tags=[TAG, "translation", "ctranslate2"],
    )
    kinds = dict.fromkeys(_KINDS[each.kind] for each in manifests)
    what = " and ".join(kinds) if len(rows) > 1 else "one direction"
    quantizations = ", ".join(dict.fromkeys(each.quantization for each in manifests))
    table = "\n".join(_row(name, facts, each) for name, (facts, each) in sorted(rows.items()))
    return (
        f"---\n{data.to_yaml()}\n---\n{CARD_MARK}\n\n# {repo.rpartition('/')[2]}\n\n"
        f"A translation model of {len(languages)} languages: {', '.join(languages)}. It was exported by neuronspec to "
        f"[CTranslate2](https://opennmt.net/CTranslate2/) ({quantizations}), {what}.{_about(manifests)}\n\n"
        f"## Use\n\nDownload it with `hf download {repo}`, then:\n\n```python\nimport neuronspec as ns\n\n"
        f'translator = ns.Translator("{repo}")\ntranslator("...", "{min(rows)}")\n```\n\n'
        f"`neuronspec serve {repo}` answers requests.\n\n"
        f"## Directions\n\n| direction | neurons | of the dense model's | chrF++ | change by export |\n"
        f"|---|---|---|---|---|\n{table}\n\n"
        "chrF++ is that of the sample by which the export was verified, where it had references; the change is "
        "the difference from the model that was exported.\n\n"
        "## Licence\n\nNot stated: add `license:` to the metadata above before you share the model. If it was "
        "made from another model, that one's licence binds it, too.\n"
    )


def _about(manifests: Sequence[Manifest]) -> str:
    cut = {bool(each.semantics and SEMANTICS.get(each.semantics).compacts) for each in manifests}
    if cut == {False}:
        return ""
    which = "Each direction computes" if cut == {True} else "Directions with less than 100% of the neurons compute"
    return (
        f" {which} only the feed-forward neurons that were selected for it "
        "([Tan et al., 2024](https://arxiv.org/abs/2404.11201))."
    )


def _row(name: str, facts: DirectionFacts, manifest: Manifest) -> str:
    check = facts.verification
    score = "" if check is None or check.chrf is None else f"{check.chrf:.1f}"
    change = "" if check is None or check.chrf_difference is None else f"{check.chrf_difference:+.1f}"
    return f"| {name} | {facts.neurons:,} | {facts.neurons / manifest.dense_neurons:.0%} | {score} | {change} |"
