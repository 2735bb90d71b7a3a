"""A tokenizer that is there already, and one that normalises: the pieces that SentencePiece gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from pydantic import ValidationError
from tests.helpers.checkpoints import trained_pieces

from neuronspec.core.errors import CorpusError
from neuronspec.core.settings import without_added
from neuronspec.models.ready_tokenizer import open_tokenizer
from neuronspec.models.settings import TokenizerSettings
from neuronspec.models.text_format import cleaning_of
from neuronspec.models.tokenizer import load_tokenizer, train_tokenizer

SENTENCES = [
    "the quick brown fox jumps over the lazy dog", "pack my box with five dozen liquor jugs",
    "how vexingly quick daft zebras jump", "der schnelle braune Fuchs springt", "fünf große Äpfel über dem Haus",
] * 8  # fmt: skip
TEXTS = ["the zebra jumps", "ﬁve ｂoxes ① Äpfel", "daft fox", "über dem ½ Haus", "unseen 漢字 x"]


def sentencepiece_model(path: Path, kind: str, rule: str, size: int = 150, **options: Any) -> None:
    content, _ = trained_pieces(SENTENCES, kind, size, normalization_rule_name=rule, **options)
    path.write_bytes(content)


def own_pieces(path: Path, texts: list[str]) -> list[list[str]]:
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [processor.encode(text, out_type=str) for text in texts]


def pieces(tokenizer: Any, texts: list[str]) -> list[list[str]]:
    return [tokenizer.tokenize(text, add_special_tokens=False) for text in texts]


def in_vocabulary(tokenizer: Any, row: list[str]) -> list[str]:
    return [piece for piece in row if tokenizer.convert_tokens_to_ids(piece) != tokenizer.unk_token_id]


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
def test_a_sentencepiece_model_splits_as_before(tmp_path: Path, kind: str, rule: str) -> None:
    path = tmp_path / "spm.model"
    sentencepiece_model(path, kind, rule)
    tokenizer = open_tokenizer(path, ["en", "de"])
    assert [tokenizer.convert_tokens_to_ids(token) for token in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    assert cleaning_of(tokenizer) == "neuronspec"
    tokenizer.save_pretrained(tmp_path / "saved")
    again = load_tokenizer(tmp_path / "saved")
    assert cleaning_of(again) == "neuronspec"
    known = TEXTS[:-1] if rule == "nmt_nfkc" else [TEXTS[0], TEXTS[2]]
    for one in (tokenizer, again):
        found, wanted = pieces(one, known), own_pieces(path, known)
        assert [in_vocabulary(one, row) for row in found] == [in_vocabulary(one, row) for row in wanted]
    folder = open_tokenizer(tmp_path / "saved", ["de"])
    assert pieces(folder, TEXTS) == pieces(tokenizer, TEXTS)
    with pytest.raises(CorpusError, match=r"saved has no tag __fr__; name a SentencePiece model"):
        open_tokenizer(tmp_path / "saved", ["de", "fr"])


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_text_is_normalised_by_a_trained_tokenizer(kind: str) -> None:
    settings = TokenizerSettings(type=kind, vocabulary=150 if kind == "bpe" else 100, normalization="nmt_nfkc_cf")
    tokenizer = train_tokenizer(SENTENCES, settings, ["en", "de"], set("ﬁ①Ä"))
    assert pieces(tokenizer, ["ﬁve ＢＯＸES"]) == pieces(tokenizer, ["five boxes"])
    assert cleaning_of(tokenizer) == "neuronspec"


def test_what_cant_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.model"
    path.write_bytes(b"something else")
    with pytest.raises(CorpusError, match=r"no\.model is no SentencePiece model"):
        open_tokenizer(path, ["en"])
    sentencepiece_model(path, "bpe", "identity", byte_fallback=True, size=400)
    with pytest.raises(CorpusError, match="has bytes, such as '<0x00>', which aren't supported"):
        open_tokenizer(path, ["en"])
    sentencepiece_model(path, "char", "identity", size=40)
    with pytest.raises(CorpusError, match="splits into words or characters; give a BPE or unigram model"):
        open_tokenizer(path, ["en"])


def test_keys_of_a_trained_tokenizer_are_left_out_beside_a_path() -> None:
    with pytest.raises(ValidationError, match="vocabulary is of a tokenizer that is trained, and path names one"):
        TokenizerSettings(path="spm.model", vocabulary=500)
    plain = TokenizerSettings()
    assert {"path", "normalization"}.isdisjoint(without_added(plain, plain.model_dump()))
