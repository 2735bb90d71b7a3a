"""Reading and cleaning a corpus in several jobs, whose parts `prepare` gathers.

A *piece* is a file of a source, or all of a source whose rows must be read together. A job's *part* is some of the
pieces. Each is stored in a folder of its own: its cleaned rows, as a spool, and `counts.json`. The folder of all pieces
is named by what they depend on, so text that was read with other settings isn't gathered.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import attrgetter
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RunError
from neuronspec.core.files import full_disk, replacing_folder, write_json
from neuronspec.core.json_files import read_json
from neuronspec.core.progress import SILENT, Progress
from neuronspec.core.version import __version__
from neuronspec.corpus.dropped import DroppedSample, Example
from neuronspec.corpus.ingest import CellCounts, Cleaned, Cleaner, ingest
from neuronspec.corpus.readers.rows import SPLITS, Pair, ReadCounts, Rows, SourceCounts, Split, pair_of
from neuronspec.corpus.reading import Place, places_of, watched
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.spool import read_batches
from neuronspec.corpus.workers import Workers, available_cores

logger = logging.getLogger(__name__)

COUNTS, ROWS = "counts.json", "rows"

Work = Callable[[Cleaner, Iterable[Rows]], Iterator[Cleaned]]


@dataclass(frozen=True, slots=True)
class Piece:
    """What is read together.

    Attributes:
        place: the source.
        number: of the piece in its source; None for all of it.
        size: in bytes; 0 where it isn't known.
        name: of its folder.
    """

    place: Place
    number: int | None
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class _Found:
    """What is stored of a piece beside its rows: see `Ingested`; `batches` are those of its spool, by split."""

    counts: SourceCounts
    cells: CellCounts
    lone: int
    characters: list[int]
    dropped: list[tuple[str, str, list[tuple[int, Example]]]]
    batches: dict[Split, int]


def read_part(
    corpus: CorpusSettings,
    folder: Path,
    number: int,
    jobs: int,
    *,
    seed: int,
    zero_shot: Sequence[Direction] = (),
    progress: Progress = SILENT,
) -> Counter[str]:
    """Read and clean what one of several jobs has to of a corpus, and store it in `folder` for `prepare`.

    Pieces that are stored already aren't read again, so a job that was stopped continues.

    Args:
        corpus: what is read, and how it is cleaned and split.
        folder: of the parts of all jobs (RUN/parts).
        number: of the job, from 1.
        jobs: how many there are.
        seed: as of `prepare`.
        zero_shot: as of `prepare`.
        progress: shows how many rows were read.

    Returns:
        The `pieces` and `rows` that were read, and the `stored` pieces, which had been read before.

    Raises:
        CorpusError: the text can't be read; what can be checked of this job's without reading is checked before.
        RunError: another process reads this part.
    """
    stored, done = Parts(folder, corpus, seed, untrained_pairs(corpus, zero_shot)), Counter[str]()
    cleaner = Cleaner.of(corpus, seed)
    with (
        explaining_a_full_disk(folder),
        _only_reader(folder, number, jobs),
        Workers(corpus.workers or available_cores()) as workers,
    ):
        place, mine = stored.place(), shared_out(stored.pieces(), jobs)[number - 1]
        missing = [piece for piece in mine if not (place / piece.name).exists()]
        done["stored"] = len(mine) - len(missing)
        for piece in missing:
            piece.place.check(piece.number)
        for piece in missing:
            with replacing_folder(place / piece.name) as work, piece.place.named():
                counts = piece.place.counts()
                rows = watched(piece.place.rows(counts, seed, piece.number), progress)
                _store(work, cleaner, workers.map(cleaner, rows), counts)
            done.update(pieces=1, rows=counts.rows)
    return done


def untrained_pairs(corpus: CorpusSettings, zero_shot: Sequence[Direction]) -> list[Pair]:
    """The pairs of zero-shot directions that no trained direction has."""
    return sorted({pair_of(each.source, each.target) for each in zero_shot} - {*corpus.pairs})


def pieces_of(places: Sequence[Place]) -> list[Piece]:
    """The pieces of a corpus, in the order that they are read in.

    Raises:
        CorpusError: files are missing.
    """
    found = []
    for place in places:
        together = place.source.max_sentences is not None  # which rows are used depends on those before
        with place.named():
            sizes = [0] if together else place.source.pieces(place.wanted)
        for number, size in enumerate(sizes):
            name = f"{place.split}-{place.number}-{number}"
            found.append(Piece(place, number if len(sizes) > 1 else None, size, name))
    return found


def shared_out(pieces: Sequence[Piece], jobs: int) -> list[list[Piece]]:
    """The pieces of each job, the same in every process: the largest goes first, each to the job that has least."""
    shares: list[list[Piece]] = [[] for _ in range(jobs)]
    loads = [(0, 0, job) for job in range(jobs)]  # bytes, pieces, and the number of the job
    for piece in sorted(pieces, key=lambda each: -each.size):
        size, number, job = min(loads)
        loads[job] = (size + piece.size, number + 1, job)
        shares[job].append(piece)
    return shares


@dataclass(frozen=True, slots=True)
class Parts:
    """What jobs have read of a corpus.

    Args:
        folder: of the parts of all jobs.
        corpus: what is read.
        seed: of its splits and samples.
        zero_shot: pairs of untrained directions, whose test text is read, too.
    """

    folder: Path
    corpus: CorpusSettings
    seed: int
    zero_shot: Sequence[Pair]

    @property
    def exist(self) -> bool:
        """Whether any job has read something."""
        return self.folder.is_dir()

    def pieces(self) -> list[Piece]:
        """What is read, in order."""
        return pieces_of(places_of(self.corpus, self.zero_shot))

    def place(self) -> Path:
        """The folder of the pieces that are read with these settings, of the files as they are now."""
        settings = self.corpus.model_dump(mode="json", exclude={"workers"})
        known = [__version__, settings, self.corpus.inputs, self.seed, self.zero_shot]
        return self.folder / hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    def gathered(self, read: ReadCounts, cleaner: Cleaner, work: Work, progress: Progress) -> Iterator[Cleaned]:
        """The cleaned rows of the corpus: those that jobs have stored, and the others, which are read now.

        Args:
            read: what was read of each source is added to it.
            cleaner: of the corpus.
            work: applies the cleaner to rows, as `map` does.
            progress: shows how many rows are read now.

        Raises:
            CorpusError: the text can't be read, or a piece is damaged.
            RunError: a job is still reading.
        """
        pieces, folder = self.pieces(), self.place()
        with _no_reader(self.folder):
            stored = [piece.name for piece in pieces if (folder / piece.name).exists()]
            for piece in pieces:
                if piece.name not in stored:
                    piece.place.check(piece.number)
            if len(stored) < len(pieces):
                logger.warning(
                    "%s: of %d files or sources, jobs have read %d with these settings; the others are read now",
                    self.folder, len(pieces), len(stored),
                )  # fmt: skip
            for place, own in groupby(pieces, key=attrgetter("place")):
                counts = place.counts()
                with place.named():
                    for piece in own:
                        if piece.name in stored:
                            yield from _stored(folder / piece.name, counts)
                        else:
                            yield from work(cleaner, watched(place.rows(counts, self.seed, piece.number), progress))
                    place.finish(counts)
                read.add(counts.read)
                read.parts.append(counts)


@contextmanager
def explaining_a_full_disk(folder: Path) -> Iterator[None]:
    """Say what is needed where there is no space left for text."""
    try:
        yield
    except Exception as error:
        reason = full_disk(error)
        if reason is None:
            raise
        raise CorpusError(
            f"{folder}: can't be written: {reason}. Preparing needs about twice the size of the text; "
            "free some space or choose another folder. Nothing was left half-written"
        ) from None


@contextmanager
def _only_reader(folder: Path, number: int, jobs: int) -> Iterator[None]:
    """See that no other process reads this part."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f".part-{number}-of-{jobs}.lock"):
        yield


