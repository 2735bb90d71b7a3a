"""How fast each reader is alone, and what `prepare` takes of memory by the reader and the number of pairs.

    python benchmarks/scale_readers.py [--pairs 200000] [--readers moses tsv ...] [--folder FOLDER]
    python benchmarks/scale_readers.py --prepare 100000 1000000 [--readers ...]

Text is that of `scale.py` (two languages, 9 words and 53 bytes a sentence in the mean), in the layout of each reader;
Parquet with zstd. Writes `results/scale_readers.json`, into which each run merges what it measured on this machine.

- alone: pairs a second through `Source.read`, one thread, the best of three rounds, by the processor's time
  (`time.process_time`, which other work on the machine lengthens little) and by the clock. Nothing is cleaned or kept.
- prepare: `prepare` with the default recipe in a process of its own; peaks of the resident memory of the largest
  process and of all together, which count shared pages in each, and seconds.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from scale import VOCABULARY, run_step

BLOCK = 10_000
ROUNDS = 3


def _pairs(folder: Path) -> Iterator[tuple[str, str]]:
    with (
        (folder / "train.en").open(encoding="utf-8") as english,
        (folder / "train.de").open(encoding="utf-8") as german,
    ):
        for one, other in zip(english, german, strict=True):
            yield one.rstrip("\n"), other.rstrip("\n")


def _as_tsv(folder: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("en\tde\n")
        file.writelines(f"{one}\t{other}\n" for one, other in _pairs(folder))


def _as_csv(folder: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["en", "de"])
        writer.writerows(_pairs(folder))


def _as_jsonl(folder: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for one, other in _pairs(folder):
            file.write(json.dumps({"en": one, "de": other}, ensure_ascii=False) + "\n")


def _as_parquet(folder: Path, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("en", pa.string()), ("de", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        pairs = _pairs(folder)
        while block := list(islice(pairs, BLOCK * 10)):
            english, german = zip(*block, strict=True)
            writer.write_table(pa.table({"en": english, "de": german}, schema=schema))


def _as_tmx(folder: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<tmx version="1.4"><header srclang="en"/><body>\n')
        for one, other in _pairs(folder):
            file.write(
                f'<tu>\n  <tuv xml:lang="en"><seg>{escape(one)}</seg></tuv>\n'
                f'  <tuv xml:lang="de"><seg>{escape(other)}</seg></tuv>\n</tu>\n'
            )
        file.write("</body></tmx>\n")


LAYOUTS: dict[str, Callable[[Path, Path], None] | None] = {
    "moses": None, "tsv": _as_tsv, "csv": _as_csv, "jsonl": _as_jsonl, "parquet": _as_parquet, "tmx": _as_tmx,
}  # fmt: skip
"""What writes the text for each reader; that of moses is there already."""


def source_of(reader: str, folder: Path) -> dict[str, str]:
    """The section `corpus.train` of a recipe; the text is written if it isn't there."""
    write = LAYOUTS[reader]
    if write is None:
        return {"reader": reader, "path": str(folder / "train.{lang}")}
    path = folder / f"train.{reader}"
    if not path.exists():
        write(folder, path)
    return {"reader": reader, "path": str(path)}


def recipe_of(reader: str, folder: Path) -> Any:
    """A recipe that reads the text."""
    from neuronspec.recipe import Recipe

    budget = {"updates": 1}
    corpus: dict[str, Any] = {"train": source_of(reader, folder), "languages": ["de"]}
    corpus |= {"valid_share": 0.001, "test_share": 0.001}
    return Recipe.model_validate(
        {"name": "scale", "corpus": corpus, "tokenizer": {"vocabulary": VOCABULARY}}
        | {"training": budget, "continuation": budget}
    )


def step_alone(reader: str, folder: Path) -> dict[str, Any]:
    """Pairs a second through the reader."""
    from neuronspec.corpus.readers.rows import ReadCounts
    from neuronspec.corpus.readers.source import Wanted

    (source,) = recipe_of(reader, folder).corpus.sources["train"]
    rounds = []
    for _ in range(ROUNDS):
        counts = ReadCounts()
        begun, processor = time.perf_counter(), time.process_time()
        rows = sum(map(len, source.read(Wanted(("de", "en"), (("de", "en"),)), "train", counts)))
        rounds.append((time.process_time() - processor, time.perf_counter() - begun, rows))
    processor, wall, rows = min(rounds)
    return {
        "pairs": rows,
        "pairs per second of the processor": round(rows / processor),
        "pairs per second": round(rows / wall),
    }


def step_prepare(reader: str, folder: Path) -> dict[str, Any]:
    """The whole of `prepare`."""
    from neuronspec.corpus.prepare import prepare

    recipe = recipe_of(reader, folder)
    data = folder / f"data-{reader}"
    seconds = prepare(recipe.corpus, recipe.tokenizer, data, seed=recipe.seed)
    shutil.rmtree(data)
    return {"seconds": {name: round(value, 2) for name, value in seconds.items()}}


STEPS: dict[str, Callable[[str, Path], dict[str, Any]]] = {"alone": step_alone, "prepare": step_prepare}


def measure(step: str, reader: str, pairs: int, folder: Path) -> dict[str, Any]:
    """A step in a process of its own, after the text was written."""
    from scale_text import write_text

    text = folder / f"neuronspec-readers-{pairs}"
    if not text.exists():
        write_text(text, pairs)
    source_of(reader, text)
    load = os.getloadavg()[0]
    command = [sys.executable, __file__, "--step", step, "--readers", reader, "--folder", str(text)]
    found = run_step(f"{step} {reader}", command) | {"load average before": round(load, 2)}
    print(step, reader, json.dumps(found), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=200_000, help="that are read by a reader alone")
    parser.add_argument("--prepare", type=int, nargs="+", default=[], help="sizes to prepare, instead")
    parser.add_argument("--readers", choices=LAYOUTS, nargs="+", default=list(LAYOUTS))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where text is written")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step](options.readers[0], options.folder)))
        return
    from machine import describe_machine, write_result

    path = Path(__file__).parent / "results" / "scale_readers.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = known if known.get("machine") == describe_machine() else {}
    alone, prepared = found.get("alone", {}), found.get("prepare", {})
    for reader in options.readers:
        if not options.prepare:
            alone[reader] = measure("alone", reader, options.pairs, options.folder)
        for pairs in options.prepare:
            prepared.setdefault(reader, {})[str(pairs)] = measure("prepare", reader, pairs, options.folder)
    write_result("scale_readers", {"alone": alone, "prepare": prepared})


if __name__ == "__main__":
    main()
