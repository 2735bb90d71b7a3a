"""Reader `wmt`: the test sets that sacreBLEU has in its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from neuronspec.core.errors import CorpusError
from neuronspec.corpus.readers.aligned import Aligned, AlignedSource, Tagged, files_of_pair
from neuronspec.corpus.readers.opening import find_files, no_files
from neuronspec.corpus.readers.source import PathOrPattern, Wanted, stamps

_FILE = r"(?P<direction>[^.]+-[^.]+)\.(?P<field>src|ref(?:-[^.]+)?)(?:\.(?:gz|xz|zst))?"


class WmtSource(AlignedSource):
    """Test sets of WMT, and the others that sacreBLEU knows: its cache, or what `--echo src` and `--echo ref` write.

    Files such as `wmt17.en-de.src` and `wmt17.en-de.ref`, in or below a folder, or those that a pattern means. Of
    several references, such as `ref-A` and `ref-B`, one is read. Nothing is downloaded, nor written into the cache.
    """

    reader: Literal["wmt"]
    path: PathOrPattern = Field(
        description="sacreBLEU's cache, ~/.sacrebleu, another folder, or a pattern such as ~/.sacrebleu/wmt19/*.en-*"
    )
    sets: list[str] = Field(min_length=1, description="the test sets, as sacreBLEU calls them: [wmt17, wmt21/B]")
    reference: str | None = Field(
        None, description="which of several references is read, A for ref-A; without it, the first that sacreBLEU uses"
    )

    @field_validator("path")
    @classmethod
    def _check_files(cls, path: Path, info: ValidationInfo) -> Path:
        if (info.context or {}).get("check_files") and not (path.is_dir() or find_files(path, ())):
            raise ValueError(no_files(path, (".src",)))
        return path

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of the files."""
        files = (path for name in self.sets for fields in self._fields(name).values() for path in fields.values())
        return stamps(sorted(files))

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files of all pairs and those of zero-shot pairs that are there, test set by test set.

        Raises:
            CorpusError: a pair has none, or files of both directions, or not the reference that is asked for.
        """
        for name in dict.fromkeys(self.sets):
            tagged = self._tagged(name)
            found = {pair: files_of_pair(tagged, pair) for pair in (*wanted.pairs, *wanted.also)}
            for (one, other), sets in found.items():
                if len(sets) > 1:
                    raise CorpusError(
                        f"{self.path}: {name} has both {' and '.join(sets)}, and {one} and {other} share their text; "
                        f"choose one with a pattern: path: FOLDER/*.{min(sets)}.*"
                    )
            missing = ["-".join(sorted(each, key=wanted.languages.index)) for each in wanted.pairs if not found[each]]
            if missing:
                fields = self._fields(name).items()
                there = ", ".join(f"{direction} ({', '.join(sorted(files))})" for direction, files in fields) or "none"
                raise CorpusError(
                    f"{self.path}: no text of {', '.join(missing)} for {name!r}; there is: {there}. "
                    f"sacrebleu -t {name} -l {missing[0]} --echo src puts it into the cache of sacreBLEU"
                )
            yield from (Aligned(f"{name}.{each}", paths) for sets in found.values() for each, paths in sets.items())

    def _tagged(self, name: str) -> list[Tagged]:
        """The sources and references of a test set, with their directions and languages."""
        tagged: list[Tagged] = []
        for direction, fields in self._fields(name).items():
            source, _, target = direction.partition("-")
            reference = self._reference(name, direction, fields)
            if "src" in fields and reference is not None:
                tagged += [(direction, source, fields["src"]), (direction, target, reference)]
        return tagged

    def _fields(self, name: str) -> dict[str, dict[str, Path]]:
        """The files of a test set by direction and field: `src`, `ref`, `ref-A`."""
        kind = re.compile(rf"{re.escape(name.replace('/', '_'))}\.{_FILE}")
        fields: dict[str, dict[str, Path]] = {}
        for file in sorted(self.path.rglob("*") if self.path.is_dir() else find_files(self.path, ())):
            if match := kind.fullmatch(file.name):
                known = fields.setdefault(match["direction"], {})
                other = known.setdefault(match["field"], file)
                if other != file:
                    raise CorpusError(f"two files of the same text: {other} and {file}; keep one")
        return fields

    def _reference(self, name: str, direction: str, fields: dict[str, Path]) -> Path | None:
        """The file of the reference that is read; None if there is none."""
        if self.reference is not None:
            return fields.get(f"ref-{self.reference}")
        order = [*_scored(name, direction), "ref", *fields]
        return next((fields[field] for field in order if field in fields and field != "src"), None)


def _scored(name: str, direction: str) -> list[str]:
    """The references that sacreBLEU scores a test set with, where it names some of those that there are."""
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        return []
    known = DATASETS[name]
    of_direction = known.langpairs.get(direction)
    chosen = of_direction.get("refs") if isinstance(of_direction, dict) else None
    return [f"ref-{label}" if label else "ref" for label in chosen or known.kwargs.get("refs", [])]
