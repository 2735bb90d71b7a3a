"""What was run, or analysed, as one sentence: date, model, text, time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from neuronspec.analysis.own_model import Subject
from neuronspec.recipe import Recipe


def about_run(
    recipe: Recipe,
    tasks: Mapping[str, Any],
    logs: Mapping[str, Sequence[Mapping[str, Any]]],
    environment: Mapping[str, Any],
) -> str:
    """Of a run.

    Args:
        recipe: of the run.
        tasks: by name, when each was finished and what it took, as `stages.json` has them.
        logs: by name (`base` and arms) the lines of its `log.jsonl`.
        environment: versions and machine.
    """
    days = [task["finished"] for task in tasks.values() if task.get("finished")]
    seconds = sum(task.get("seconds", 0.0) for task in tasks.values())
    arms = _listed(recipe.arm_names)
    base_start = _start(logs.get("base", ()))
    trained = f"{_model(recipe, base_start)} was {'trained' if base_start else 'taken as the baseline, as it is,'}"
    start = base_start or next(filter(None, map(_start, logs.values())), {})
    pairs = sum(one["pairs"] for one in start.get("directions", {}).values())
    text = f"{pairs:,} pairs of sentences in {len(start['directions'])} directions" if pairs else "text"
    where = environment.get("accelerator") or environment.get("processor")
    took = f", in {_duration(seconds)}" + (f" on {where}" if where else "") if seconds else ""
    how = "on" if base_start else "and continued on"
    then = f" and continued as {arms}" if base_start else f" as {arms}"
    return _sentence(max(days) if days else "", f"{trained} {how} {text} ({_sources(recipe)}){then}{took}.")


def about_model(subject: Subject) -> str:
    """Of a model that was analysed without a run."""
    return _sentence(
        subject.date,
        f"the neurons of {subject.model} ({subject.dtype}) were recorded on {subject.data}: up to {subject.sentences} "
        f"sentences in each of {len(subject.directions)} {'directions' if subject.pivot else 'languages'}.",
    )


def _start(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((line for line in lines if line.get("kind") == "start"), {})


def _model(recipe: Recipe, start: Mapping[str, Any]) -> str:
    size = start.get("parameters")
    shown = f" ({_millions(size)} parameters)" if size else ""
    if recipe.model.pretrained is not None:
        return f"the checkpoint {recipe.model.pretrained}{shown}"
    return f"a Transformer of preset {recipe.model.preset}{shown}"


def _sources(recipe: Recipe) -> str:
    """The readers of the training text, and what they read."""
    given = recipe.corpus.train
    told = []
    for source in given if isinstance(given, list) else [given]:
        settings = source.model_dump(exclude_unset=True)
        path, packages = settings.get("path"), settings.get("packages") or ()
        name = Path(str(path)).name if path else _listed(packages)
        told.append(" ".join(filter(None, [str(source.reader), name])))
    told = list(dict.fromkeys(told))  # a source may be read twice, with other limits
    shown = "; ".join(told[:3])
    return f"{shown} and {len(told) - 3} more sources" if len(told) > 3 else shown


def _listed(names: Sequence[str]) -> str:
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def _millions(number: int) -> str:
    return f"{number / 1e9:.1f} billion" if number >= 1e9 else f"{number / 1e6:.3g} million"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _sentence(date: str, text: str) -> str:
    """With `On 27 November 2026, ` before it, from an ISO date; without one it begins with a capital."""
    if not date:
        return text[0].upper() + text[1:]
    day = datetime.fromisoformat(date)
    return f"On {day.day} {day:%B %Y}, {text}"
