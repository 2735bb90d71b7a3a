"""Reader `hf`: data sets of the library `datasets`, in a folder or in the cache of the Hugging Face hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from neuronspec.core.errors import CorpusError, NeuronspecError, PathError, told_as
from neuronspec.core.settings import from_recipe_folder, not_empty
from neuronspec.corpus.readers.arrow_columns import TextColumns
from neuronspec.corpus.readers.lines import count_lines
from neuronspec.corpus.readers.parquet import check_columns, read_texts
from neuronspec.corpus.readers.rows import BLOCK_ROWS, LineOrigins, ReadCounts, Rows, Split
from neuronspec.corpus.readers.scores import MIN_SCORES, MinScores, judged, score_codes
from neuronspec.corpus.readers.source import Source, Wanted, stamps
from neuronspec.corpus.readers.tables import COLUMNS, Columns

_CALLED: dict[Split, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("validation", "valid", "dev"),
    "test": ("test",),
}
"""What data sets call the splits."""

LONGEST_TEXT_LINE = 2**26
"""Bytes of a line of JSON or CSV at most: the library reads it as a whole, and a file may be one list on one line."""


class HfSource(Source):
    """A data set of the library `datasets`, read row by row.

    `path` is a folder that `save_to_disk` wrote, a folder of files that `load_dataset` reads (Parquet, JSON, CSV), or a
    name on the Hugging Face hub (`user/data`), of which the cache must have the files: nothing is downloaded, and no
    code of a data set runs. The columns, or the fields of `translation`, are named by language codes in any spelling;
    null and empty strings are missing text. Rows are counted from 1.
    """

    reader: Literal["hf"]
    path: str = Field(description="a folder, relative to the recipe's folder, or a name on the hub: user/data")
    name: str | None = Field(None, description="the configuration of the data set, such as de-en")
    split: str | None = Field(
        None, description="of the data set; without it, train, validation (or valid, dev) or test, as the source is for"
    )
    revision: str | None = Field(None, description="branch, tag or commit of a data set on the hub")
    columns: Columns = COLUMNS
    min_scores: MinScores = MIN_SCORES

    @field_validator("path")
    @classmethod
    def _resolve(cls, path: str, info: ValidationInfo) -> str:
        from neuronspec.models.hub import HUB_NAME

        resolved = from_recipe_folder(not_empty(path), info)
        if Path(resolved).is_dir():
            return resolved
        if Path(resolved).is_file():
            raise ValueError(f"{resolved} is a file; name its folder, or read it with another reader, such as parquet")
        if HUB_NAME.fullmatch(path):
            return path
        if (info.context or {}).get("check_files"):
            raise ValueError(f"no such folder: {resolved}")
        return resolved

    def inputs(self) -> dict[str, Any]:
        """The sizes and times of the files; of a data set on the hub, by name, of what the cache has."""
        try:
            folder = self._folder()
        except CorpusError:
            return {}
        files = stamps(sorted(path for path in folder.rglob("*") if path.is_file()))
        return files if str(folder) == self.path else {self.path: {"snapshot": folder.name, "files": len(files)}}

    def missing(self) -> list[NeuronspecError]:
        """The library itself, which other readers do without."""
        if importlib.util.find_spec("datasets") is not None:
            return []
        return [CorpusError("the reader 'hf' needs the package 'datasets': install it with pip install datasets")]

    def check(self, wanted: Wanted, split: Split) -> None:
        """Look for the data set, its split and its columns.

        Raises:
            CorpusError: as of `read`, but for damaged rows.
        """
        with self._told():
            found, name = self._found(split)
            languages, mapped = self._asked(wanted)
            if isinstance(found, list):
                for path in found:
                    check_columns(path, languages, mapped)
            elif (schema := _schema(found)) is not None:
                TextColumns.of(self._where(name), schema, languages, mapped)

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The rows of the split.

        Raises:
            CorpusError: it can't be read, there is no such configuration or split, or a language has no column of
                strings.
        """
        first = 1
        with self._told():
            found, name = self._found(split)
            label = "/".join(filter(None, (Path(self.path).name, self.name, name)))
            for texts in _texts(found, self._where(name), *self._asked(wanted)):
                rows = Rows(texts, LineOrigins(label, first), split)
                counts.sources[label] += len(rows)
                first += len(rows)
                yield judged(rows, self.min_scores, counts, self.path)

    def _told(self) -> AbstractContextManager[None]:
        return told_as(CorpusError, f"{self.path}: can't be read", "see docs/corpora.md for what the reader 'hf' reads")

    def _where(self, name: str) -> str:
        return f"{self.path}, split {name}" if name else self.path

    def _asked(self, wanted: Wanted) -> tuple[list[str], dict[str, str]]:
        """The columns that are read, and what those are named that aren't named by a language."""
        scores = score_codes(self.min_scores)
        return [*wanted.languages, *scores], (self.columns or {}) | scores

    def _found(self, split: Split) -> tuple[Any, str]:
        """The rows and the name of the split that is read."""
        found, name = self._split(_splits(self._folder(), self.name), split)
        return found(), name

    def _folder(self) -> Path:
        if Path(self.path).is_dir():
            if self.revision is not None:
                raise CorpusError(f"{self.path} is a folder, so it has no revision {self.revision}; leave revision out")
            return Path(self.path)
        from neuronspec.models.hub import cached

        try:
            return cached(self.path, self.revision, "dataset")
        except PathError as error:
            raise CorpusError(str(error)) from None

    def _split(self, splits: Mapping[str, Callable[[], Any]], split: Split) -> tuple[Callable[[], Any], str]:
        """What gives the rows, and the name of the split that is read."""
        if "" in splits:
            if self.split is None:
                return splits[""], ""
            raise CorpusError(f"{self.path}: was saved without splits, so there is no {self.split}; leave split out")
        named = (self.split,) if self.split is not None else _CALLED[split]
        for name in named:
            if name in splits:
                return splits[name], name
        raise CorpusError(
            f"{self.path}: there is no split {' or '.join(named)}; it has: {', '.join(splits)}. Name one with split"
        )


