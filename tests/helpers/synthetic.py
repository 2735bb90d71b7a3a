"""A toy corpus in four languages of two families: counting, with a rule for word order. Learnable in seconds."""

from __future__ import annotations

import random
from pathlib import Path

WORDS = {
    code: words.split()
    for code, words in {
        "en": "one two three four five six seven eight nine ten and then house tree",
        "de": "eins zwei drei vier fünf sechs sieben acht neun zehn und dann Haus Baum",
        "fr": "un deux trois quatre cinq six sept huit neuf dix et puis maison arbre",
        "it": "uno due tre quattro cinque sei sette otto nove dieci e poi casa albero",
    }.items()
}


def write_table(path: Path, rows: int = 400, seed: int = 0) -> Path:
    """A multi-parallel table with a column a language; French and Italian reverse the word order."""
    draw = random.Random(seed)
    lines = ["\t".join(["id", *WORDS])]
    for row in range(rows):
        words = [draw.randrange(len(WORDS["en"])) for _ in range(draw.randint(3, 8))]
        cells = []
        for code, vocabulary in WORDS.items():
            order = words if code in ("en", "de") else words[::-1]
            cells.append(" ".join(vocabulary[word] for word in order))
        lines.append("\t".join([str(row), *cells]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


RECIPE = """\
name: toy
seed: 3
corpus:
  train: {reader: tsv, path: table.tsv}
  languages: [de, fr, it]
  valid_share: 0.1
  test_share: 0.1
tokenizer: {vocabulary: 160}
model:
  preset: tiny
  d_model: 32
  encoder_layers: 2
  decoder_layers: 2
  encoder_ffn_dim: 48
  decoder_ffn_dim: 48
  encoder_attention_heads: 2
  decoder_attention_heads: 2
training:
  updates: 40
  batch_tokens: 256
  learning_rate: 3e-3
  warmup: 10
  precision: float32
  validate_every: 20
  validation_sentences: 20
  save_every: 10
continuation:
  updates: 12
  batch_tokens: 256
  learning_rate: 1e-3
  warmup: 4
  precision: float32
  validate_every: 6
  validation_sentences: 20
  save_every: 6
evaluation: {beam: 2, max_sentences: 10, max_new_tokens: 16}
"""


def write_recipe(folder: Path) -> Path:
    """The toy corpus and its recipe in `folder`; returns the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "table.tsv")
    path = folder / "toy.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path
