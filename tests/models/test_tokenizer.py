"""The tokenizer: exact round trip, tags, literal special tokens, and loading without neuronspec."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuronspec.core.errors import CorpusError, DirectionError, RecipeError
from neuronspec.models.settings import FEWEST_PIECES, TokenizerSettings
from neuronspec.models.text_cleaning import clean_text
from neuronspec.models.tokenizer import (
    language_tag,
    load_tokenizer,
    merges_of,
    sample,
    sample_sizes,
    tag_id,
    train_tokenizer,
)

LANGUAGES = ["en", "de", "ru", "sr_Latn"]
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßабвгдежзийклмнопрст"
TYPES = ["bpe", "unigram"]
VOCABULARY = 300
SPECIALS = "a <s> b </s> __de__ <pad>, <unk> de en_XX ar_AR <mask> x"


def sentences() -> list[str]:
    draw = random.Random(1)
    words = []
    for script in (LETTERS[:30], LETTERS[30:]):
        syllables = ["".join(draw.choices(script, k=draw.randint(2, 4))) for _ in range(60)]
        words += ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(400)]
    ends = [".", "!", " %(n)s"]
    return [" ".join(draw.choices(words, k=draw.randint(1, 12))) + draw.choice(ends) for _ in range(300)]


def settings(kind: Any, **more: Any) -> TokenizerSettings:
    return TokenizerSettings(type=kind, **({"vocabulary": VOCABULARY} | more))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = {kind: tmp_path_factory.mktemp(kind) for kind in TYPES}
    for kind, path in paths.items():
        train_tokenizer(sentences(), settings(kind), LANGUAGES, LETTERS + "鿐").save_pretrained(str(path))
    return paths


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, Any]:
    return {kind: load_tokenizer(path) for kind, path in folders.items()}


def encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


@pytest.mark.parametrize("kind", TYPES)
def test_layout_of_ids(tokenizers: dict[str, Any], kind: str) -> None:
    tokenizer = tokenizers[kind]
    assert [tokenizer.convert_ids_to_tokens(i) for i in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id) == (1, 2, 0)
    tags = [tag_id(tokenizer, code) for code in LANGUAGES]
    extra = 1 if kind == "unigram" else 0
    assert tags == list(range(VOCABULARY + extra, VOCABULARY + extra + 4))
    for code in LANGUAGES:
        tokenizer.src_lang = language_tag(code)
        ids = tokenizer("abc").input_ids
        assert ids == [tag_id(tokenizer, code), *encode(tokenizer, "abc"), 2]
    assert encode(tokenizer, "abc") and max(encode(tokenizer, "abc")) < VOCABULARY


@pytest.mark.parametrize("kind", TYPES)
@given(text=st.text(st.sampled_from(LETTERS + "鿐 %(){}$<>/_&;.,!?\"'0123456789ABCXYZ"), max_size=60))
def test_round_trip_is_exact(tokenizers: dict[str, Any], kind: str, text: str) -> None:
    cleaned = clean_text(text).text
    ids = tokenizers[kind](cleaned).input_ids
    assert 3 not in ids
    assert tokenizers[kind].decode(ids, skip_special_tokens=True) == cleaned


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "text",
    [SPECIALS, "__en__", "<s>", "</s></s>", '%(name)s of ${n}, {0} <a href="x">y</a>', "__sr_Latn____de__"],
)
def test_special_tokens_in_text_are_text(tokenizers: dict[str, Any], kind: str, text: str) -> None:
    tokenizer = tokenizers[kind]
    ids = encode(tokenizer, text)
    special = {0, 1, 2, 3} | {tag_id(tokenizer, code) for code in LANGUAGES}
    assert not special & set(ids) and max(ids) < VOCABULARY
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.backend_tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids == ids


@pytest.mark.parametrize("kind", TYPES)
def test_unseen_characters_become_unknown(tokenizers: dict[str, Any], kind: str) -> None:
    ids = encode(tokenizers[kind], "abc 😀😀 абв")
    assert ids.count(3) == 1
    assert tokenizers[kind].decode(ids, skip_special_tokens=True).split() == ["abc", "абв"]
    assert encode(tokenizers[kind], "") == []


@pytest.mark.parametrize("kind", TYPES)
def test_segments_as_sentencepiece_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sentencepiece

    models: list[bytes] = []
    original = sentencepiece.SentencePieceTrainer.train

    def train(**options: Any) -> None:
        original(**options)
        models.append(options["model_writer"].getvalue())

    monkeypatch.setattr(sentencepiece.SentencePieceTrainer, "train", train)
    tokenizer = train_tokenizer(sentences(), settings(kind), LANGUAGES)
    reference = sentencepiece.SentencePieceProcessor(model_proto=models[0])
    texts = [*sentences(), "ein anderer Satz mit neuen Wörtern und %(name)s", "aaaaaa bbbb"]
    assert [encode(tokenizer, text) for text in texts] == [reference.encode(text) for text in texts]


def test_merges() -> None:
    assert merges_of(["<s>", "ab", "abc", "▁a", "▁", "a", "b", "c"]) == [("a", "b"), ("ab", "c"), ("▁", "a")]


@pytest.mark.parametrize("kind", TYPES)
def test_training_is_deterministic(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    again = train_tokenizer(iter(sentences()), settings(kind), LANGUAGES, reversed(LETTERS + "鿐"))
    again.save_pretrained(str(tmp_path))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (folders[kind] / name).read_bytes()


def test_loads_without_neuronspec(tokenizers: dict[str, Any], folders: dict[str, Path]) -> None:
    texts = [*sentences()[:40], SPECIALS]
    program = """
