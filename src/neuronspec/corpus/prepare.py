"""From text to the data folder of a run: read, clean, split, train the tokenizer, write the token store."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuronspec.core.checksums import digest
from neuronspec.core.direction import Direction
from neuronspec.core.files import replacing_folder, write_json
from neuronspec.core.progress import SILENT, Progress
from neuronspec.corpus.cap import cap
from neuronspec.corpus.cleaning import PairFilter
from neuronspec.corpus.counts import (
    SplitCounts,
    check_directions,
    check_training_text,
    read_report,
    resolve_tiers,
    rule_report,
    source_report,
    split_report,
    summary,
    unused_sources,
    zero_shot_report,
)
from neuronspec.corpus.dropped import DROPPED
from neuronspec.corpus.encode import Encoder, PairCounts
from neuronspec.corpus.filters.near_duplicates import bands_of
from neuronspec.corpus.filters.opusfilter import judged_pairs
from neuronspec.corpus.filters.pairs import facts_of
from neuronspec.corpus.ingest import Cleaner, Ingested, ingest
from neuronspec.corpus.parts import Parts, explaining_a_full_disk, untrained_pairs
from neuronspec.corpus.readers.rows import SPLITS, Pair, ReadCounts, Split, pair_of
from neuronspec.corpus.reading import read_rows, watched
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.store import FORMAT
from neuronspec.corpus.tokenize import domain_tags
from neuronspec.corpus.vocabulary_change import change_vocabulary
from neuronspec.corpus.workers import Workers, available_cores
from neuronspec.models.fit import count_ids, vocabulary_file
from neuronspec.models.id_map import IdMap
from neuronspec.models.pretrained import pretrained_tokenizer
from neuronspec.models.ready_tokenizer import open_tokenizer
from neuronspec.models.settings import ModelSettings, TokenizerSettings
from neuronspec.models.text_format import TextFormat, cleaning_of
from neuronspec.models.tokenizer import CLEANING_KEY, sample, sample_sizes, train_tokenizer

logger = logging.getLogger(__name__)


def prepare(
    corpus: CorpusSettings,
    tokenizer: TokenizerSettings | ModelSettings,
    folder: Path,
    *,
    seed: int,
    zero_shot: Sequence[Direction] = (),
    parts: Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, float]:
    """Write `folder` (RUN/data): `tokenizer/`, `tokens/`, `corpus.json` and `dropped.json`.

    Everything is written beside `folder` and put in its place at the end, so it is complete or as it was before.
    Text is cleaned and tokenized in `corpus.workers` processes; what is written doesn't depend on their number. Memory
    doesn't grow with the corpus, but for the tokenizer's sample and the hashes of each training pair: 8 bytes for
    duplicates, 128 for near-duplicates where those are dropped.

    Args:
        corpus: what is read, and how it is cleaned and split.
        tokenizer: the tokenizer that is trained on the training text; or the model whose `pretrained` one is used.
        folder: where everything goes; what was there is replaced.
        seed: of the splits and samples.
        zero_shot: untrained directions whose valid and test text is kept too.
        parts: the folder of what jobs have read of the corpus (see `read_part`); removed at the end.
        progress: shows how far each pass is.

    Returns:
        The seconds of each pass: `reading`, `tokenizer`, `tokenizing`.

    Raises:
        CorpusError: the text can't be read, a direction is left without text, a worker was killed, or the disk is full.
        RecipeError: the vocabulary doesn't suit the text.
        DirectionError: a pretrained tokenizer has no tag for a language.
    """
    with replacing_folder(folder) as work, explaining_a_full_disk(folder):
        with Workers(corpus.workers or available_cores()) as workers:
            preparation = _Preparation(corpus, tokenizer, work, workers, seed, list(zero_shot), parts, progress)
            report = preparation.run()
        write_json(work / "corpus.json", report)
    if parts is not None:
        shutil.rmtree(parts, ignore_errors=True)
    logger.info("%s", summary(report))
    for unused in unused_sources(report):
        logger.warning("%s", unused)
    return preparation.seconds


def _splits_at_spaces(settings: TokenizerSettings | ModelSettings) -> bool:
    """Whether the tokenizer surely gives a sentence the tokens of its words, one after the other."""
    own = isinstance(settings, TokenizerSettings) and settings.path is None
    return own and settings.normalization == "identity"  # type: ignore[union-attr]


def _type_of(settings: TokenizerSettings | ModelSettings) -> str:
    if isinstance(settings, ModelSettings):
        return "pretrained"
    return settings.type if settings.path is None else "ready"


class _Preparation:
    """The passes of `prepare`, in a folder of their own."""

    def __init__(
        self,
        corpus: CorpusSettings,
        tokenizer: TokenizerSettings | ModelSettings,
        folder: Path,
        workers: Workers,
        seed: int,
        zero_shot: list[Direction],
        parts: Path | None,
        progress: Progress,
    ) -> None:
        self._corpus, self._tokenizer, self._seed = corpus, tokenizer, seed
        self._folder, self._workers, self._progress = folder, workers, progress
        self._languages = corpus.used_languages
        self._pairs = corpus.pairs
        self._zero_shot, self._parts = zero_shot, parts
        self._directions = [*corpus.all_directions, *zero_shot]
        self._judged = judged_pairs(corpus)
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """All passes; the content of corpus.json."""
        read = ReadCounts()
        pretrained = self._of_checkpoint() if isinstance(self._tokenizer, ModelSettings) else None
        with self._timed("reading"):
            found = self._ingest(read)
        check_training_text(found.cells["train"], read.parts)
        with self._timed("tokenizer"):
            tokenizer, sizes, change = self._make_tokenizer(pretrained, found)
        with self._timed("tokenizing"):
            counts, files = self._encode(tokenizer, found)
        shutil.rmtree(self._folder / "rows")
        write_json(self._folder / DROPPED, found.dropped.report())
        splits = split_report(counts, self._corpus)
        check_directions(splits)
        zero_shot = zero_shot_report(counts, self._zero_shot)
        tiers = self._tiers(counts)
        self._write_manifest(counts, files, count_ids(tokenizer), tiers)
        return {
            "reader": ", ".join(dict.fromkeys(source.reader for source in self._corpus.sources["train"])),
            "pivot": self._corpus.pivot,
            "languages": self._languages,
            "references": "as read",
            "rows": found.spool.rows,
            "rows_in_one_language": found.lone,
            "read": read_report(read),
            "sources": source_report(read, counts, self._corpus),
            "cells": {split: {c: dict(sorted(n.items())) for c, n in found.cells[split].items()} for split in SPLITS},
            "dropped": rule_report(counts),
            "splits": splits,
            "zero_shot": zero_shot,
            "tiers": tiers,
            "tokenizer": {
                "type": _type_of(self._tokenizer),
                "cleaning": cleaning_of(tokenizer),
                "ids": count_ids(tokenizer),
                "characters": len(found.characters),
                "sentences": sizes,
            }
            | ({} if change is None else {"checkpoint_ids": change.rows}),
        }

    def _ingest(self, read: ReadCounts) -> Ingested:
        untrained, cleaner = untrained_pairs(self._corpus, self._zero_shot), Cleaner.of(self._corpus, self._seed)
        work = self._workers.map
        if self._parts is not None and (stored := Parts(self._parts, self._corpus, self._seed, untrained)).exist:
            blocks = stored.gathered(read, cleaner, work, self._progress)
        else:
            blocks = work(cleaner, watched(read_rows(self._corpus, read, self._seed, untrained), self._progress))
        return ingest(blocks, cleaner, self._folder / "rows")

    def _of_checkpoint(self) -> Any:
        """The tokenizer of the checkpoint; mistaken languages are told before the text is read."""
        settings = self._tokenizer
        assert isinstance(settings, ModelSettings)
        return pretrained_tokenizer(settings, self._directions)

    def _make_tokenizer(self, pretrained: Any, found: Ingested) -> tuple[Any, dict[str, int], IdMap | None]:
        """Write the tokenizer; also the sentences that it was trained on, or what became of a checkpoint's ids."""
        tokenizer, folder = pretrained, self._folder / "tokenizer"
        sizes: dict[str, int] = {}
        change = None
        if pretrained is None:
            tokenizer, sizes = self._own_tokenizer(found)
        else:
            tokenizer, change = self._change_vocabulary(pretrained, found)
        if self._corpus.cleaning.normalize_punctuation:
            tokenizer.init_kwargs[CLEANING_KEY] = {"cleaning": cleaning_of(tokenizer), "punctuation": True}
        tokenizer.save_pretrained(str(folder))
        if change is not None:
            change.save(folder)
        return tokenizer, sizes, change

    def _own_tokenizer(self, found: Ingested) -> tuple[Any, dict[str, int]]:
        settings = self._tokenizer
        assert isinstance(settings, TokenizerSettings)
        if settings.path is not None:
            return open_tokenizer(settings.path, self._languages), {}
        available = {code: counts["text"] for code, counts in found.cells["train"].items()}
        sizes = sample_sizes(available, settings.temperature, settings.max_sentences)
        sentences = sample(found.spool.read("train"), available, sizes)
        with self._progress.task(f"training the {settings.type} tokenizer"):
            tokenizer = train_tokenizer(sentences, settings, self._languages, found.characters)
        return tokenizer, sizes

    def _change_vocabulary(self, tokenizer: Any, found: Ingested) -> tuple[Any, IdMap | None]:
        settings, folder = self._tokenizer, self._folder / "vocabulary"
        assert isinstance(settings, ModelSettings)
        with self._progress.task("changing the vocabulary"):
            tags = domain_tags([one.domain for one in self._corpus.sources["train"]], found.spool.sources["train"])
            changed = change_vocabulary(
                tokenizer, settings, self._languages, self._directions, found, self._workers.map, folder, tags
            )
        shutil.rmtree(folder, ignore_errors=True)
        return changed

    def _encode(self, tokenizer: Any, found: Ingested) -> tuple[SplitCounts, dict[Split, dict[Pair, Path]]]:
        tokens = self._folder / "tokens"
        tokens.mkdir()
        untrained = {pair_of(each.source, each.target) for each in self._zero_shot}
        counts, files = {}, {}
        by_word, ids = _splits_at_spaces(self._tokenizer), count_ids(tokenizer)
        whole = not TextFormat.of(tokenizer).frame.shared
        sources = self._corpus.sources["train"]
        domains, trained = [source.domain for source in sources], [self._corpus.trained_on(each) for each in sources]
        for split in SPLITS:
            directions = self._directions if whole or (split == "train" and any(domains)) else ()
            rules = PairFilter(self._corpus.cleaning, split, trained if split == "train" else ())
            pairs = self._pairs if split == "train" else sorted({*self._pairs, *untrained})
            folder, work = self._folder / "tokenizer", self._workers.map
            encoder = Encoder(
                folder, ids, self._languages, pairs, found.held_out, work, by_word=by_word, directions=directions,
                domains=domains, facts=facts_of(self._corpus.filters), bands=bands_of(self._corpus.filters),
                judged=self._judged, dropped=found.dropped,
            )  # fmt: skip
            with self._progress.task(f"tokenizing {split}", found.spool.rows[split]) as task:
                counts[split], files[split] = encoder.write_split(split, found.spool, rules, tokens, task.advance)
        if self._corpus.max_pairs is not None:
            for pair, file in files["train"].items():
                counts["train"][pair] = cap(file, pair, counts["train"][pair], self._corpus.max_pairs, self._seed)
        return counts, files

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - started

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
        sources = self._corpus.sources["train"]
        parts = len(sources) > 1 or sources[0].directions is not None
        entries = {
            split: {
                "-".join(pair): {"file": path.name, "pairs": counts[split][pair].kept, "sha256": digest(path)}
                | ({"sources": _by_source(counts[split][pair], len(sources))} if parts and split == "train" else {})
                for pair, path in sorted(paths.items())
            }
            for split, paths in files.items()
        }
        directions = [str(direction) for direction in self._corpus.all_directions]
        manifest = {
            "format": FORMAT,
            "ids": ids,
            "tokenizer_sha256": digest(vocabulary_file(self._folder / "tokenizer")),
            "directions": directions,
            "tiers": tiers,
            "references": "as read",
            "splits": entries,
        }
        if parts:
            manifest["sources"] = [
                {"directions": list(map(str, self._corpus.trained_on(source))), "weight": weight}
                for source, weight in zip(sources, self._corpus.weights, strict=True)
            ]
        write_json(self._folder / "tokens" / "manifest.json", manifest)


def _by_source(counts: PairCounts, sources: int) -> list[int]:
    return [counts.sources.get(place, Counter[str]())["kept"] for place in range(sources)]
