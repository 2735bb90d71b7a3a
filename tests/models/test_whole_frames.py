"""Sentences framed as the stock tokenizer of each family frames them, kept with the tokenizer, and cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.checkpoints import FAMILIES
from tests.helpers.prompted_checkpoints import CHAT, PROMPTED
from tests.helpers.synthetic import write_table
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, EvaluationError, Mistakes, ModelError, RecipeError
from neuronspec.models.load import load_model
from neuronspec.models.pretrained import pretrained_tokenizer
from neuronspec.models.ragged import Ragged
from neuronspec.models.settings import ModelSettings
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import load_tokenizer
from neuronspec.models.whole_frames import target_tags, tidy
from neuronspec.training.loss import batch_loss, target_tokens
from neuronspec.translation.settings import EvaluationSettings
from neuronspec.translation.sources import prepare_sources
from neuronspec.translation.transformers_engine import TransformersEngine

EN_DE, DE_EN, EN_FR = Direction("en", "de"), Direction("de", "en"), Direction("en", "fr")
SOURCES, TARGETS = ["one two.", "three one two three"], ["eins zwei.", "drei eins"]
CAUSAL = ("llama", "qwen3", "gemma2")
ASKED = {
    "marian": ">>deu<< {}",
    "madlad": "<2de> {}",
    "t5": "translate English to German: {}",
    "mt5": "translate English to German: {}",
    "llama": "English: {}\nGerman:",
    "gemma2": "English: {}\nGerman:",
}
"""What the card of a model of each family says to feed it."""


@pytest.fixture(scope="module", params=sorted(PROMPTED))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    write_table(folder / "table.tsv", rows=200)
    lines = (folder / "table.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return PROMPTED[request.param](folder / request.param, [cell for line in lines for cell in line.split("\t")[1:]])


def opened(folder: Path, directions: tuple[Direction, ...] = (EN_DE, DE_EN, EN_FR), **fields: Any) -> Any:
    """The tokenizer as a run keeps it, saved and loaded again."""
    made = pretrained_tokenizer(ModelSettings(pretrained=str(folder), **fields), directions)
    made.save_pretrained(folder / "kept")
    return load_tokenizer(folder / "kept")


def asked(name: str, stock: Any, source: str) -> list[int]:
    """What the stock tokenizer makes of the task."""
    if name != "qwen3":
        return stock(ASKED[name].format(source))["input_ids"]
    said = f"Translate the following text from English into German.\nEnglish: {source}\nGerman:"
    talk = [{"role": "user", "content": said}]
    return stock.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)


def test_sources_are_those_of_the_stock_tokenizer(checkpoint: Path) -> None:
    stock = AutoTokenizer.from_pretrained(checkpoint)
    frame = TextFormat.of(opened(checkpoint)).frame
    expected = [asked(checkpoint.name, stock, source) for source in SOURCES]
    assert [frame.read(ids, EN_DE) for ids in frame.sources(SOURCES, EN_DE)] == expected


def test_targets_are_those_of_the_stock_tokenizer(checkpoint: Path) -> None:
    """Behind the prompt, where the two are one sequence."""
    stock = AutoTokenizer.from_pretrained(checkpoint)
    frame = TextFormat.of(opened(checkpoint)).frame
    found = [[*ids, frame.ends[0]] for ids in frame.targets(TARGETS)]
    if checkpoint.name not in CAUSAL:
        assert found == stock(text_target=TARGETS)["input_ids"]
        return
    lead = "" if checkpoint.name == "qwen3" else " "
    for source, target, ids in zip(SOURCES, TARGETS, found, strict=True):
        prompt = asked(checkpoint.name, stock, source)
        whole = stock.decode(prompt) + lead + target
        special = not whole.startswith(("<s>", "<bos>", "<|im_start|>"))
        assert [*prompt, *ids[:-1]] == stock(whole, add_special_tokens=special)["input_ids"]
        assert ids[-1] == stock.eos_token_id


def test_the_loss_is_that_of_the_stock_model(checkpoint: Path) -> None:
    """Padding, the shift of labels, soft caps, scaled and tied heads, biases of logits."""
    stock = AutoTokenizer.from_pretrained(checkpoint)
    text_format = TextFormat.of(opened(checkpoint))
    (batch,) = text_format.batches(EN_DE, list(zip(SOURCES, TARGETS, strict=True)))
    auto: Any = AutoModelForCausalLM if text_format.is_causal else AutoModelForSeq2SeqLM
    model = auto.from_pretrained(checkpoint, attn_implementation="eager").eval()
    with torch.no_grad():
        ours = float(batch_loss(model, batch).nats) / target_tokens(model, batch)
        if text_format.is_causal:
            theirs = float(model(**batch.inputs).loss)
        else:
            inputs = stock([asked(checkpoint.name, stock, one) and ASKED[checkpoint.name].format(one) for one in
                            sorted(SOURCES, key=len)], return_tensors="pt", padding=True)  # fmt: skip
            labels = stock(text_target=sorted(TARGETS, key=lambda one: TARGETS.index(one)), return_tensors="pt",
                           padding=True)["input_ids"]  # fmt: skip
            theirs = float(model(**inputs, labels=labels.masked_fill(labels == stock.pad_token_id, -100)).loss)
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_special_tokens_in_a_text_are_text(checkpoint: Path) -> None:
    tokenizer = opened(checkpoint)
    frame = TextFormat.of(tokenizer).frame
    special = tokenizer.eos_token
    (plain,), (spelled,) = (frame.sources([text], EN_DE) for text in ("one two", f"one {special} two"))
    assert spelled.count(tokenizer.eos_token_id) == plain.count(tokenizer.eos_token_id)
    (written,) = frame.targets([f"eins {special}"])
    assert tokenizer.eos_token_id not in written
    for tag in target_tags(tokenizer).values():  # MADLAD's aren't special tokens
        own = tokenizer.convert_tokens_to_ids(tag)
        assert own not in frame.sources([f"one {tag} two"], EN_DE)[0][1:] + frame.targets([f"eins {tag}"])[0]


def test_a_plain_checkpoint_translates_as_one_that_a_run_has_described(checkpoint: Path) -> None:
    """Its tokenizer has kept no description."""
    engine = TransformersEngine(load_model(checkpoint), opened(checkpoint), EvaluationSettings(max_new_tokens=8))
    translator = ns.Translator(checkpoint, max_new_tokens=8)
    assert [translator(source, "en-de") for source in SOURCES] == engine.translate(SOURCES, EN_DE)


def test_long_sources_are_cut_within_their_frame(checkpoint: Path) -> None:
    frame = TextFormat.of(opened(checkpoint)).frame
    text, fixed = "one two three " * 30, frame.fixed(EN_DE)
    whole = frame.sources([text], EN_DE)[0]
    ids = frame.cut(text, EN_DE, fixed + 12)
    assert fixed < len(ids) <= fixed + 12 < len(whole) and ids[-1] == whole[-1] and ids[0] == whole[0]
    prepared = prepare_sources(TextFormat(frame), [text, "one"], fixed + 12, "truncate", EN_DE)
    assert prepared.truncated == 1 and [part.ids for part in prepared.parts] == [ids, *frame.sources(["one"], EN_DE)]
    with pytest.raises(ModelError, match=f"the prompt of en-de has {fixed} tokens, and the model reads {fixed} at"):
        frame.cut(text, EN_DE, fixed)


@pytest.mark.parametrize("checkpoint", CAUSAL, indirect=True)
def test_batches_of_decoder_only_models(checkpoint: Path) -> None:
    text_format = TextFormat.of(opened(checkpoint))
    sources, targets = text_format.frame.sources(SOURCES, EN_DE), text_format.frame.targets(TARGETS)
    inputs = text_format.pieces([EN_DE, EN_DE], (Ragged.of(sources), Ragged.of(targets)))
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        end = text_format.frame.ends[0]
        real = inputs["attention_mask"][row].bool()
        assert inputs["input_ids"][row][real].tolist() == [*source, *target, end]
        assert inputs["labels"][row][real].tolist() == [*[-100] * len(source), *target, end]
        assert (inputs["labels"][row][~real] == -100).all()


@pytest.mark.parametrize("name", ["marian", "madlad"])
def test_a_language_without_a_tag(name: str, tmp_path: Path) -> None:
    folder = PROMPTED[name](tmp_path / name, ["one two three", "eins zwei drei"] * 40)
    with pytest.raises(
        Mistakes, match=r"^corpus.languages: cs: .*no tag for language 'cs'.*model.languages says which tag to use"
    ):
        opened(folder, (Direction("en", "cs"),))
    opened(folder, (Direction("cs", "en"),))  # sources need none
    tag = {"marian": ">>fra<<", "madlad": "<2fr>"}[name]
    assert TextFormat.of(opened(folder, (Direction("en", "cs"),), languages={"cs": tag})).example(
        Direction("en", "cs"), "one", "jedna"
    )[0][0] == tag  # fmt: skip
    with pytest.raises(RecipeError, match=r"fr and cs have the same tag|cs and fr have the same tag"):
        opened(folder, (Direction("en", "cs"), EN_FR), languages={"cs": tag})
    with pytest.raises(RecipeError, match="cs: the tokenizer has no tag 'ces'"):
        opened(folder, (Direction("en", "cs"),), languages={"cs": "ces"})


def test_the_vocabulary_is_searched_for_tags_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences are framed call by call, and a large vocabulary takes a tenth of a second."""
    tokenizer = opened(PROMPTED["madlad"](tmp_path / "madlad", ["one two three", "eins zwei drei"] * 40))
    searched = []
    whole = type(tokenizer).get_vocab
    monkeypatch.setattr(type(tokenizer), "get_vocab", lambda self: searched.append(1) or whole(self))
    for _ in range(3):
        frame = TextFormat.of(tokenizer).frame
        assert [frame.sources(["one"], direction)[0][0] for direction in (EN_DE, EN_FR)] == (
            tokenizer.convert_tokens_to_ids(["<2de>", "<2fr>"])
        )
    assert len(searched) <= 1


