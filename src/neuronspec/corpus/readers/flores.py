"""Reader `flores`: the benchmarks FLORES-200 and FLORES+."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from neuronspec.core.errors import CorpusError
from neuronspec.core.json_files import parse_json
from neuronspec.core.settings import RecipePath
from neuronspec.corpus.readers.aligned import Aligned, Tagged
from neuronspec.corpus.readers.benchmark import FolderSource, of_languages
from neuronspec.corpus.readers.lines import read_blocks
from neuronspec.corpus.readers.parquet import check_sizes, opened_parquet
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows, Split, in_columns
from neuronspec.corpus.readers.source import Wanted

Part = Literal["dev", "devtest"]


class FloresSource(FolderSource):
    """FLORES-101, FLORES-200 and FLORES+: 2,009 sentences in more than 200 languages, multi-parallel.

    The folder as it is unpacked or downloaded, with the folders `dev` and `devtest`: files such as `deu_Latn.devtest`,
    `devtest.deu_Latn`, `deu_Latn.jsonl` or `deu_Latn.parquet`. Of the last two, the ids of the sentences must agree.
    """

    reader: Literal["flores"]
    path: RecipePath = Field(description="the folder, such as flores200_dataset; relative to the recipe's folder")
    parts: list[Part] = Field(
        ["devtest"], min_length=1, description="the parts that are read: dev (997 sentences), devtest (1,012), or both"
    )

    def groups(self, wanted: Wanted) -> Iterator[Aligned]:
        """The files of all languages, part by part.

        Raises:
            CorpusError: a language has none, or two.
        """
        for part in dict.fromkeys(self.parts):
            yield of_languages(part, self.path / part, self._tagged(part), wanted, f"deu_Latn.{part}")

    def all_files(self) -> Iterable[Path]:
        """The files of the parts, in all languages."""
        return (path for part in self.parts for _, _, path in self._tagged(part))

    def _tagged(self, part: Part) -> list[Tagged]:
        name = re.compile(rf"(?P<first>[^.]+)\.(?:{part}|jsonl|parquet)|{part}\.(?P<last>[^.]+)")
        matches = ((name.fullmatch(path.name), path) for path in sorted(self.path.glob(f"{part}/*")))
        return [("", match["first"] or match["last"], path) for match, path in matches if match]

    def check(self, wanted: Wanted, split: Split) -> None:
        """Read it all, as there is little of it.

        Raises:
            CorpusError: as `read`.
        """
        for _ in self.read(wanted, "test", ReadCounts()):
            pass

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The sentences.

        Raises:
            CorpusError: files are missing, can't be read, or don't have the same sentences.
        """
        for group in self.groups_of(wanted):
            yield from in_columns(_rows(group, split, counts), wanted.languages, split)


def _rows(group: Aligned, split: Split, counts: ReadCounts) -> Iterator[Row]:
    paths = list(group.paths.values())
    for number, sentences in enumerate(zip_longest(*map(_sentences, paths)), start=1):
        for path, sentence in zip(paths, sentences, strict=True):
            if sentence is None or sentences[0] is None or sentence[0] != sentences[0][0]:
                ids = ["none" if one is None else one[0] for one in (sentences[0], sentence)]
                raise CorpusError(
                    f"{paths[0]} and {path} don't have the same sentences: number {number} has the ids {ids[0]} and "
                    f"{ids[1]}; download both again"
                )
        counts.sources[group.name] += 1
        texts = {code: one[1] for code, one in zip(group.paths, sentences, strict=True) if one[1]}
        yield Row(texts, f"{group.name}:{number}", split)


def _sentences(path: Path) -> Iterator[tuple[Any, str]]:
    """The ids and texts of a file."""
    if path.suffix == ".parquet":
        yield from _of_parquet(path)
        return
    for first, lines in read_blocks(path):
        for number, line in enumerate(lines, start=first):
            yield _of_json(path, number, line) if path.suffix == ".jsonl" else (number, line)


def _of_json(path: Path, number: int, line: str) -> tuple[Any, str]:
    try:
        found = parse_json(line, dict[str, Any])
    except ValueError as error:
        raise CorpusError(f"{path}:{number}: not JSON: {error}; download the file again") from None
    return _checked(f"{path}:{number}", found)


def _of_parquet(path: Path) -> Iterator[tuple[Any, str]]:
    number = 0
    with opened_parquet(path) as file:
        check_sizes(path, file, ["id", "text"])
        for batch in file.iter_batches(columns=["id", "text"]):
            for found in batch.to_pylist():
                number += 1
                yield _checked(f"{path}: row {number}", found)


def _checked(place: str, found: dict[str, Any]) -> tuple[Any, str]:
    if "id" not in found or not isinstance(found.get("text"), str):
        raise CorpusError(f"{place}: lacks 'id' or 'text'; it has: {', '.join(found) or 'nothing'}")
    return found["id"], found["text"]