def _schema(found: Any) -> Any:
    """The schema of a data set; None where its files tell none, as they are empty."""
    if found.features is not None:
        return found.features.arrow_schema
    first = next(iter(found.with_format("arrow").iter(batch_size=1)), None)
    return None if first is None else first.schema


def _texts(
    found: Any, where: str, languages: Sequence[str], mapped: Mapping[str, str]
) -> Iterator[dict[str, list[str]]]:
    """The texts of a split, in blocks."""
    if isinstance(found, list):
        for path in found:
            yield from read_texts(path, languages, mapped)
        return
    schema, columns, first = None, None, 1
    for table in found.with_format("arrow").iter(batch_size=BLOCK_ROWS):
        if columns is None or table.schema != schema:
            schema = table.schema
            columns = TextColumns.of(where, schema, languages, mapped)
        yield columns.texts(table, first)
        first += table.num_rows


def _splits(folder: Path, name: str | None) -> dict[str, Callable[[], Any]]:
    """What gives the rows by split, or the Parquet files as a list.

    A data set that was saved without splits has one without a name.
    """
    import datasets
    from datasets.packaged_modules.csv.csv import Csv
    from datasets.packaged_modules.json.json import Json
    from datasets.packaged_modules.parquet.parquet import Parquet
    from datasets.packaged_modules.text.text import Text

    if (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file():
        if name is not None:
            raise CorpusError(f"{folder}: was saved to disk, so it has no configuration {name}; leave name out")
        saved = datasets.load_from_disk(str(folder))
        splits = saved.items() if isinstance(saved, datasets.DatasetDict) else [("", saved)]
        return {str(split): partial(_itself, rows) for split, rows in splits}
    builder = datasets.load_dataset_builder(str(folder), name)
    names = {str(split): list(map(str, found)) for split, found in (builder.config.data_files or {}).items()}
    if elsewhere := [name for found in names.values() for name in found if "://" in name]:
        raise CorpusError(
            f"{folder}: its card names files elsewhere, such as {elsewhere[0]}, and nothing is downloaded; put them "
            "into the folder"
        )
    files = {split: list(map(Path, found)) for split, found in names.items()}
    if isinstance(builder, Parquet):  # the library's own way reads ahead without a bound on the memory
        return {split: partial(_itself, found) for split, found in files.items()}
    if isinstance(builder, Csv):
        builder.config.na_filter = False  # None, NA and null are words
    is_text = isinstance(builder, Csv | Json | Text)
    return {split: partial(_streamed, builder, split, found if is_text else []) for split, found in files.items()}


def _itself(rows: Any) -> Any:
    return rows


def _streamed(builder: Any, split: str, text: list[Path]) -> Any:
    """The rows of a split, after a look at its files of text: the library reads lines of any length as a whole."""
    for path in text:
        count_lines(path, LONGEST_TEXT_LINE)
    return builder.as_streaming_dataset(split=split)
