"""Reader `moses`: line-aligned text, one file a language side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.lines import count_lines, read_blocks
from neuronspec.corpus.readers.rows import LineOrigins, ReadCounts, Rows, Split, pairs_of, used_languages
from neuronspec.corpus.settings import MosesCorpus


@dataclass(frozen=True, slots=True)
class _Aligned:
    """Files whose lines belong together, by language."""

    split: Split
    name: str
    paths: dict[str, Path]


def read_moses(corpus: MosesCorpus, counts: ReadCounts) -> Iterator[Rows]:
    """The rows of line-aligned files; files and line counts are all checked before the first row.

    In a pattern, `{lang}` is a language code and `{pair}` a language pair, tried as `en-de` and as `de-en`. A pattern
    without `{pair}` names one multi-parallel file a language. Empty lines are missing text.

    Raises:
        CorpusError: files are missing, ambiguous, unreadable, or of different length.
    """
    aligned: list[_Aligned] = []
    missing: list[str] = []
    patterns: list[tuple[Split, str | None]] = [("train", corpus.train), ("valid", corpus.valid), ("test", corpus.test)]
    for split, pattern in patterns:
        if pattern is not None:
            aligned += _find(corpus, split, pattern, missing)
    if missing:
        raise CorpusError("\n".join(["no such files (each line: what was looked for):", *missing]))
    _check_lengths(aligned)
    for group in aligned:
        yield from _read(group, counts)


def _find(corpus: MosesCorpus, split: Split, pattern: str, missing: list[str]) -> Iterator[_Aligned]:
    """The files of a split; what isn't there is added to `missing`."""
    if "{pair}" not in pattern:
        paths = {code: Path(pattern.replace("{lang}", code)) for code in used_languages(corpus)}
        missing += [f"  {path}" for path in paths.values() if not path.is_file()]
        yield _Aligned(split, Path(pattern).name, paths)
        return
    for pair in pairs_of(corpus):
        tried = {
            name: {code: Path(pattern.replace("{pair}", name).replace("{lang}", code)) for code in pair}
            for name in (f"{pair[0]}-{pair[1]}", f"{pair[1]}-{pair[0]}")
        }
        found = {name: paths for name, paths in tried.items() if all(path.is_file() for path in paths.values())}
        if len(found) == 2:
            first, second = ([str(path) for path in paths.values()] for paths in found.values())
            raise CorpusError(
                f"two sets of files for {pair[0]} and {pair[1]}: {', '.join(first)} and {', '.join(second)}; keep one"
            )
        if not found:
            missing.append("  " + ", or ".join(" and ".join(map(str, paths.values())) for paths in tried.values()))
        for name, paths in found.items():
            yield _Aligned(split, Path(pattern).name.replace("{pair}", name), paths)


def _check_lengths(aligned: list[_Aligned]) -> None:
    problems = []
    for group in aligned:
        lengths = {path: count_lines(path) for path in group.paths.values()}
        if len(set(lengths.values())) > 1:
            problems.append("; ".join(f"{path} has {length} lines" for path, length in lengths.items()))
    if problems:
        raise CorpusError(
            "\n".join(
                ["files that must be aligned line by line differ in length:", *(f"  {line}" for line in problems)]
            )
        )


def _read(group: _Aligned, counts: ReadCounts) -> Iterator[Rows]:
    languages = list(group.paths)
    name = group.name.replace(".{lang}", "").replace("{lang}", "")
    for blocks in zip(*(read_blocks(path) for path in group.paths.values()), strict=True):
        first, lines = blocks[0]
        counts.sources[name] += len(lines)
        texts = {code: lines for code, (_, lines) in zip(languages, blocks, strict=True)}
        yield Rows(texts, LineOrigins(name, first), group.split)
