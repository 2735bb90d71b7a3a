"""Synthetic parallel text of any size, written as a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np

WORDS = 50_000
BLOCK = 20_000
LETTERS = {"en": "abcdefghijklmnoprstuvwy", "de": "abcdefghijklmnoprstuvwzäöüß"}


def write_text(folder: Path, pairs: int) -> None:
    """Write `pairs` sentence pairs to `folder/train.en` and `folder/train.de`.

    Words are made of syllables and drawn by Zipf's law from 50,000 a language, word for word the same in both. Lengths
    are log-normal: 9 words in the mean, from 2 to 100. Short sentences come up again, as they do in real corpora.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    vocabularies = {code: _vocabulary(random, letters) for code, letters in LETTERS.items()}
    upper = np.cumsum(1 / np.arange(1, WORDS + 1) ** 1.05)
    files = {code: (folder / f"train.{code}").open("w", encoding="utf-8", newline="\n") for code in LETTERS}
    for start in range(0, pairs, BLOCK):
        size = min(BLOCK, pairs - start)
        lengths = np.clip(random.lognormal(2.0, 0.55, size), 2, 100).astype(np.int64)
        words = np.searchsorted(upper / upper[-1], random.random(int(lengths.sum())))
        ends = np.cumsum(lengths)
        for code, vocabulary in vocabularies.items():
            first, inner, last = vocabulary
            text = inner[words]
            text[ends - lengths] = first[words[ends - lengths]]
            text[ends - 1] = last[words[ends - 1]]
            files[code].write("".join(text.tolist()))
    for file in files.values():
        file.close()


def _vocabulary(random: np.random.Generator, letters: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of one to four syllables, as they stand at the start, within and at the end of a sentence."""
    syllables = ["".join(random.choice(list(letters), random.integers(1, 4))) for _ in range(400)]
    words = ["".join(random.choice(syllables, size)) for size in random.integers(1, 5, WORDS)]
    first, inner, last = ([form(word) for word in words] for form in (_first, "{} ".format, "{}.\n".format))
    return np.array(first, dtype=object), np.array(inner, dtype=object), np.array(last, dtype=object)


def _first(word: str) -> str:
    return f"{word.capitalize()} "
