"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuronspec.translation.quantizations import PRECISIONS

MANY = 1_000_000_000
"""The largest number that an option takes where no other bound makes sense."""

RecipeArgument = Annotated[Path, typer.Argument(help="Recipe file (YAML).", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)]
ModelArgument = Annotated[
    Path,
    typer.Argument(metavar="RUN_OR_MODEL", help="Run folder, or model folder.", show_default=False),
]
DirectionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="DIRECTION...", help="Directions, such as en-de.", show_default=False)
]

OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Run folder to create or to continue; by default, runs/NAME.", show_default=False),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Set a key of the recipe, as section.key=value. Repeatable.", show_default=False),
]
TablesOption = Annotated[
    Path | None, typer.Option(help="Folder to write the tables to, as CSV, Markdown and LaTeX.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
PivotOption = Annotated[
    str | None,
    typer.Option(help="Language that zero-shot directions are composed over, if there are several candidates."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads.", show_default=False)]
DeviceOption = Annotated[
    str | None, typer.Option(help="Device to compute on: cpu, cuda, or of several GPUs cuda:1.", show_default=False)
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help=f"What a GPU computes in: {', '.join(PRECISIONS)}; by default, as the weights are stored.",
        show_default=False,
    ),
]


def _allow_plugins(given: bool) -> bool:
    if given:
        from neuronspec.core.plugins import allow_plugins

        allow_plugins()
    return given


AllowPluginsOption = Annotated[
    bool,
    typer.Option(
        "--allow-plugins",
        callback=_allow_plugins,
        help="Import the plug-ins that the recipe of the run names: code that runs on this machine.",
    ),
]


def _no_verify(given: bool) -> bool:
    if given:
        from neuronspec.core.checksums import skip_verification

        skip_verification()
    return given


NoVerifyOption = Annotated[
    bool,
    typer.Option("--no-verify", callback=_no_verify, help="Don't check stored files against their checksums."),
]
