"""The command that makes other toolkits' models openable here: convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuronspec.cli.options import JsonOption
from neuronspec.cli.output import keep_stdout_free, print_json

commands = typer.Typer()


@commands.command(
    epilog="Example: neuronspec convert checkpoint_best.pt --dict data-bin --spm spm.model --out models/mt-big"
)
def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="Checkpoint of fairseq (.pt); no code in it is executed.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create.", show_default=False)],
    dictionary: Annotated[
        Path | None,
        typer.Option(
            "--dict",
            help="dict.txt, or the folder of the binarized data that has it; by default beside the checkpoint.",
            show_default=False,
        ),
    ] = None,
    spm: Annotated[
        Path | None,
        typer.Option(help="SentencePiece model; by default the one beside the checkpoint.", show_default=False),
    ] = None,
    langs: Annotated[
        str | None,
        typer.Option(
            help="Languages with tags, in the order of the training: en,de,fr; by default as the checkpoint has them.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a multilingual Transformer of fairseq into a folder of Hugging Face, for model.pretrained and translate.

    It takes pre-norm Transformers of the task translation_multi_simple_epoch, such as the paper's mT-big.
    """
    from neuronspec.models.fairseq import convert_fairseq

    keep_stdout_free()
    languages = [each.strip() for each in langs.split(",")] if langs is not None else []
    facts = convert_fairseq(checkpoint, out, dictionary, spm, languages)
    if as_json:
        print_json(facts)
        return
    typer.echo(
        f"{facts['folder']}: {facts['parameters']:,} parameters, {facts['ids']:,} ids, "
        f"{len(facts['languages'])} languages"
    )
    lacking = facts["pieces_without_id"]
    if lacking:
        typer.echo(f"{lacking:,} pieces of the SentencePiece model aren't in the dictionary, and are read as <unk>")
