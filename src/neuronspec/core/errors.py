"""Errors that speak to the user: what failed, the value seen, how to fix it.

Every error that a user can cause is a `NeuronspecError`. The command line prints its message without a
traceback and exits with its `exit_code`: 2 where the command or recipe was misused, 1 where the work failed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class NeuronspecError(Exception):
    """Base of all errors caused by input, files or settings. The message is written for the user."""

    exit_code = 1


class RecipeError(NeuronspecError):
    """A recipe (or a command's options) that can't be run as written."""

    exit_code = 2


class Mistakes(RecipeError, ValueError):
    """Mistakes in a recipe: its arguments, each a text that begins with the key that it is about.

    Such as `evaluation.beam is 0, ...` or, of an arm, `arms: lape-g: of: ...`. Validators of settings raise it, too.
    What knows where the recipe is written tells each with its file and line; see `neuronspec.core.mistakes`.
    """

    def __str__(self) -> str:
        return "\n".join(self.args)


class DirectionError(NeuronspecError):
    """A direction that can't be parsed, or that a model, mask file or run doesn't have."""

    exit_code = 2


class PathError(NeuronspecError):
    """A path given to a command or function where there is nothing, or nothing of the kind that it takes."""

    exit_code = 2


class InputError(NeuronspecError, TypeError):
    """An argument of another type than text, where text is translated."""

    exit_code = 2


class CorpusError(NeuronspecError):
    """Text that can't be read: missing files, bad encoding, wrong number of cells or lines."""


class ModelError(NeuronspecError):
    """A model that can't be loaded, or whose feed-forward layers aren't known."""


class MaskError(NeuronspecError):
    """Activations or masks that are damaged or don't fit the model."""


class RunError(NeuronspecError):
    """A run folder that can't be used: made by another recipe, locked, or damaged."""


class TrainingError(NeuronspecError):
    """Training that can't start or continue."""


class EvaluationError(NeuronspecError):
    """Test sets, hypotheses or scores that don't fit together."""


class MissingExtraError(NeuronspecError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}: install it with pip install 'neuronspec[{extra}]'")


@contextmanager
def told_as(kind: type[NeuronspecError], what: str, remedy: str = "") -> Iterator[None]:
    """Whatever a library raises in the block becomes one error for the user; errors of our own pass.

    For calls of libraries that read what a user gave, which may raise anything.

    Args:
        kind: of the error.
        what: the beginning of the message: what can't be done, with the path.
        remedy: its end: what the user can do.
    """
    try:
        yield
    except NeuronspecError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":  # how Rust's panics come
            raise
        raise kind("; ".join(filter(None, [f"{what}: {reason_of(error)}", remedy]))) from None


LONGEST_REASON = 300
"""Characters of a library's message that are shown."""


def reason_of(error: BaseException) -> str:
    """What a library's error says, in one line."""
    text = str(error).strip()
    if type(error).__name__ == "UnpicklingError" or "weights_only" in text:
        return "its weights hold more than tensors, so they could run code when they are read; they were not read"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError) or "can't allocate memory" in text:
        return "there is not enough memory for it"
    if isinstance(error, KeyError):
        return f"{text} is missing"
    line = " ".join((text.splitlines() or [""])[0].split())
    line = line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 3]}..."
    known = isinstance(error, OSError | ValueError | RuntimeError) or type(error).__name__ == "SafetensorError"
    return line if known and line else f"{type(error).__name__}: {line}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """The hint for a mistyped name: the nearest valid one, then all of them. Empty if there are none."""
    names = sorted(map(str, valid))
    if not names:
        return ""
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.6)
    listed = ", ".join(names)
    return f"did you mean {close[0]!r}? Valid: {listed}" if close else f"valid: {listed}"