@contextmanager
def _no_reader(folder: Path) -> Iterator[None]:
    """See that no process reads any part."""
    with ExitStack() as stack:
        for lock in sorted(folder.glob(".part-*.lock")):
            stack.enter_context(_locked(lock))
        yield


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        part = lock.stem.removeprefix(".").replace("-", " ")
        raise RunError(f"{lock.parent}: another process is reading {part}; wait for it") from None


def _store(folder: Path, cleaner: Cleaner, blocks: Iterable[Cleaned], counts: SourceCounts) -> None:
    found = ingest(blocks, cleaner, folder / ROWS)
    dropped = [(rule, name, list(examples.items())) for (rule, name), examples in found.dropped.found.items()]
    batches = {split: len(sources) for split, sources in found.spool.sources.items()}
    characters = sorted(map(ord, found.characters))
    content = _Found(counts, found.cells, found.lone, characters, dropped, batches)
    write_json(folder / COUNTS, TypeAdapter(_Found).dump_python(content, mode="json"))


def _stored(folder: Path, counts: SourceCounts) -> Iterator[Cleaned]:
    """A piece as it was cleaned; what was read is added to `counts`."""
    remedy = f"remove {folder}, and it is read again"
    found = read_json(folder / COUNTS, _Found, remedy, error=CorpusError)
    counts.rows += found.counts.rows
    counts.used += found.counts.used
    counts.read.add(found.counts.read)
    dropped = DroppedSample()
    for rule, name, examples in found.dropped:
        dropped.add(rule, name, examples)
    yield Cleaned(counts.place, {}, found.cells, found.lone, np.array(found.characters, dtype=np.uint32), dropped)
    none, nothing = np.empty(0, dtype=np.uint32), DroppedSample()
    try:
        splits = [split for split in SPLITS if found.batches[split]]
        for row in zip_longest(*(read_batches(folder / ROWS, split) for split in splits)):
            batches = {split: batch for split, batch in zip(splits, row, strict=True) if batch is not None}
            yield Cleaned(counts.place, batches, {}, 0, none, nothing)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{folder}: damaged: {error}; {remedy}") from None
