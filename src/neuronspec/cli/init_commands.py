"""The command `init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()


@commands.command(epilog="Example: neuronspec init demo, then: neuronspec run demo.yaml")
def init(
    name: Annotated[
        str | None, typer.Argument(help="Recipe or sweep that comes with neuronspec; see --list.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default, NAME.yaml.", show_default=False)
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="Print the names, one per line with a summary, and exit.")
    ] = False,
) -> None:
    """Write a recipe that comes with neuronspec, to run or to start from. A file that is there stays."""
    from neuronspec.core.bundled import bundled, write_bundled

    if list_all and (name or out):
        raise typer.BadParameter("--list takes no NAME and no --out")
    if list_all:
        known = bundled()
        width = max(map(len, known))
        for entry in known.values():
            typer.echo(f"{entry.name:{width}}  {entry.summary}")
        return
    if name is None:
        raise typer.BadParameter("give the NAME of a recipe; neuronspec init --list prints the names")
    written = write_bundled(name, out)
    for file in written:
        typer.echo(f"wrote {file}", err=True)
    command = "run" if bundled()[name].recipe is None else "sweep"
    typer.echo(f"next: neuronspec {command} {written[0]}", err=True)
