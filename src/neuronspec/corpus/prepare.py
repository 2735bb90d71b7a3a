"""From text to the data folder of a run: read, clean, split, train the tokenizer, write the token store."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from neuronspec.corpus.cleaning import PairFilter
from neuronspec.corpus.counts import (
    SplitCounts,
    check_directions,
    print_table,
    read_report,
    resolve_tiers,
    rule_report,
    split_report,
    zero_shot_report,
)
from neuronspec.corpus.encode import Encoder
from neuronspec.corpus.ingest import Ingested, ingest
from neuronspec.corpus.readers import read_rows
from neuronspec.corpus.rows import SPLITS, Pair, ReadCounts, Split, pair_of, pairs_of, used_languages
from neuronspec.corpus.sampling import sample, sample_sizes
from neuronspec.corpus.splits import Splitter
from neuronspec.corpus.store import FORMAT
from neuronspec.corpus.tokenizer import train_tokenizer
from neuronspec.files import write_json
from neuronspec.recipe import Recipe

Item = TypeVar("Item")


def prepare(recipe: Recipe, folder: Path, console: Console) -> None:
    """Write `folder` (RUN/data): `tokenizer/`, `tokens/` and `corpus.json`.

    Everything is written beside `folder` and put in its place at the end, so it is complete or as it was before.
    Memory doesn't grow with the corpus, but for 8 bytes a training pair (hashes for duplicates) and the tokenizer's
    sample.

    Raises:
        CorpusError: the text can't be read, or a direction is left without text.
        RecipeError: the vocabulary doesn't suit the text.
    """
    with _replacing_folder(folder) as work:
        report = _Preparation(recipe, work, console).run()
        write_json(work / "corpus.json", report)
    print_table(report, console)


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` to write to, which takes its place if the block succeeds and is removed if not."""
    new, old = (folder.with_name(f".{folder.name}.{suffix}") for suffix in ("new", "old"))
    if old.exists() and not folder.exists():
        old.rename(folder)  # killed between the two renames below
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        yield new
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)


class _Preparation:
    """The passes of `prepare`, in a folder of their own."""

    def __init__(self, recipe: Recipe, folder: Path, console: Console) -> None:
        self._recipe = recipe
        self._corpus = recipe.corpus
        self._folder = folder
        self._languages = used_languages(recipe.corpus)
        self._pairs = pairs_of(recipe.corpus)
        self._zero_shot = recipe.evaluation.zero_shot_directions
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip

    def run(self) -> dict[str, Any]:
        """All passes; the content of corpus.json."""
        with self._progress:
            read = ReadCounts()
            rows = self._watch("reading", read_rows(self._corpus, read))
            splitter = Splitter.of(self._corpus, self._recipe.seed)
            found = ingest(rows, splitter, self._languages, self._folder / "rows")
            tokenizer, sizes = self._train_tokenizer(found)
            counts, files = self._encode(found, tokenizer)
        shutil.rmtree(self._folder / "rows")
        directions = self._corpus.all_directions
        splits = split_report(counts, directions)
        check_directions(splits)
        zero_shot = zero_shot_report(counts, self._zero_shot)
        tiers = self._tiers(counts)
        self._write_manifest(counts, files, len(tokenizer), tiers)
        return {
            "reader": self._corpus.reader,
            "pivot": self._corpus.pivot,
            "languages": self._languages,
            "rows": {split: found.spool.counts[split] for split in SPLITS},
            "rows_in_one_language": found.lone,
            "read": read_report(read),
            "cells": {split: {c: dict(sorted(n.items())) for c, n in found.cells[split].items()} for split in SPLITS},
            "dropped": rule_report(counts),
            "splits": splits,
            "zero_shot": zero_shot,
            "tiers": tiers,
            "tokenizer": {
                "type": self._recipe.tokenizer.type,
                "ids": len(tokenizer),
                "characters": len(found.characters),
                "sentences": sizes,
            },
        }

    def _train_tokenizer(self, found: Ingested) -> tuple[Any, dict[str, int]]:
        settings = self._recipe.tokenizer
        available = {code: counts["text"] for code, counts in found.cells["train"].items()}
        sizes = sample_sizes(available, settings.temperature, settings.max_sentences)
        sentences = sample(found.spool.read("train"), available, sizes)
        watched = self._watch(f"training the {settings.type} tokenizer", sentences, sum(sizes.values()))
        tokenizer = train_tokenizer(watched, settings, self._languages, found.characters)
        tokenizer.save_pretrained(str(self._folder / "tokenizer"))
        return tokenizer, sizes

    def _encode(self, found: Ingested, tokenizer: Any) -> tuple[SplitCounts, dict[Split, dict[Pair, Path]]]:
        tokens = self._folder / "tokens"
        tokens.mkdir()
        untrained = {pair_of(each.source, each.target) for each in self._zero_shot}
        counts, files = {}, {}
        for split in SPLITS:
            batches = self._watch_batches(f"tokenizing {split}", found, split)
            rules = PairFilter(self._corpus.cleaning, split)
            pairs = self._pairs if split == "train" else sorted({*self._pairs, *untrained})
            encoder = Encoder(tokenizer, pairs, found.held_out)
            counts[split], files[split] = encoder.write_split(split, batches, rules, tokens)
        return counts, files

    def _tiers(self, counts: SplitCounts) -> dict[str, list[str]]:
        sizes: Counter[str] = Counter()
        for pair, found in counts["train"].items():
            sizes.update(dict.fromkeys(pair, found.kept))
        others = [code for code in self._languages if code != self._corpus.pivot]
        return resolve_tiers({str(tier): codes for tier, codes in self._corpus.tiers.items()}, others, sizes)

    def _write_manifest(
        self,
        counts: SplitCounts,
        files: dict[Split, dict[Pair, Path]],
        ids: int,
        tiers: dict[str, list[str]],
    ) -> None:
        entries = {
            split: {
                "-".join(pair): {"file": path.name, "pairs": counts[split][pair].kept, "sha256": _digest(path)}
                for pair, path in sorted(paths.items())
            }
            for split, paths in files.items()
        }
        directions = [str(direction) for direction in self._corpus.all_directions]
        manifest = {
            "format": FORMAT,
            "ids": ids,
            "tokenizer_sha256": _digest(self._folder / "tokenizer" / "tokenizer.json"),
            "directions": directions,
            "tiers": tiers,
            "splits": entries,
        }
        write_json(self._folder / "tokens" / "manifest.json", manifest)

    def _watch(self, description: str, items: Iterable[Item], total: int | None = None) -> Iterator[Item]:
        """Show how many items went by."""
        task = self._progress.add_task(description, total=total)
        count = 0
        for count, item in enumerate(items, start=1):
            if count % 1000 == 0:
                self._progress.update(task, completed=count)
            yield item
        self._progress.update(task, completed=count, total=count)

    def _watch_batches(self, description: str, found: Ingested, split: Split) -> Iterator[Any]:
        task = self._progress.add_task(description, total=found.spool.counts[split])
        for batch in found.spool.read(split):
            yield batch
            self._progress.advance(task, len(next(iter(batch.values()))))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
