"""The commands that use a trained model: compact, export, push, translate, serve."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from neuronspec.cli.options import (
    MANY,
    AllowPluginsOption,
    DeviceOption,
    DirectionsArgument,
    JsonOption,
    ModelArgument,
    NoVerifyOption,
    PivotOption,
    PrecisionOption,
    ThreadsOption,
)
from neuronspec.cli.output import keep_stdout_free, print_json, progress
from neuronspec.cli.translating import check_other, in_place_of, translate_file
from neuronspec.deploy.documents.registry import FILLED, FORMATS, SUPPORTED
from neuronspec.translation.quantizations import QUANTIZATIONS

logger = logging.getLogger(__name__)

commands = typer.Typer()
FoldersOption = Annotated[
    Path, typer.Option("--out", "-o", help="Folder to create; several directions with masks get a folder each in it.")
]


@commands.command(epilog="Example: neuronspec compact runs/demo en-de --out models/en-de")
def compact(
    model: ModelArgument,
    directions: DirectionsArgument = None,
    out: FoldersOption = ...,  # type: ignore[assignment]
    pivot: PivotOption = None,
    as_json: JsonOption = False,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Cut the compact model of a direction out of a specialized model: a folder for ns.load_compact."""
    from neuronspec.deploy.directions import compact_directions

    keep_stdout_free()
    _print(compact_directions(model, directions or [], out, pivot), as_json)


@commands.command(epilog="Example: neuronspec export runs/demo --all --quantization int8 --out exported")
def export(
    model: ModelArgument,
    directions: DirectionsArgument = None,
    out: FoldersOption = ...,  # type: ignore[assignment]
    every: Annotated[
        bool, typer.Option("--all", help="Every direction that has masks, or text in a dense arm's run.")
    ] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="One folder for all directions of a specialized model, with its masks.")
    ] = False,
    format_: Annotated[
        Literal["ctranslate2"], typer.Option("--format", help="Format of the exported model.")
    ] = "ctranslate2",
    quantization: Annotated[str, typer.Option(help=f"Type of the weights: {', '.join(QUANTIZATIONS)}.")] = "int8",
    verify: Annotated[int, typer.Option(min=0, max=MANY, help="Sentences per direction to verify with; 0: none.")] = 64,
    sample: Annotated[
        Path | None,
        typer.Option(
            help="Sentences to verify all directions with, one per line; by default, the run's test set.",
            show_default=False,
        ),
    ] = None,
    pivot: PivotOption = None,
    as_json: JsonOption = False,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Export directions to CTranslate2, verified: they translate a sample as the model itself does.

    Each direction of a specialized model gets a folder; a dense model is one folder for all of them.
    """
    from neuronspec.deploy.directions import export_directions, export_one_bundle

    keep_stdout_free()
    if sample is not None and not verify:
        raise typer.BadParameter("--verify 0 verifies nothing: leave it out, or --sample")
    if bundle:
        if directions or pivot:
            raise typer.BadParameter(
                "--bundle holds all directions, and composes others itself: name none, nor --pivot"
            )
        _print(export_one_bundle(model, out, quantization, verify, sample), as_json)
        return
    if every and directions:
        raise typer.BadParameter("--all takes every direction: name none, or leave --all out")
    chosen = None if every else directions or []
    _print(export_directions(model, chosen, out, quantization, verify, sample, pivot, progress()), as_json)


@commands.command(epilog="Example: neuronspec push runs/demo user/model --private")
def push(
    model: ModelArgument,
    repository: Annotated[str, typer.Argument(metavar="USER/MODEL", help="Repository on the hub.", show_default=False)],
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Of a new repository.", show_default="as the account has it"),
    ] = None,
    arm: Annotated[str, typer.Option(help="Arm of a run.")] = "specialized",
    as_json: JsonOption = False,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Upload a model with its masks, or an export, with tokenizer and model card to the Hugging Face hub."""
    from neuronspec.deploy.push import push_folder

    keep_stdout_free()
    _print([push_folder(model, repository, arm=arm, private=private)], as_json)


