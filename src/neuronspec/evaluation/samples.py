"""Sample translations of all arms, read back from the evaluation folders."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neuronspec.core.checksums import verify
from neuronspec.core.errors import EvaluationError, PathError


@dataclass(frozen=True, slots=True)
class Sample:
    """One test sentence of a direction with every arm's translation, `arm: text`."""

    direction: str
    source: str
    reference: str
    translations: dict[str, str]


def read_lines(path: Path) -> list[str]:
    """The lines of a `.src`, `.hyp` or `.ref` file; only a line feed ends a line.

    Raises:
        EvaluationError: the file is missing or isn't UTF-8.
        RunError: it isn't what its run made.
    """
    verify(path)
    try:
        return _lines(path)
    except EvaluationError as error:
        raise EvaluationError(f"{error}; remove its folder and evaluate again") from None


def read_text_lines(path: Path) -> list[str]:
    """The lines of any text file, with or without a byte order mark; only LF and CR LF end a line.

    Raises:
        PathError: there is no such file.
        EvaluationError: it can't be read, or isn't UTF-8.
    """
    if not path.exists():
        raise PathError(f"{path} can't be read: No such file or directory")
    lines = _lines(path)
    return [lines[0].removeprefix("\ufeff"), *lines[1:]] if lines else []


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise EvaluationError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        if error.start == 0 and error.object.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise EvaluationError(f"{path} can't be read: it is in UTF-16; convert it to UTF-8") from None
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise EvaluationError(f"{path}:{line} can't be read: it isn't UTF-8") from None
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def read_samples(folder: Path, arms: Sequence[str], directions: Sequence[str], number: int) -> list[Sample]:
    """`number` sentences per direction, evenly spread over the test set.

    Args:
        folder: `RUN/evaluation`, with one folder per arm.
        arms: the arms to read; the first has translated all directions, another is left out where it has not.
        directions: such as `["en-de"]`.
        number: of sentences per direction.

    Raises:
        EvaluationError: a file is missing, or files differ in their number of lines.
    """
    from neuronspec.batching.in_order import spread

    found: list[Sample] = []
    for direction in directions:
        samples = _all_samples(folder, arms, direction)
        found.extend(samples[index] for index in spread(len(samples), number))
    return found


def good_samples(folder: Path, arms: Sequence[str], directions: Sequence[str], share: float) -> list[Sample]:
    """One sentence per direction, than which the first arm translates `share` of the test set no better, by chrF++.

    Args:
        folder: as of `read_samples`.
        arms: as there.
        directions: as there.
        share: 0 gives the sentence that is translated worst, 1 the one that is translated best.

    Raises:
        EvaluationError: as `read_samples`.
    """
    from sacrebleu.metrics import CHRF

    metric = CHRF(word_order=2)
    found: list[Sample] = []
    for direction in directions:
        samples = _all_samples(folder, arms, direction)
        scores = [metric.sentence_score(one.translations[arms[0]], [one.reference]).score for one in samples]
        ranked = sorted(range(len(samples)), key=scores.__getitem__)
        found.extend(samples[index] for index in ranked[round(share * (len(ranked) - 1)) :][:1])
    return found


def _all_samples(folder: Path, arms: Sequence[str], direction: str) -> list[Sample]:
    """Every test sentence of a direction, in order."""
    source, reference = (read_lines(folder / arms[0] / f"{direction}.{part}") for part in ("src", "ref"))
    files = {arm: folder / arm / f"{direction}.hyp" for arm in arms}
    translations = {arm: read_lines(file) for arm, file in files.items() if arm == arms[0] or file.exists()}
    for name, lines in {"reference": reference, **translations}.items():
        if len(lines) != len(source):
            raise EvaluationError(
                f"{folder}: {direction} has {len(source)} sources and {len(lines)} lines of {name}; "
                "evaluate the arms again"
            )
    return [
        Sample(direction, source[index], reference[index], {arm: lines[index] for arm, lines in translations.items()})
        for index in range(len(source))
    ]


def samples_text(samples: Sequence[Sample]) -> str:
    """Samples as plain text: a block each, with the direction, the source, the reference and every arm."""
    blocks = []
    for sample in samples:
        lines = {"source": sample.source, "reference": sample.reference, **sample.translations}
        width = max(map(len, lines)) + 2
        blocks.append("\n".join([sample.direction, *(f"  {name:{width}}{text}" for name, text in lines.items())]))
    return "\n\n".join(blocks)
