"""Make docs/reference/{cli,recipe,sweep}.md from the code: python tools/docs/generate_reference.py"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from neuronspec.analysis.settings import AnalysisSettings
from neuronspec.arms.settings import (
    AdapterSettings,
    ArmSettings,
    AveragedSettings,
    BaselinesSettings,
    BilingualSettings,
    LassSettings,
    LoraSettings,
)
from neuronspec.cli.app import app
from neuronspec.corpus.filters.settings import CharactersSettings, FilterSettings, LanguageIdSettings
from neuronspec.corpus.readers.registry import READERS
from neuronspec.corpus.readers.source import Source
from neuronspec.corpus.settings import CleaningSettings, CorpusSettings
from neuronspec.models.settings import ModelSettings, TokenizerSettings
from neuronspec.neurons.registry import CRITERIA
from neuronspec.neurons.settings import RecordingSettings, SelectionSettings
from neuronspec.recipe import Recipe
from neuronspec.report.settings import ReportSettings
from neuronspec.scoring.settings import ScoreSettings
from neuronspec.specialization.registry import SEMANTICS
from neuronspec.specialization.settings import SpecializationSettings
from neuronspec.sweep.settings import Entry, SlurmSettings, Sweep
from neuronspec.training.settings import ContinuationSettings, TrainingSettings
from neuronspec.translation.settings import EvaluationSettings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SECTIONS = {
    "(top level)": Recipe,
    "corpus": CorpusSettings,
    "every source of corpus.train, corpus.valid and corpus.test": Source,
    **{f"a source with reader: {name}": READERS.get(name) for name in READERS},
    "corpus.cleaning": CleaningSettings,
    "corpus.filters": FilterSettings,
    "corpus.filters.characters": CharactersSettings,
    "corpus.filters.language_id": LanguageIdSettings,
    "tokenizer": TokenizerSettings,
    "model": ModelSettings,
    "training and continuation": TrainingSettings,
    "continuation alone": ContinuationSettings,
    "recording": RecordingSettings,
    "selection": SelectionSettings,
    "specialization": SpecializationSettings,
    "an entry of arms": ArmSettings,
    "baselines": BaselinesSettings,
    "baselines.adapters": AdapterSettings,
    "baselines.lora": LoraSettings,
    "baselines.lass": LassSettings,
    "baselines.bilingual": BilingualSettings,
    "baselines.averaged": AveragedSettings,
    "evaluation": EvaluationSettings,
    "evaluation.scores": ScoreSettings,
    "analysis": AnalysisSettings,
    "report": ReportSettings,
}


LISTED = {
    SelectionSettings: (CRITERIA, "| criterion | what it selects |"),
    SpecializationSettings: (SEMANTICS, "| semantics | what it does |"),
}
"""Sections with the registry whose entries are explained below their keys."""


def recipe_reference() -> str:
    """The keys of a recipe, one table per section."""
    lines = [
        "# Recipe keys",
        "",
        "A recipe is a YAML file. Unknown keys are refused; `neuronspec validate RECIPE` lists every mistake at once.",
        "Any key can be set on the command line: `--set training.updates=200`. Paths start at the recipe's folder.",
        "Generated from the code: `make docs`.",
    ]
    return "\n".join(lines + _tables(SECTIONS)) + "\n"


def sweep_reference() -> str:
    """The keys of a sweep file."""
    lines = [
        "# Sweep keys",
        "",
        "A sweep is a YAML file for [`neuronspec sweep`](../sweeps.md). Generated from the code: `make docs`.",
    ]
    return "\n".join(lines + _tables({"(top level)": Sweep, "arms.ENTRY": Entry, "slurm": SlurmSettings})) + "\n"


def _tables(sections: dict[str, type[BaseModel]]) -> list[str]:
    """One table per section."""
    lines: list[str] = []
    for title, section in sections.items():
        lines += [
            "",
            f"## {title}",
            "",
            " ".join((section.__doc__ or "").split()),
            "",
            "| key | type | default | meaning |",
            "|---|---|---|---|",
        ]
        properties = section.model_json_schema()["properties"]
        shared = {
            key for base in (Source, TrainingSettings) if base in section.__mro__[1:] for key in base.model_fields
        }
        lines += [
            f"| `{name}` | {_type(properties[name])} | {_default(info)} | {info.description or ''} |"
            for name, info in section.model_fields.items()
            if name == "reader" or name not in shared
        ]
        if section in LISTED:
            registry, heading = LISTED[section]
            lines += ["", heading, "|---|---|"]
            lines += [f"| `{name}` | {_summary(registry.get(name))} |" for name in registry]
    return lines


def _summary(kind: type) -> str:
    """The first paragraph of a docstring, as one line."""
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split())


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"] if part.get("type") != "null")
    if (
        schema.get("$comment") == "section"
        or "oneOf" in schema
        or "$ref" in schema
        or (schema.get("default") == {} and not schema.keys() & {"additionalProperties", "patternProperties"})
    ):
        return "section"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return "list" if "prefixItems" in schema else f"list of {_type(schema['items'])}"
    names = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "object": "mapping",
    }
    return names[schema["type"]]


def _default(info: Any) -> str:
    if info.default is PydanticUndefined:
        return "required"
    if info.default is None:
        return ""
    if isinstance(info.default, BaseModel):
        return "see the section"
    return f"`{json.dumps(info.default)}`"


def cli_reference() -> str:
    """The commands with their arguments and options."""
    lines = [
        "# Command line",
        "",
        "Every command exits 0 when done, 1 when the work failed, 2 when it was misused, and 130 when",
        "interrupted. Generated from the code: `make docs`.",
    ]
    group = typer.main.get_command(app)
    lines += ["", "Options of `neuronspec` itself stand before the command:", "", "| option | meaning |", "|---|---|"]
    lines += [f"| `{', '.join(option.opts)}` | {option.help} |" for option in group.params]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        lines += [
            "",
            f"## neuronspec {name}",
            "",
            command.help,
            "",
            f"    {command.epilog.removeprefix('Example: ')}",
            "",
            "| argument | meaning |",
            "|---|---|",
        ]
        for parameter in command.params:
            label = (
                (parameter.metavar or parameter.name.upper())
                if parameter.param_type_name == "argument"
                else ", ".join(parameter.opts)
            )
            required = " (required)" if parameter.required and parameter.param_type_name == "option" else ""
            lines.append(f"| `{label}` | {parameter.help}{required} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / "recipe.md").write_text(recipe_reference(), encoding="utf-8")
    (REFERENCE / "cli.md").write_text(cli_reference(), encoding="utf-8")
    (REFERENCE / "sweep.md").write_text(sweep_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