def test_a_prompt_of_ones_own_and_names_of_languages(tmp_path: Path) -> None:
    folder = PROMPTED["qwen3"](tmp_path / "qwen3", ["one two three", "eins zwei drei"] * 40)
    prompt = "{source_code}>{target_code} ({target}) {text} = "
    tokenizer = opened(folder, prompt=prompt, languages={"de": "Plattdeutsch"})
    read, written = TextFormat.of(tokenizer).example(EN_DE, "one", "eins")
    assert tokenizer.convert_tokens_to_string(read) == "en>de (Plattdeutsch) one ="
    assert tokenizer.convert_tokens_to_string(written[:-1]) == " eins"
    chatting = opened(folder, prompt="Into {target}: {text}", chat=True)
    read, _ = TextFormat.of(chatting).example(EN_DE, "one", "eins")
    expected = "<|im_start|>user\nInto German: one<|im_end|>\n<|im_start|>assistant\n"
    assert chatting.convert_tokens_to_string(read) == expected
    with pytest.raises(RecipeError, match=r"isn't told which of de, en, fr to write"):
        opened(folder, prompt="{text}")
    with pytest.raises(RecipeError, match=r"isn't told which of de, en, fr to write"):
        opened(folder, prompt="To {target language}: {text}")
    with pytest.raises(RecipeError, match=r"has no tags of languages; use {target}"):
        opened(folder, prompt="{target_tag} {text}")
    assert chatting.chat_template == CHAT
    settings = EvaluationSettings(max_new_tokens=256)
    engine = TransformersEngine(load_model(folder), tokenizer, settings)
    with pytest.raises(EvaluationError, match="256 positions for the prompt and the translation together"):
        engine.translate(["one"], EN_DE)