import json, sys
from transformers import AutoTokenizer
folders, texts = json.loads(sys.stdin.read())
result = {}
for kind, folder in folders.items():
    tokenizer = AutoTokenizer.from_pretrained(folder)
    result[kind] = {"size": len(tokenizer)}
    for tag in ("__ru__", "__de__"):
        tokenizer.src_lang = tag
        result[kind][tag] = tokenizer(texts).input_ids
        result[kind]["id of " + tag] = tokenizer.convert_tokens_to_ids(tag)
    ids = tokenizer(texts).input_ids
    result[kind]["decoded"] = tokenizer.batch_decode(ids, skip_special_tokens=True)
assert not [name for name in sys.modules if name.startswith("neuronspec")]
print(json.dumps(result))
"""
    given_to = json.dumps([{kind: str(path) for kind, path in folders.items()}, texts])
    done = subprocess.run([sys.executable, "-c", program], input=given_to, capture_output=True, text=True, check=True)
    for kind, result in json.loads(done.stdout).items():
        tokenizer = tokenizers[kind]
        assert result["size"] == len(tokenizer) and result["decoded"] == texts
        for tag in ("__ru__", "__de__"):
            tokenizer.src_lang = tag
            assert result[tag] == tokenizer(texts).input_ids
            assert result[f"id of {tag}"] == tag_id(tokenizer, tag.strip("_"))


@pytest.mark.parametrize("kind", TYPES)
def test_saved_again_after_switching_the_language(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    tokenizer: Any = load_tokenizer(folders[kind])
    assert tokenizer.src_lang == "__en__"
    for turn, code in enumerate(("de", "ru")):
        tokenizer.src_lang = language_tag(code)
        tokenizer.save_pretrained(str(tmp_path / str(turn)))
        before, tokenizer = tokenizer, load_tokenizer(tmp_path / str(turn))
        assert len(before) == len(tokenizer) and before.get_vocab() == tokenizer.get_vocab()
        assert encode(before, SPECIALS) == encode(tokenizer, SPECIALS)


def test_beside_a_model_configuration(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import M2M100Config

    for kind in TYPES:
        tokenizer: Any = load_tokenizer(folders[kind])
        M2M100Config(vocab_size=len(tokenizer)).save_pretrained(str(tmp_path / kind))
        tokenizer.save_pretrained(str(tmp_path / kind))
        assert type(load_tokenizer(tmp_path / kind)) is type(tokenizer)


@pytest.mark.parametrize("kind", TYPES)
def test_a_vocabulary_that_does_not_suit_the_text(kind: str) -> None:
    with pytest.raises(RecipeError, match=r"tokenizer.vocabulary is 90000, .* set it to (\d+) or less") as caught:
        train_tokenizer(sentences(), settings(kind, vocabulary=90_000), LANGUAGES)
    largest = int(str(caught.value).split()[-3])
    assert len(train_tokenizer(sentences(), settings(kind, vocabulary=largest), LANGUAGES)) > largest
    with pytest.raises(RecipeError, match=r"vocabulary is 100, but single characters .* above \d+, or lower"):
        train_tokenizer(sentences(), settings(kind, vocabulary=100), LANGUAGES, "äöüß")
    with pytest.raises(CorpusError, match="no training text"):
        train_tokenizer([], settings(kind), LANGUAGES)


def test_the_smallest_vocabulary_that_settings_allow_can_be_trained() -> None:
    texts = ["a b a b ab ab"] * 50
    assert len(train_tokenizer(texts, settings("bpe", vocabulary=FEWEST_PIECES), ["en"])) == FEWEST_PIECES + 1
    for wrong in ({"vocabulary": FEWEST_PIECES - 1}, {"character_coverage": 0.97}):  # SentencePiece takes neither
        with pytest.raises(ValidationError):
            settings("bpe", **wrong)


def test_lower_coverage_leaves_rare_characters_out() -> None:
    texts = ["ab ba"] * 3000 + ["鿐"]
    full = train_tokenizer(texts, settings("bpe", vocabulary=101), ["en"], "鿐")
    part = train_tokenizer(texts, settings("bpe", vocabulary=101, character_coverage=0.99), ["en"], "鿐")
    assert 3 not in encode(full, "鿐") and 3 in encode(part, "鿐") and 3 not in encode(part, "{0}")


def test_folder_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no tokenizer there"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(CorpusError, match="damaged"):
        load_tokenizer(tmp_path)


class Tagged:
    """A tokenizer with given special tokens."""

    def __init__(self, *tags: str) -> None:
        self.all_special_tokens = ["<s>", "</s>", *tags]

    def convert_tokens_to_ids(self, token: str) -> int:
        return 100 + self.all_special_tokens.index(token)


def test_tags_of_other_tokenizers() -> None:
    nllb: Any = Tagged("eng_Latn", "deu_Latn", "por_Latn", "srp_Cyrl")
    untagged: Any = Tagged()
    m2m100: Any = Tagged("__en__", "__de__", "__sr__")
    assert tag_id(nllb, "de") == 103 and tag_id(nllb, "sr") == 105 and tag_id(m2m100, "sr") == 104
    with pytest.raises(DirectionError, match="no tag for language 'dee'; did you mean 'de'"):
        tag_id(m2m100, "dee")
    with pytest.raises(DirectionError, match="valid: de, en, pt, sr"):
        tag_id(nllb, "zu")
    with pytest.raises(DirectionError, match="it has none"):
        tag_id(untagged, "de")


def test_tag_of_the_stock_nllb_tokenizer() -> None:
    from transformers import NllbTokenizer

    tokenizer = NllbTokenizer()
    assert tag_id(tokenizer, "de") == tokenizer.convert_tokens_to_ids("deu_Latn") != 3
    assert tag_id(tokenizer, "zh_Hant") == tokenizer.convert_tokens_to_ids("zho_Hant")


def test_sizes_follow_the_temperature() -> None:
    available = {"en": 10_000, "de": 10_000, "af": 100}
    assert sample_sizes(available, 1, 10**9) == available
    sizes = sample_sizes(available, 5, 10**9)
    assert sizes["en"] == sizes["de"] and sizes["en"] / sizes["af"] == pytest.approx(100 ** (1 / 5), rel=1e-3)
    assert sum(sizes.values()) == pytest.approx(20_100, abs=3)


def test_sizes_are_limited_and_skip_empty_languages() -> None:
    sizes = sample_sizes({"en": 900, "de": 100, "xx": 0}, 1, 100)
    assert sizes == {"en": 90, "de": 10}


def test_the_sample_is_spread_evenly_and_repeats_what_is_rare() -> None:
    rows = [pa.record_batch({"en": [f"e{i}", None], "de": [None, f"d{i}"]}) for i in range(100)]
    taken = Counter(sample(rows, {"en": 100, "de": 100}, {"en": 25, "de": 250}))
    assert sum(count for text, count in taken.items() if text[0] == "e") == 25
    assert {taken[f"d{i}"] for i in range(100)} == {2, 3}
    assert [text for text in taken if text[0] == "e"] == [f"e{i}" for i in range(3, 100, 4)]
    assert taken == Counter(sample(rows, {"en": 100, "de": 100}, {"en": 25, "de": 250}))