@commands.command(
    help=f"Translate text line by line, or a document in its format, by its ending: {', '.join(SUPPORTED)}.",
    epilog="Examples: neuronspec translate exported --from en --to de text.en > text.de\n\n"
    "neuronspec translate exported --from en --to de de.po --in-place --tm memory.tmx --glossary terms.tsv",
)
def translate(
    model: Annotated[Path, typer.Argument(help="Exported folder, run folder or model folder.", show_default=False)],
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="What to translate: a file or a folder; - is standard input.")
    ] = "-",
    source: Annotated[str, typer.Option("--from", help="Language of the text.", show_default=False)] = ...,  # type: ignore[assignment]
    target: Annotated[str, typer.Option("--to", help="Language to translate to.", show_default=False)] = ...,  # type: ignore[assignment]
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File or folder to write; by default, standard output.", show_default=False),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            help=f"Format, where the ending doesn't say it: {', '.join(FORMATS)}.",
            metavar="FORMAT",
            show_default=False,
        ),
    ] = None,
    beam: Annotated[int, typer.Option(min=1, max=1000, help="Beam size.")] = 5,
    nbest: Annotated[
        int, typer.Option(min=1, max=1000, help="Hypotheses per line, as 'number ||| text ||| score'.")
    ] = 1,
    scores: Annotated[bool, typer.Option("--scores", help="Put the score and a tab before each translation.")] = False,
    split: Annotated[bool, typer.Option("--split", help="Translate each sentence of a line separately.")] = False,
    column: Annotated[
        str | None,
        typer.Option(
            help="Column to translate: its number or header in a .tsv or .csv file, its field in a .jsonl file.",
            show_default="the only one; text",
        ),
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help=f"Fill the file itself; only for {', '.join(FILLED)} files.")
    ] = False,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Translate .po entries that are marked fuzzy, too.")] = False,
    tag: Annotated[
        str | None,
        typer.Option(
            help="Write text and translations as JSON lines: training text for a source with this domain, such as bt.",
            show_default=False,
        ),
    ] = None,
    tm: Annotated[
        list[Path] | None,
        typer.Option(
            help="Translation memory, .tmx, .xlf or .po: exact matches are taken from it; repeat it for several.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    glossary: Annotated[
        Path | None,
        typer.Option(
            help="Terms and their translations, tab-separated: lists the texts whose translation lacks one.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    batch_tokens: Annotated[int, typer.Option(min=1, max=MANY, help="Padded source tokens in one batch.")] = 4096,
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Translate a document, or standard input."""
    if in_place:
        out = in_place_of(file, out, source, kind)
    else:
        check_other(file, out, source, kind)
    settings = {"beam": beam, "n_best": nbest, "batch_tokens": batch_tokens}
    options = {"device": device, "precision": precision, "threads": threads, "split": split}
    translate_file(
        model,
        (source, target),
        file,
        out,
        {"scores": scores, "column": column, "fuzzy": fuzzy, "tag": tag},
        settings,
        options,
        kind,
        (tm or [], glossary),
    )


@commands.command(epilog="Example: neuronspec serve exported --port 8000")
def serve(
    model: Annotated[Path, typer.Argument(help="Exported folder, run folder or model folder.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen at; by default, this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at.")] = 8000,
    memory: Annotated[
        float | None,
        typer.Option(
            min=0, max=MANY, help="Megabytes of exported models to keep loaded; by default, all.", show_default=False
        ),
    ] = None,
    threads: ThreadsOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    beam: Annotated[int, typer.Option(min=1, max=1000, help="Beam size.")] = 5,
    characters: Annotated[int, typer.Option(min=1, max=MANY, help="Most characters in a request.")] = 10_000,
    queue: Annotated[int, typer.Option(min=1, max=MANY, help="Most characters waiting; then 429.")] = 200_000,
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="Maximal time of a request, in seconds.")] = 30.0,
    file_bytes: Annotated[int, typer.Option(min=1, max=MANY, help="Most bytes of a file to translate.")] = 1_000_000,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys (their SHA-256) with their limits; without it, none is needed.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    suggestions: Annotated[
        Path | None,
        typer.Option(
            help="File that suggested translations are appended to; without it, they are refused.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            help="Site whose pages may use the server, such as https://example.org; repeat it for several; '*' for "
            "any. By default, none.",
            metavar="ORIGIN",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name that clients reach the server by, beside localhost and --host; repeat it for several; '*' for "
            "any.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    allow_plugins: AllowPluginsOption = False,
    no_verify: NoVerifyOption = False,
) -> None:
    """Serve translations: LibreTranslate's interface, a page to try it, health and metrics."""
    from neuronspec.deploy.server.serve import serve as run_server

    limits: dict[str, Any] = {"characters": characters, "queue": queue, "seconds": seconds, "document": file_bytes}
    engine = {"memory": memory, "threads": threads, "device": device, "precision": precision}
    options = engine | {"beam": beam, "n_best": min(beam, 5)}
    posture = {"cors": tuple(cors or ()), "allowed": tuple(allow_host or ())}
    keep_stdout_free()
    run_server(model, host, port, limits, options, posture, keys, suggestions)


def _print(facts: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        for each in facts:
            typer.echo(each["summary"])
