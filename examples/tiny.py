"""What the notebooks share: real messages from Django's catalogs, and a tiny model of them, with nothing to download.

It needs the extra `catalogs`.
"""

from __future__ import annotations

import csv
import random
from itertools import chain
from pathlib import Path
from typing import Any

import django
import polib

import neuronspec as ns

Row = dict[str, str]


def messages(languages: list[str], longest: int = 60) -> list[Row]:
    """Short messages in English and other languages, shuffled; "" where a language lacks one."""
    translated = {}
    for code in languages:
        files = sorted(Path(django.__file__).parent.rglob(f"locale/{code}/LC_MESSAGES/django.po"))
        entries = chain.from_iterable(polib.pofile(str(path)) for path in files)
        translated[code] = {entry.msgid: entry.msgstr for entry in entries if not (entry.obsolete or entry.fuzzy)}
    known = dict.fromkeys(chain.from_iterable(translated.values()))
    sources = [text for text in known if len(text) <= longest and not set("%{\n\t") & set(text)]
    random.Random(0).shuffle(sources)
    return [{"en": text} | {code: translated[code].get(text, "") for code in languages} for text in sources]


def pairs_of(rows: list[Row], directions: list[str]) -> list[dict[str, str]]:
    """The sentence pairs of the rows, direction by direction, as `ns.DataCollator` takes them."""
    return [
        {"direction": name, "source": row[source], "target": row[target]}
        for name in directions
        for source, target in [name.split("-")]
        for row in rows
        if row[source] and row[target]
    ]


def recipe(rows: list[Row], directions: list[str], folder: Path, updates: int, **sections: Any) -> ns.Recipe:
    """A recipe that trains a tiny model on the rows, which are written to the folder; `sections` of one's own."""
    with (folder / "text.tsv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_NONE, quotechar=None)
        table.writeheader()
        table.writerows(rows)
    train = {
        "updates": updates, "warmup": max(1, updates // 10), "learning_rate": 4e-3, "batch_tokens": 256,
        "label_smoothing": 0.05, "precision": "float32", "validate_every": updates, "save_every": updates,
    }  # fmt: skip
    width = {"d_model": 64, "encoder_ffn_dim": 512, "decoder_ffn_dim": 512}
    return ns.Recipe.model_validate(
        {
            "name": "tiny",
            "seed": 1,
            "corpus": {
                "train": {"reader": "tsv", "path": str(folder / "text.tsv")},
                "languages": [code for code in rows[0] if code != "en"],
                "directions": directions,
                "valid_share": 0.1,
                "test_share": 0.1,
            },
            "tokenizer": {"type": "bpe", "vocabulary": 1500},
            "model": {"preset": "tiny", **width},
            "training": train,
            "continuation": train,
            **sections,
        }
    )


def checkpoint(rows: list[Row], directions: list[str], folder: Path, updates: int) -> Path:
    """Train a tiny model; the folder of a plain Hugging Face checkpoint."""
    return ns.train(recipe(rows, directions, folder, updates), folder / "run", progress=ns.Bars())
