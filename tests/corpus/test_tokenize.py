"""Tokenizing word by word gives the tokens of whole sentences."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.corpus.spool import spool_schema
from neuronspec.corpus.tokenize import Tokenize, Vocabulary
from neuronspec.models.settings import TokenizerSettings
from neuronspec.models.text_cleaning import clean_text
from neuronspec.models.tokenizer import load_tokenizer, train_tokenizer

LETTERS = "abcdeäßабвгд中文हि"
TYPES = ["bpe", "unigram"]
TEXTS = st.text(st.sampled_from(LETTERS + "   %{}<>/_.,'0123456789鿐\u200d"), min_size=1, max_size=50)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    draw = random.Random(1)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(1, 7))) for _ in range(500)]
    sentences = [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(400)]
    paths = {}
    for kind in TYPES:
        paths[kind] = tmp_path_factory.mktemp(kind)
        settings = TokenizerSettings.model_validate({"type": kind, "vocabulary": 170})
        train_tokenizer(sentences, settings, ["en", "de"]).save_pretrained(str(paths[kind]))
    return paths


def tokens_of(
    texts: list[str | None], tokenizer: Path, spool: Path, dtype: str, by_word: bool = True
) -> list[list[int]]:
    schema = spool_schema(["en"])
    nothing = [*[pa.nulls(len(texts), pa.uint64())] * 2, pa.nulls(len(texts), pa.string())]
    with pa.ipc.new_file(str(spool), schema) as writer:
        writer.write_batch(pa.record_batch([pa.array(texts, pa.string()), *nothing], schema=schema))
    column = Tokenize(spool, tokenizer, ("en",), dtype, by_word)(0)["en"]
    assert column.values.dtype == dtype and len(column.lengths) == len(texts)
    values = iter(column.values.tolist())
    return [[next(values) for _ in range(length)] for length in column.lengths.tolist()]


@pytest.mark.parametrize("kind", TYPES)
@given(raw=st.lists(st.none() | TEXTS, max_size=12), dtype=st.sampled_from(["uint16", "uint32"]))
def test_tokens_are_those_of_whole_sentences(
    folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, kind: str, raw: list[str | None], dtype: str
) -> None:
    texts = [clean_text(text).text or None if text else None for text in raw]
    tokenizer: Any = load_tokenizer(folders[kind])
    expected = [tokenizer(text, add_special_tokens=False).input_ids if text else [] for text in texts]
    spool = tmp_path_factory.mktemp("spool") / "s.arrow"
    assert tokens_of(texts, folders[kind], spool, dtype) == expected
    assert tokens_of(texts, folders[kind], spool, dtype, by_word=False) == expected


@pytest.mark.parametrize("kind", TYPES)
def test_special_tokens_in_a_text_are_text(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    texts: list[str | None] = ["<s> </s> __de__", "a<pad>b __en__", None, "en_XX <unk>"]
    found = tokens_of(texts, folders[kind], tmp_path / "s.arrow", "uint16")
    tokenizer: Any = load_tokenizer(folders[kind])
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    assert found[0] and found[2] == [] and not special & {token for row in found for token in row}
    assert found == [tokenizer(text, add_special_tokens=False).input_ids if text else [] for text in texts]


def test_few_words_are_remembered(folders: dict[str, Path]) -> None:
    path = folders["bpe"] / "tokenizer.json"
    small, large = Vocabulary(path, size=5), Vocabulary(path)
    draw = random.Random(2)
    for _ in range(50):
        words = list(dict.fromkeys("".join(draw.choices("abcde", k=2)) for _ in range(draw.randint(1, 8))))
        assert small.ids_of(words) == large.ids_of(words)
        assert len(small._known) <= 8
