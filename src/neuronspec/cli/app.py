"""The command line: the application, its groups of commands, and how errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from neuronspec.cli import (
    analyse_commands,
    convert_commands,
    deploy_commands,
    evaluate_commands,
    init_commands,
    inspect,
    run_commands,
    sweep_commands,
)
from neuronspec.cli.output import show_log
from neuronspec.core.errors import NeuronspecError
from neuronspec.core.files import full_disk
from neuronspec.core.processes import launched, leave
from neuronspec.core.signals import INTERRUPTED, SignalReceived, heed_signals

app = typer.Typer(
    name="neuronspec",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Multilingual translation models whose neurons specialize: train on many directions, record which "
    "feed-forward neurons each uses, select the specialized ones, continue training with sparse layers, compare with "
    "controls.",
    epilog="Start with: neuronspec init demo, then: neuronspec run demo.yaml",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from neuronspec import __version__

        typer.echo(f"neuronspec {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show details too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show results, warnings and errors only.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    main_process = not launched() or os.environ["RANK"] == "0"
    show_log(-1 if quiet or not main_process else int(verbose))


for group in (
    init_commands,
    run_commands,
    sweep_commands,
    evaluate_commands,
    analyse_commands,
    inspect,
    deploy_commands,
    convert_commands,
):
    app.add_typer(group.commands)


def main() -> None:
    """Heed signals, and run the command line."""
    heed_signals()
    run()


def run() -> NoReturn:
    """Run the command line. Exits 0 done, 1 failed, 2 misused, 130 interrupted."""
    _use_utf_8()
    leave(_run())


def _use_utf_8() -> None:
    """Start again in Python's UTF-8 mode where the locale has another encoding, which can't even name some files."""
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 (the same command)


def _run() -> int:
    """Run the command; the exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except NeuronspecError as error:
        if error.exit_code != INTERRUPTED:
            typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        return error.exit_code
    except SignalReceived as stopped:
        typer.echo(str(stopped), err=True)
        return INTERRUPTED
    except RuntimeError as error:
        if not (launched() and "onnection" in str(error)):
            raise
        typer.echo("error: another process of this run has ended, so this one ends too: see its message", err=True)
        return 1
    except (FileExistsError, NotADirectoryError) as error:
        typer.echo(f"error: {error.filename} is a file, and a folder is needed there; name another place", err=True)
        return 1
    except Exception as error:
        reason, named = full_disk(error), getattr(error, "filename", None)
        where = f" ({named})" if named else ""
        if reason:
            where += f": make room {'there ' if named else ''}and repeat the command"
        elif isinstance(error, OSError):
            reason = error.strerror or str(error)
        else:
            raise
        typer.echo(f"error: {reason}{where}; what was finished before is kept", err=True)
        return 1
    return 0


if __name__ == "__main__":
    main()
