"""Tiny copies of the data sets that recipes name, in their layouts, with sentences made up here."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

RECIPES = Path(__file__).parents[2] / "recipes"

_STEMS = ["ba", "ne", "ti", "ro", "lu", "ka", "mo", "si", "du", "fe", "go", "pa"]


def sentences(code: str, count: int, seed: int) -> list[str]:
    """Sentences of a language that isn't one; the same numbers give translations of each other."""
    made = []
    for number in range(count):
        draw = random.Random(1000 * seed + number)
        words = [f"{draw.choice(_STEMS)}{draw.choice(_STEMS)}" for _ in range(draw.randint(3, 8))]
        made.append(" ".join(f"{word}{code[:2]}" if code != "en" else word for word in words) + f" {number}.")
    return made


def write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def ec40(data: Path, languages: Sequence[str], rows: dict[str, int]) -> None:
    """The training text of EC40: line-aligned files, of 40 lines or as many as are given."""
    for place, code in enumerate(languages):
        for one in ("en", code):
            path = data / "EC40" / "EC40-train-set" / f"train.en-{code}.{one}"
            write_lines(path, sentences(one, rows.get(code, 40), seed=10 + place))


def ntrex(data: Path, tags: dict[str, str], rows: int = 6) -> None:
    """NTREX-128: tags by language."""
    folder = data / "NTREX-128"
    write_lines(folder / "newstest2019-src.eng.txt", sentences("en", rows, seed=1))
    for code, tag in tags.items():
        write_lines(folder / f"newstest2019-ref.{tag}.txt", sentences(code, rows, seed=1))


def flores(data: Path, tags: dict[str, str], rows: int = 6) -> None:
    """FLORES-200: tags by language, English among them."""
    for place, part in enumerate(("dev", "devtest")):
        for code, tag in tags.items():
            write_lines(data / "flores200_dataset" / part / f"{tag}.{part}", sentences(code, rows, seed=2 + place))


def iwslt(data: Path, languages: Sequence[str], rows: int = 30) -> None:
    """IWSLT 2014: training text with its tags, and development and test sets in XML."""
    for place, code in enumerate(languages):
        pair, folder = f"{code}-en", data / "iwslt14" / f"{code}-en"
        for one in (code, "en"):
            head = ["<url>http://www.ted.com/talks/1.html</url>", "<talkid>1</talkid>", "<title>A title</title>"]
            write_lines(folder / f"train.tags.{pair}.{one}", [*head, *sentences(one, rows, seed=20 + place)])
            for number, part in enumerate(("dev2010", "tst2010", "tst2011", "tst2012")):
                text = enumerate(sentences(one, 4, seed=3 + number), start=1)
                segments = [f'<seg id="{count}"> {line} </seg>' for count, line in text]
                lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<mteval><srcset setid="x" srclang="x">',
                         '<doc docid="1" genre="lectures">', *segments, "</doc>", "</srcset></mteval>"]  # fmt: skip
                write_lines(folder / f"IWSLT14.TED.{part}.{pair}.{one}.xml", lines)


def opus100(data: Path, languages: Sequence[str], zero_shot: Sequence[str] = (), rows: int = 30) -> None:
    """OPUS-100: supervised pairs with their parts, and tests of zero-shot pairs."""
    root = data / "opus-100"
    for place, code in enumerate(languages):
        pair = "-".join(sorted((code, "en")))
        for part, count, seed in (("train", rows, 30 + place), ("dev", 6, 4), ("test", 6, 5)):
            for one in (code, "en"):
                write_lines(root / "supervised" / pair / f"opus.{pair}-{part}.{one}", sentences(one, count, seed))
    for pair in {"-".join(sorted(each.split("-"))) for each in zero_shot}:
        for one in pair.split("-"):
            write_lines(root / "zero-shot" / pair / f"opus.{pair}-test.{one}", sentences(one, 6, seed=6))


def copied(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    """A recipe of the project in `folder/recipes`, unchanged, with what it reads in `folder/data`."""
    (folder / "recipes").mkdir(parents=True)
    shutil.copy(RECIPES / f"{name}.yaml", folder / "recipes")
    write(folder / "data")
    return folder / "recipes" / f"{name}.yaml"
