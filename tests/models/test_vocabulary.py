"""Changing the vocabulary of a tokenizer: it cuts text as before, its files are whole, and ids are mapped rightly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.helpers.vocabularies import KINDS, SENTENCES, TAGGED, tokenizer_of
from transformers import AutoTokenizer

from neuronspec.core.errors import DirectionError, Mistakes, ModelError, RecipeError
from neuronspec.models.fit import count_ids
from neuronspec.models.id_map import ID_MAP, IdMap
from neuronspec.models.tokenizer import load_tokenizer, tag_id
from neuronspec.models.vocabulary import add_languages, extend, files_of, new_tags, trim
from neuronspec.models.vocabulary_files import joined_on_the_way


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(kind.replace(" ", "-"))
    tokenizer_of(kind, folder / "own")
    return folder


def whole(folder: Path) -> Any:
    tokenizer = load_tokenizer(folder / "own")
    tokenizer.split_special_tokens = True
    tokenizer.init_kwargs["split_special_tokens"] = True
    return tokenizer


def ids_of(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def languages_of(kind: str) -> list[str]:
    return ["en", "de", "fr"] if kind in TAGGED else []


def trimmed_for(texts: list[str], tokenizer: Any, kind: str, folder: Path, place: str) -> tuple[Any, IdMap]:
    used = {one for text in texts for one in ids_of(tokenizer, text)}
    rows = count_ids(tokenizer) + 3
    return trim(tokenizer, used, set("".join(texts)), languages_of(kind), folder / "own", rows, folder / place)


words = st.sampled_from([word for sentence in SENTENCES for word in sentence.split()])
odd = st.text(alphabet="abcdeäßñДвσ字%✓ \u0301", min_size=1, max_size=6).map(str.strip).filter(bool)
sentences = st.lists(words | odd, min_size=1, max_size=6).map(" ".join)
number = iter(range(10**6))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(sentences, min_size=1, max_size=5))
def test_a_trimmed_vocabulary_cuts_the_text_as_the_whole_one(texts: list[str], kind: str, folder: Path) -> None:
    tokenizer = whole(folder)
    trimmed, change = trimmed_for(texts, tokenizer, kind, folder, f"t{next(number)}")
    assert count_ids(trimmed) == len(change.ids) <= count_ids(tokenizer)
    for text in texts:
        before, after = ids_of(tokenizer, text), ids_of(trimmed, text)
        assert [change.new_ids[one] for one in before] == after, text
        assert trimmed.decode(after) == tokenizer.decode(before)


def test_what_it_saves_is_loaded_again_as_it_is(kind: str, folder: Path, tmp_path: Path) -> None:
    text = SENTENCES[:2]
    tokenizer = whole(folder)
    trimmed, change = trimmed_for(text, tokenizer, kind, folder, "saved")
    trimmed.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert type(again) is type(tokenizer)
    for place, one in enumerate(change.ids):
        assert again.convert_ids_to_tokens(place) == tokenizer.convert_ids_to_tokens(one)
    for name in ("pad", "eos", "unk", "bos"):
        assert getattr(again, f"{name}_token") == getattr(tokenizer, f"{name}_token")
    framed, before = again(text)["input_ids"], whole(folder)(text)["input_ids"]
    if kind in TAGGED:  # the first may be the tag of a source language that is gone
        framed, before = [ids[1:] for ids in framed], [ids[1:] for ids in before]
    assert framed == [[change.new_ids[one] for one in ids] for ids in before]


def test_a_trimmed_vocabulary_is_small_and_writes_any_text_of_its_characters(kind: str, folder: Path) -> None:
    tokenizer = whole(folder)
    trimmed, _ = trimmed_for([SENTENCES[0]], tokenizer, kind, folder, "small")
    assert len(trimmed) < len(tokenizer)
    for text in ("Straight to {0}.", "hot %d"):  # what the whole one can write, the trimmed one can
        assert trimmed.decode(ids_of(trimmed, text)) == tokenizer.decode(ids_of(tokenizer, text))


@pytest.mark.parametrize("kind", TAGGED)
def test_unused_tags_go_and_used_ones_stay(kind: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind, tmp_path / "own")
    tag_id(tokenizer, "ru")
    trimmed, change = trim(tokenizer, [], "", ["de", "fr"], tmp_path / "own", count_ids(tokenizer), tmp_path / "new")
    for code in ("de", "fr"):
        assert change.ids[tag_id(trimmed, code)] == tag_id(tokenizer, code)
    if kind in ("m2m100", "mbart50"):  # parts of their classes
        tag_id(trimmed, "ru")
    else:
        with pytest.raises(DirectionError):
            tag_id(trimmed, "ru")


@pytest.mark.parametrize("kind", TAGGED)
def test_a_new_language_gets_a_tag_that_starts_as_its_relative_s(kind: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind, tmp_path / "own")
    rows = count_ids(tokenizer) + 8
    new = {"nds": "de", "de_AT": "de"}
    changed, change = add_languages(tokenizer, new, ["en", "de", "nds", "de_AT"], rows, tmp_path / "new")
    changed.save_pretrained(tmp_path / "again")
    again = load_tokenizer(tmp_path / "again")
    tags = [tag_id(again, code) for code in ("en", "de", "nds", "de_AT")]
    assert len(set(tags)) == 4
    assert [change.ids[tag] for tag in tags] == [
        tag_id(tokenizer, "en"), tag_id(tokenizer, "de"), (tag_id(tokenizer, "de"),), (tag_id(tokenizer, "de"),)
    ]  # fmt: skip
    assert len(change.ids) == rows, "rows beyond the tokenizer's are kept"
    expected = {"nllb": ["nds_Latn", "deu_Latn_AT"], "mbart50": ["nds_XX", "de_AT"]}
    names = expected.get(kind, ["__nds__", "__de_AT__"])
    assert again.convert_ids_to_tokens(tags[2:]) == names
    assert set(names) <= set(map(str, again.all_special_tokens))
    assert again.decode([tags[2], *ids_of(again, "Haus")], skip_special_tokens=True) == "Haus"
    for text in SENTENCES[:4]:
        assert ids_of(again, text) == ids_of(tokenizer, text)
    if kind not in ("m2m100",):
        again.src_lang = names[0]
        assert again("Haus")["input_ids"][0] == tags[2]


def test_mistaken_new_languages_are_refused(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("mbart50", tmp_path)
    with pytest.raises(Mistakes) as caught:
        new_tags(tokenizer, {"fr": "en", "de": "en", "lb": "nds", "pt_BR": "pt"})
    french, german, luxembourgish = caught.value.args
    assert french.startswith("model.new_languages: fr has a tag already, 'fr_XX'")
    assert german.startswith("model.new_languages: de has a tag already, 'de_DE'")
    assert luxembourgish.startswith("model.new_languages: lb: nds can't lend its tag")
    assert new_tags(tokenizer, {"pt_BR": "pt"})["pt_BR"][0] == "pt_BR"


def test_new_pieces_join_what_the_text_has_most_of(kind: str, folder: Path) -> None:
    tokenizer = whole(folder)
    text = ["hotdoor hotdoors hotdoor"] * 50
    before = tokenizer.convert_ids_to_tokens(ids_of(tokenizer, text[0]))
    longer, change = extend(tokenizer, text, 4, count_ids(tokenizer), folder / "longer")
    after = longer.convert_ids_to_tokens(ids_of(longer, text[0]))
    assert len(after) < len(before) and "".join(after) == "".join(before)
    made = {place: one for place, one in enumerate(change.ids) if not isinstance(one, int)}
    assert len(made) == 4
    for place, parts in made.items():
        assert "".join(tokenizer.convert_ids_to_tokens(list(parts))) == longer.convert_ids_to_tokens(place)
    assert longer.decode(ids_of(longer, text[0])).strip() == text[0]
    for sentence in SENTENCES[3:5]:  # what has none of the new pieces is cut as before
        assert [change.ids[one] for one in ids_of(longer, sentence)] == ids_of(tokenizer, sentence)
    with pytest.raises(RecipeError, match=r"set it to \d+ or less"):
        extend(tokenizer, text[:2], 1000, count_ids(tokenizer), folder / "more")


def test_changes_one_after_the_other_are_one(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("nllb", tmp_path / "own")
    rows = count_ids(tokenizer)
    tagged, first = add_languages(tokenizer, {"nds": "de"}, ["en", "de", "nds"], rows, tmp_path / "1")
    longer, second = extend(tagged, ["hotdoor hotdoors"] * 9, 3, len(first.ids), tmp_path / "2")
    used = ids_of(longer, "hotdoor house")
    small, third = trim(longer, used, "hotdoor", ["en", "nds"], tmp_path / "own", len(second.ids), tmp_path / "3")
    change = third.after(second.after(first))
    assert change.rows == rows and len(change.ids) == count_ids(small)
    assert change.ids[tag_id(small, "nds")] == (tag_id(tokenizer, "de"),)
    piece = small.convert_ids_to_tokens(ids_of(small, "hotdoor"))
    parts = [change.ids[one] for one in ids_of(small, "hotdoor")]
    flat = [each for one in parts for each in ((one,) if isinstance(one, int) else one)]
    assert len(flat) > len(piece) and "".join(tokenizer.convert_ids_to_tokens(flat)) == "▁hotdoor"


def test_pieces_need_what_they_are_joined_from() -> None:
    ranks = {("t", "h"): 0, ("th", "e"): 1, ("h", "e"): 2, ("t", "he"): 3}
    assert list(joined_on_the_way("the", ranks.get)) == ["th", "the"]


def test_tokenizers_of_another_kind_are_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")))
    with pytest.raises(ModelError, match="only plain BPE and unigram pieces"):
        files_of(words)


def test_the_map_is_kept_and_a_damaged_one_told(tmp_path: Path) -> None:
    change = IdMap(9, [0, 3, (4, 5)], (10, 7), (40, 28))
    change.save(tmp_path)
    again = IdMap.load(tmp_path)
    assert again is not None and list(again.ids) == [0, 3, (4, 5)] and again.facts() == change.facts()
    assert change.facts() == {"ids": [9, 3], "parameters": [10, 7], "bytes": [40, 28]}
    content = json.loads((tmp_path / ID_MAP).read_text())
    (tmp_path / ID_MAP).write_text(json.dumps(content | {"ids": [0, 9]}))
    with pytest.raises(ModelError, match="no row 9"):
        IdMap.load(tmp_path)
    (tmp_path / ID_MAP).unlink()
    assert IdMap.load(tmp_path) is None
