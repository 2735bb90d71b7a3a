"""Reader `moses`: line-aligned text, one file for each language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from neuronspec.core.direction import match_direction
from neuronspec.core.errors import CorpusError, DirectionError
from neuronspec.core.languages import best_tags
from neuronspec.core.settings import RecipePattern
from neuronspec.corpus.readers.lines import count_lines, read_blocks
from neuronspec.corpus.readers.opening import archive_of, is_file, members
from neuronspec.corpus.readers.rows import LineOrigins, Pair, ReadCounts, Rows, Split
from neuronspec.corpus.readers.source import Source, Wanted, stamps


@dataclass(frozen=True, slots=True)
class _Aligned:
    """Files whose lines belong together, by language."""

    name: str
    paths: dict[str, Path]


class MosesSource(Source):
    """Line-aligned text, one file for each language (the Moses layout).

    In the pattern, `{lang}` is a language code and `{pair}` a language pair, tried as `en-de` and as `de-en`. Where
    there are no files of these names, languages may be spelled otherwise: `eng_Latn-deu_Latn`. A pattern without
    `{pair}` names one multi-parallel file per language. Empty lines are missing text.

    Files may be compressed (`train.{pair}.{lang}.gz`, `.xz`, `.zst`) or lie in archives, as OPUS ships them:
    `Books/{pair}.txt.zip/Books.{pair}.{lang}`.
    """

    reader: Literal["moses"]
    path: RecipePattern = Field(
        description="pattern with {pair} (source-target, either order) and {lang}: text/train.{pair}.{lang}"
    )

    @field_validator("path")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        if "{lang}" not in pattern:
            raise ValueError(f"pattern {pattern!r} lacks {{lang}}; for example text/train.{{pair}}.{{lang}}")
        return pattern

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of all files that the pattern can mean."""
        return stamps(archive_of(path) or path for path in _all_files(self.path))

    def check(self, wanted: Wanted) -> None:
        """Find all files and count their lines.

        Raises:
            CorpusError: files are missing, ambiguous, unreadable, or of different length.
        """
        _check_lengths(self._files(wanted))

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the files, pair by pair.

        Raises:
            CorpusError: as `check`.
        """
        for group in self._files(wanted):
            yield from _read(group, split, counts)

    def _files(self, wanted: Wanted) -> list[_Aligned]:
        missing: list[str] = []
        if "{pair}" in self.path:
            found = [each for pair in wanted.pairs for each in _of_pair(self.path, pair, missing)]
        else:
            paths = {code: Path(self.path.replace("{lang}", code)) for code in wanted.languages}
            if not all(is_file(path) for path in paths.values()):
                paths |= _of_languages(_tagged(self.path), wanted.languages)
            missing += [f"  {path}" for path in paths.values() if not is_file(path)]
            found = [_Aligned(Path(self.path).name, paths)]
        if missing:
            raise CorpusError("\n".join(["no such files (each line: what was looked for):", *missing]))
        return found


def _of_pair(pattern: str, pair: Pair, missing: list[str]) -> Iterator[_Aligned]:
    """The files of a pair; what isn't there is added to `missing`."""
    tried = {
        name: {code: Path(pattern.replace("{pair}", name).replace("{lang}", code)) for code in pair}
        for name in (f"{pair[0]}-{pair[1]}", f"{pair[1]}-{pair[0]}")
    }
    found = {name: paths for name, paths in tried.items() if all(is_file(path) for path in paths.values())}
    if not found:
        found = _spelled_otherwise(pattern, pair)
    if len(found) > 1:
        first, second, *_ = ([str(path) for path in paths.values()] for paths in found.values())
        raise CorpusError(
            f"two sets of files for {pair[0]} and {pair[1]}: {', '.join(first)} and {', '.join(second)}; keep one"
        )
    if not found:
        missing.append("  " + ", or ".join(" and ".join(map(str, paths.values())) for paths in tried.values()))
    for name, paths in found.items():
        yield _Aligned(Path(pattern).name.replace("{pair}", name), paths)


def _all_files(pattern: str) -> list[Path]:
    """All files that a pattern can mean, also in archives."""
    outside, in_archive, member = pattern.replace("{pair}", "*").replace("{lang}", "*").partition(".zip/")
    path = Path(outside + in_archive)
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not in_archive:
        return found
    inside = ((archive, name) for archive in found if archive.is_file() for name in sorted(members(archive)))
    return [archive / name for archive, name in inside if fnmatchcase(name, member)]


def _tagged(pattern: str) -> list[tuple[str, str, Path]]:
    """The files that a pattern can mean, each with its `{pair}` (empty without one) and its `{lang}`."""
    parts: list[str] = []
    for part in re.split(r"(\{pair\}|\{lang\})", pattern):
        group = part[1:-1] if part in ("{pair}", "{lang}") else ""
        known = f"(?P<{group}>" in "".join(parts)
        parts.append(f"(?P={group})" if known else f"(?P<{group}>[^/]+?)" if group else re.escape(part))
    matches = ((re.fullmatch("".join(parts), str(path)), path) for path in _all_files(pattern) if is_file(path))
    return [(match.groupdict().get("pair", ""), match["lang"], path) for match, path in matches if match]


def _of_languages(tagged: list[tuple[str, str, Path]], languages: Sequence[str]) -> dict[str, Path]:
    """By language, the file whose name has a tag of it.

    Raises:
        CorpusError: there are two for a language.
    """
    paths = {tag: path for _, tag, path in tagged}
    found = best_tags(paths, languages)
    for code, tags in found.items():
        if len(tags) > 1 and code not in tags:
            raise CorpusError(f"two files for {code}: {paths[tags[0]]} and {paths[tags[1]]}; keep one")
    return {code: paths[code if code in tags else tags[0]] for code, tags in found.items()}


def _spelled_otherwise(pattern: str, pair: Pair) -> dict[str, dict[str, Path]]:
    """By the spelling of the pair, the files of a pair whose names spell its languages in another way."""
    by_name: dict[str, list[tuple[str, str, Path]]] = {}
    for each in _tagged(pattern):
        by_name.setdefault(each[0], []).append(each)
    found = {}
    for name, tagged in by_name.items():
        try:
            direction = match_direction(name, pair)
        except DirectionError:
            continue
        paths = _of_languages(tagged, pair)
        if {direction.source, direction.target} == set(pair) == paths.keys():
            found[name] = paths
    return found


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


def _read(group: _Aligned, split: Split, counts: ReadCounts) -> Iterator[Rows]:
    languages = list(group.paths)
    name = group.name.replace(".{lang}", "").replace("{lang}", "")
    for blocks in zip(*(read_blocks(path) for path in group.paths.values()), strict=True):
        first, lines = blocks[0]
        counts.sources[name] += len(lines)
        texts = {code: lines for code, (_, lines) in zip(languages, blocks, strict=True)}
        yield Rows(texts, LineOrigins(name, first), split)