def test_prompts_for_models_that_take_none(tmp_path: Path) -> None:
    texts = ["one two three", "eins zwei drei"] * 40
    tagged, t5 = FAMILIES["nllb"](tmp_path / "nllb", texts), PROMPTED["t5"](tmp_path / "t5", texts)
    with pytest.raises(RecipeError, match="told languages by tags of its tokenizer; leave the prompt out"):
        opened(tagged, prompt="To {target}: {text}")
    for folder in (tagged, t5):
        with pytest.raises(RecipeError, match="chat is for models without an encoder"):
            opened(folder, chat=True)
    with pytest.raises(RecipeError, match="no tags of target languages; use {target}"):
        opened(t5, prompt="{target_tag} {text}")


def test_special_tokens_in_the_text_of_a_tagged_model_are_text(tmp_path: Path) -> None:
    """Unigram vocabularies, as mBART-50's, hold `</s>` as a piece, too."""
    for name, make in FAMILIES.items():
        tokenizer = opened(make(tmp_path / name, ["one two three", "eins zwei drei"] * 40))
        frame = TextFormat.of(tokenizer).frame
        special = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        for ids in frame.sources(["one </s> two<pad>"], EN_DE) + frame.targets(["eins</s> <pad>"]):
            assert special.isdisjoint(ids), name


@pytest.mark.parametrize("name", ["source.spm", "target.spm", "vocab.json"])
def test_a_file_of_marian_s_tokenizer_that_is_missing(name: str, tmp_path: Path) -> None:
    folder = PROMPTED["marian"](tmp_path / "marian", ["one two three", "eins zwei drei"] * 40)
    (folder / name).unlink()
    with pytest.raises(CorpusError, match=f"{name} is missing: the tokenizer is made of source.spm, target.spm"):
        opened(folder)


def test_a_base_keeps_the_prompt_that_it_was_trained_with(tmp_path: Path) -> None:
    """A second recipe that starts from it needn't say it again, and may say another."""
    folder = PROMPTED["qwen3"](tmp_path / "qwen3", ["one two three", "eins zwei drei"] * 40)
    opened(folder, prompt="{source_code}>{target_code} {text} = ").save_pretrained(folder)
    for fields, expected in (({}, "en>de one ="), ({"prompt": "{target}: {text} ="}, "German: one =")):
        tokenizer = opened(folder, **fields)
        read, _ = TextFormat.of(tokenizer).example(EN_DE, "one", "eins")
        assert tokenizer.convert_tokens_to_string(read) == expected


def test_chat_without_a_template(tmp_path: Path) -> None:
    folder = PROMPTED["llama"](tmp_path / "llama", ["one two three", "eins zwei drei"] * 40)
    with pytest.raises(ModelError, match=r"model.chat: the tokenizer has no chat template; leave chat out"):
        opened(folder, chat=True)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Eins zwei.", "Eins zwei."),
        ("\n\nEins zwei.\nEnglish: three\nGerman: drei", "Eins zwei."),
        ("<think>\nOne is eins.\n</think>\n\nEins.", "Eins."),
        ("<think>\nOne is", ""),
        ("Here is the translation:\nEins.", "Eins."),
        ("Achtung:", "Achtung:"),
        ("", ""),
    ],
)
def test_what_a_talkative_model_adds_is_left_out(written: str, kept: str) -> None:
    assert tidy(written) == kept
