"""Reader `moses`: line-aligned text, one file for each language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import RecipePattern
from neuronspec.corpus.readers.aligned import (
    Aligned,
    AlignedSource,
    Tagged,
    files_of_languages,
    files_of_pair,
    the_only,
)
from neuronspec.corpus.readers.opening import archive_of, is_file, members
from neuronspec.corpus.readers.rows import Pair
from neuronspec.corpus.readers.source import Wanted, stamps


class MosesSource(AlignedSource):
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

    def groups(self, wanted: Wanted) -> list[Aligned]:
        """The files of all pairs and those of zero-shot pairs that are there, or those of all languages.

        Raises:
            CorpusError: files are missing or ambiguous.
        """
        missing: list[str] = []
        if "{pair}" in self.path:
            found = [each for pair in wanted.pairs for each in _of_pair(self.path, pair, missing)]
            found += [each for pair in wanted.also for each in _of_pair(self.path, pair, [])]
        else:
            paths = {code: Path(self.path.replace("{lang}", code)) for code in wanted.languages}
            if not all(is_file(path) for path in paths.values()):
                paths |= files_of_languages(_tagged(self.path), wanted.languages)
            missing += [f"  {path}" for path in paths.values() if not is_file(path)]
            found = [Aligned(_name(self.path), paths)]
        if missing:
            raise CorpusError("\n".join(["no such files (each line: what was looked for):", *missing]))
        return found


def _of_pair(pattern: str, pair: Pair, missing: list[str]) -> Iterator[Aligned]:
    """The files of a pair; what isn't there is added to `missing`."""
    tried = {
        name: {code: Path(pattern.replace("{pair}", name).replace("{lang}", code)) for code in pair}
        for name in (f"{pair[0]}-{pair[1]}", f"{pair[1]}-{pair[0]}")
    }
    found = {name: paths for name, paths in tried.items() if all(is_file(path) for path in paths.values())}
    if not found:
        found = files_of_pair(_tagged(pattern), pair)
    one = the_only(found, pair)
    if one is None:
        missing.append("  " + ", or ".join(" and ".join(map(str, paths.values())) for paths in tried.values()))
    else:
        yield Aligned(_name(pattern.replace("{pair}", one[0])), one[1])


def _name(pattern: str) -> str:
    return Path(pattern).name.replace(".{lang}", "").replace("{lang}", "")


def _all_files(pattern: str) -> list[Path]:
    """All files that a pattern can mean, also in archives."""
    literal = escape(pattern)  # [v2] in the name of a folder stands for itself
    outside, in_archive, member = literal.replace("{pair}", "*").replace("{lang}", "*").partition(".zip/")
    path = Path(outside + in_archive)
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    if not in_archive:
        return found
    inside = ((archive, name) for archive in found if archive.is_file() for name in sorted(members(archive)))
    return [archive / name for archive, name in inside if fnmatchcase(name, member)]


def _tagged(pattern: str) -> list[Tagged]:
    """The files that a pattern can mean, each with its `{pair}` (empty without one) and its `{lang}`."""
    parts: list[str] = []
    for part in re.split(r"(\{pair\}|\{lang\})", pattern):
        group = part[1:-1] if part in ("{pair}", "{lang}") else ""
        known = f"(?P<{group}>" in "".join(parts)
        parts.append(f"(?P={group})" if known else f"(?P<{group}>[^/]+?)" if group else re.escape(part))
    matches = ((re.fullmatch("".join(parts), str(path)), path) for path in _all_files(pattern) if is_file(path))
    return [(match.groupdict().get("pair", ""), match["lang"], path) for match, path in matches if match]
