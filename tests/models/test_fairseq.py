"""Checkpoints of fairseq become folders that open here, and compute what fairseq computes."""

from __future__ import annotations

import argparse
import json
import sys
import types
import zipfile
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.fairseq import LANGUAGES, logits, options, pieces, state, words_of, written
from tests.helpers.vocabularies import SENTENCES
from transformers import AutoModelForSeq2SeqLM, M2M100ForConditionalGeneration, MBartForConditionalGeneration

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, ModelError, NeuronspecError, PathError, RecipeError
from neuronspec.models.fairseq import convert_fairseq
from neuronspec.models.load import load_model, load_with_tokenizer
from neuronspec.models.pretrained import pretrained_tokenizer
from neuronspec.models.settings import ModelSettings
from neuronspec.models.text_format import TextFormat
from neuronspec.models.tokenizer import tag_id
from neuronspec.models.vocabulary import add_languages, trim
from neuronspec.translation.engine import make_engine
from neuronspec.translation.settings import EvaluationSettings

EN_DE = Direction("en", "de")


def tensors_of(checkpoint: Path) -> Any:
    return torch.load(checkpoint, weights_only=False)["model"]


def batch(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources with padding, and what the decoder reads."""
    random = torch.Generator().manual_seed(2)
    sources, targets = (torch.randint(4, rows, (3, size), generator=random) for size in (9, 7))
    sources[1, 6:], sources[2, 4:] = 1, 1
    targets[:, 0] = 2
    return sources, targets


@pytest.mark.parametrize("share_all", [False, True])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("normed", [False, True])
def test_logits_and_loss_are_those_of_fairseq(tmp_path: Path, share_all: bool, scale: bool, normed: bool) -> None:
    checkpoint = written(
        tmp_path / "given", share_all=share_all, no_scale_embedding=not scale, layernorm_embedding=normed
    )
    convert_fairseq(checkpoint, tmp_path / "made")
    tensors = tensors_of(checkpoint)
    sources, targets = batch(len(tensors["encoder.embed_tokens.weight"]))
    expected = logits(tensors, sources, targets, scale=scale)
    inputs = {"input_ids": sources, "attention_mask": (sources != 1).long(), "decoder_input_ids": targets}
    model: Any = load_model(tmp_path / "made", "cpu", dtype=torch.float64)
    stock = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "made", dtype=torch.float64).eval()
    for each in (model, stock):
        assert type(each) is (MBartForConditionalGeneration if normed else M2M100ForConditionalGeneration)
        with torch.no_grad():
            found = each(**inputs).logits
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
        losses = [torch.nn.functional.cross_entropy(one[:, :-1].flatten(0, 1), targets[:, 1:].flatten())
                  for one in (found, expected)]  # fmt: skip
        assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-6)
    model.save_pretrained(tmp_path / "again")
    again: Any = load_model(tmp_path / "again", "cpu", dtype=torch.float64)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    with torch.no_grad():  # up to rounding, which on some processors depends on where in memory a tensor begins
        torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits, atol=1e-12, rtol=1e-12)
    assert (model.model.encoder.embed_tokens.weight is model.lm_head.weight) is share_all
    assert model.model.decoder.embed_tokens.weight is model.lm_head.weight


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("reads", "writes"), [("src", True), ("tgt", True), ("tgt", False)])
def test_sentences_are_framed_as_by_fairseq(tmp_path: Path, reads: str, writes: bool, normed: bool) -> None:
    """[tag, pieces, </s>]; the decoder begins with </s>, and the target's tag where it is given one."""
    checkpoint = written(tmp_path / "given", encoder_langtok=reads, decoder_langtok=writes, layernorm_embedding=normed)
    convert_fairseq(checkpoint, tmp_path / "made")
    format_ = TextFormat.of(pretrained_tokenizer(ModelSettings(pretrained=str(tmp_path / "made")), [EN_DE]), [EN_DE])
    read, began = format_.example(EN_DE, "the house", "das Haus")
    begin = ["</s>", "__de__"] if writes else ["</s>"]
    assert (read[0], read[-1]) == ("__en__" if reads == "src" else "__de__", "</s>")
    assert began[: len(begin)] == begin
    assert not began[len(begin)].startswith("__")
    assert began[-1] == "</s>"
    assert format_.cleaning == "tokenizer"
    inputs = format_.texts(EN_DE, ["the house"], ["das Haus"])
    show = format_.frame.tokenizer.convert_ids_to_tokens
    assert show(inputs["input_ids"][0].tolist()) == read
    assert show(inputs["decoder_input_ids"][0].tolist()) == began[:-1]
    assert show(inputs["labels"][0, writes:].tolist()) == began[len(begin) :]
    assert (inputs["labels"][0, 0] == -100) == writes
    if not writes:
        with pytest.raises(RecipeError, match="tag_loss"):
            format_.with_tag_loss()


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize(("reads", "writes"), [("src", True), ("tgt", False)])
def test_translations_are_those_of_fairseq(tmp_path: Path, reads: str, writes: bool, normed: bool) -> None:
    """Greedy search: fairseq forces the target's tag, and takes the best piece from then on."""
    checkpoint = written(tmp_path / "given", encoder_langtok=reads, decoder_langtok=writes, layernorm_embedding=normed)
    convert_fairseq(checkpoint, tmp_path / "made")
    model, tokenizer = load_with_tokenizer(tmp_path / "made", "cpu")
    texts, tensors, expected = ["a", "the street, and the door"], tensors_of(checkpoint), []
    sources = tokenizer(texts, add_special_tokens=False)["input_ids"]
    for ids in sources:
        source = torch.tensor([[tag_id(tokenizer, "en" if reads == "src" else "de"), *ids, 2]])
        target = [2, tag_id(tokenizer, "de")] if writes else [2]
        while len(target) < 7 and (len(target) == 1 or target[-1] != 2):
            target.append(int(logits(tensors, source, torch.tensor([target]))[0, -1].argmax()))
        expected.append(tokenizer.decode([one for one in target if one != 2], skip_special_tokens=True).strip())
    assert len(set(expected)) == 2
    attention = []
    for name in ("transformers", "ctranslate2"):
        engine = make_engine(model, tokenizer, EvaluationSettings(beam=1, max_new_tokens=6, engine=name))
        assert list(engine.translate(texts, EN_DE)) == expected
        attention.append(engine.attention(sources, sources, EN_DE))
    for one, other in zip(*attention, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_its_vocabulary_can_be_changed(tmp_path: Path) -> None:
    """New tags and fewer pieces; text is cut and framed as before."""
    convert_fairseq(written(tmp_path / "given", encoder_langtok="tgt", decoder_langtok=False), tmp_path / "made")
    settings = ModelSettings(pretrained=str(tmp_path / "made"))
    tokenizer: Any = pretrained_tokenizer(settings, [EN_DE])
    text, rows = "the house and the door", len(tokenizer)
    before = tokenizer.tokenize(text)
    tokenizer, first = add_languages(tokenizer, {"nds": "de"}, ["en", "de"], rows, tmp_path / "added")
    assert first.ids[-1] == (tag_id(tokenizer, "de"),)
    used = tokenizer(text, add_special_tokens=False)["input_ids"]
    tokenizer, _ = trim(tokenizer, used, set(text), ["en", "nds"], tmp_path / "made", rows + 1, tmp_path / "trimmed")
    assert len(tokenizer) < rows
    assert tokenizer.tokenize(text) == before
    read, began = TextFormat.of(tokenizer).example(Direction("en", "nds"), text, text)
    assert (read[0], began[0], began[1]) == ("__nds__", "</s>", before[0])


def test_half_precision_becomes_float32_without_a_change(tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "given", dtype=torch.float16)
    convert_fairseq(checkpoint, tmp_path / "made")
    model: Any = load_model(tmp_path / "made", "cpu")
    layer = model.model.encoder.layers[0].fc1.weight
    assert layer.dtype == torch.float32
    assert torch.equal(layer.half(), tensors_of(checkpoint)["encoder.layers.0.fc1.weight"])


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_ids_are_those_of_fairseq(tmp_path: Path, kind: str) -> None:
    """`<s> <pad> </s> <unk>`, the lines of dict.txt, then the tags in the order of --langs."""
    import sentencepiece

    checkpoint = written(tmp_path / "given", kind)
    facts = convert_fairseq(checkpoint, tmp_path / "made")
    raw, content = pieces(kind)
    words = words_of(content)
    symbols = ["<s>", "<pad>", "</s>", "<unk>", *words, *(f"__{code}__" for code in LANGUAGES)]
    model, tokenizer = load_with_tokenizer(tmp_path / "made", "cpu")
    assert tokenizer.convert_ids_to_tokens(list(range(len(symbols)))) == symbols
    assert len(tokenizer) == len(symbols) == facts["ids"] == model.config.vocab_size
    assert [tag_id(tokenizer, code) for code in LANGUAGES] == [len(symbols) - 3, len(symbols) - 2, len(symbols) - 1]
    cutter, ids = sentencepiece.SentencePieceProcessor(model_proto=raw), {word: n for n, word in enumerate(symbols)}
    texts = [*SENTENCES[:8], " two  spaces ", "ﬁne ① Ⅳ", "unknown 新 and 新聞", "a新b"]
    for text in texts:
        expected = [ids.get(piece, 3) for piece in cutter.encode(text, out_type=str)]
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == expected, text
        assert tokenizer.decode([one for one in expected if one != 3]) == cutter.decode(
            [piece for piece in cutter.encode(text, out_type=str) if piece in ids]
        )


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_special_tokens_that_a_text_spells_out_are_text(tmp_path: Path, kind: str) -> None:
    convert_fairseq(written(tmp_path / "given", kind), tmp_path / "made")
    _, tokenizer = load_with_tokenizer(tmp_path / "made", "cpu")
    ids = TextFormat.of(tokenizer, [EN_DE]).frame.targets(["__de__ the </s> house <pad> <unk>"])[0]
    assert not {1, 2, tag_id(tokenizer, "de")} & set(ids)


def test_pieces_without_an_id_are_unknown(tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "given", left_out=3)
    facts = convert_fairseq(checkpoint, tmp_path / "made")
    assert facts["pieces_without_id"] == 3
    model: Any = load_model(tmp_path / "made", "cpu")
    for table in (model.model.encoder.embed_tokens.weight, model.lm_head.weight):
        assert torch.equal(table[-3:], table[3].expand(3, -1))
    tensors = tensors_of(checkpoint)
    sources, targets = batch(len(tensors["encoder.embed_tokens.weight"]))
    with torch.no_grad():
        found = model(input_ids=sources, attention_mask=(sources != 1).long(), decoder_input_ids=targets).logits
    torch.testing.assert_close(found[..., :-3].double(), logits(tensors, sources, targets), atol=1e-4, rtol=1e-4)


def test_per_language_dictionaries_that_are_equal(tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "given")
    data = tmp_path / "data-bin"
    data.mkdir()
    words = (checkpoint.parent / "dict.txt").read_text(encoding="utf-8")
    for code in LANGUAGES:
        (data / f"dict.{code}.txt").write_text(words, encoding="utf-8")
    (data / "dict.en.txt").write_text(words.replace(" 100\n", " 7\n"), encoding="utf-8")
    convert_fairseq(checkpoint, tmp_path / "made", data)
    (data / "dict.fr.txt").write_text(words + "more 1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"dict.de.txt and .*dict.fr.txt differ"):
        convert_fairseq(checkpoint, tmp_path / "other", data)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("style", ["mbart", "in the dictionary"])
def test_tags_of_other_styles(tmp_path: Path, style: str) -> None:
    checkpoint = written(tmp_path / "given", lang_tok_style="mbart" if style == "mbart" else "multilingual")
    words = checkpoint.parent / "dict.txt"
    lines = words.read_text(encoding="utf-8").splitlines()
    content = torch.load(checkpoint, weights_only=False)
    if style == "mbart":  # which adds <mask> as well
        content["model"] = state(4 + len(lines) + 4)
        expected = 4 + len(lines) + 2
    else:
        words.write_text("__de__ 1\n" + "\n".join(lines[:-1]) + "\n", encoding="utf-8")
        content["model"] = state(4 + len(lines) + 2)
        expected = 4
    torch.save(content, checkpoint)
    convert_fairseq(checkpoint, tmp_path / "made")
    _, tokenizer = load_with_tokenizer(tmp_path / "made", "cpu")
    assert tag_id(tokenizer, "de") == expected


def with_modules(monkeypatch: pytest.MonkeyPatch, *names: str) -> list[Any]:
    """Classes of modules that aren't installed where the checkpoint is read."""
    made = []
    for name in names:
        module, _, kind = name.rpartition(".")
        package = module.partition(".")[0]
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        found = sys.modules.get(module) or types.ModuleType(module)
        monkeypatch.setitem(sys.modules, module, found)
        monkeypatch.setattr(found, kind, type(kind, (), {"__module__": module}), raising=False)
        made.append(getattr(found, kind))
    return made


def test_options_of_omegaconf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections are nodes of OmegaConf, one of them a namespace; meters and types of other packages lie beside."""
    with monkeypatch.context() as patch:
        section, several, leaf, meter = with_modules(
            patch, "omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig", "omegaconf.nodes.AnyNode",
            "fairseq.meters.AverageMeter",
        )  # fmt: skip

        def node(value: Any) -> Any:
            kind = section if isinstance(value, dict) else several if isinstance(value, list) else leaf
            made = kind()
            if kind is leaf:
                vars(made).update(_val=value, _parent=None, _metadata={"ref_type": Any, "object_type": dict})
            else:
                items = {k: node(v) for k, v in value.items()} if kind is section else [node(v) for v in value]
                vars(made).update(_content=items, _parent=None)
            return made

        def pack(chosen: dict[str, Any]) -> dict[str, Any]:
            task = {"_name": chosen.pop("task"), "langs": chosen.pop("langs")}
            cfg = node({"task": task, "model": chosen})
            return {"args": None, "cfg": cfg, "meter": meter(), "best": np.float64(2.5), "seen": np.arange(3)}

        first = written(tmp_path / "given", pack=pack)

    def as_dictionary(chosen: dict[str, Any]) -> dict[str, Any]:
        return {"args": None, "cfg": {"task": argparse.Namespace(**chosen), "model": argparse.Namespace(**chosen)}}

    second = written(tmp_path / "other", pack=as_dictionary)
    assert "omegaconf.dictconfig" not in sys.modules
    made = []
    for number, checkpoint in enumerate((first, second)):
        convert_fairseq(checkpoint, tmp_path / str(number))
        made.append((tmp_path / str(number) / "model.safetensors").read_bytes())
    assert made[0] == made[1]


class Harmful:
    def __reduce__(self) -> Any:
        return (eval, ("__import__('pathlib').Path('harmed').touch()",))


def test_code_in_a_checkpoint_isnt_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("args", "model", "extra_state"):
        checkpoint = written(tmp_path / "given")
        content = torch.load(checkpoint, weights_only=False)
        content[place] = Harmful()
        torch.save(content, checkpoint)
        with pytest.raises(ModelError, match=r"names builtins.eval, which is neither .*could run code"):
            convert_fairseq(checkpoint, tmp_path / "made")
        assert not (tmp_path / "harmed").exists()
        assert not (tmp_path / "made").exists()


def repacked(checkpoint: Path, compression: int = 0, **files: bytes) -> None:
    """The archive with other content in some of its files."""
    with zipfile.ZipFile(checkpoint) as archive:
        content = {each.filename: archive.read(each) for each in archive.infolist()}
    with zipfile.ZipFile(checkpoint, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, files.get(Path(name).stem, data))


def nested(levels: int) -> list[Any]:
    found: list[Any] = ["en"]
    for _ in range(levels):
        found = [found, found]
    return found


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("compressed", "its parts are compressed"),
        ("not pickle", "can't be read"),
        ("endless pickle", "can't be read"),
        ("module of the system", "names os.system"),
        ("before 1.6", "had before 1.6"),
        ("program", "can't be read"),
        ("itself", "langs"),
        ("doubled", "langs"),
        ("other class", "names collections.deque"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, how: str, message: str) -> None:
    """In no time and no memory: what an archive holds is bounded by its size."""
    checkpoint = written(tmp_path / "given")
    content = torch.load(checkpoint, weights_only=False)
    if how == "compressed":
        repacked(checkpoint, zipfile.ZIP_DEFLATED)
    elif how == "not pickle":
        repacked(checkpoint, data=b"\x80\x02?")
    elif how == "endless pickle":
        repacked(checkpoint, data=b"\x80\x02" + b"(" * 100)
    elif how == "module of the system":
        repacked(checkpoint, data=b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.")
    elif how == "before 1.6":
        torch.save(content, checkpoint, _use_new_zipfile_serialization=False)
    elif how == "program":
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(checkpoint))
    else:
        endless: list[Any] = []
        endless.append(endless)
        values = {"itself": endless, "doubled": nested(60), "other class": deque()}
        content["args"].langs = values[how]
        torch.save(content, checkpoint)
    with pytest.raises(ModelError, match=message):
        convert_fairseq(checkpoint, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def broken(checkpoint: Path, how: str) -> None:
    words, folder = checkpoint.parent / "dict.txt", checkpoint.parent
    content = torch.load(checkpoint, weights_only=False)
    model = content["model"]
    lines = words.read_text(encoding="utf-8").splitlines(keepends=True)
    changes: dict[str, Any] = {
        "cut off": lambda: checkpoint.write_bytes(checkpoint.read_bytes()[:-2000]),
        "text": lambda: checkpoint.write_text("not a checkpoint"),
        "missing": checkpoint.unlink,
        "no dictionary": words.unlink,
        "no pieces": (folder / "spm.model").unlink,
        "two pieces": lambda: (folder / "other.model").write_bytes(b""),
        "damaged pieces": lambda: (folder / "spm.model").write_bytes(b"\xff" * 50),
        "empty pieces": lambda: (folder / "spm.model").write_bytes(b""),
        "short dictionary": lambda: words.write_text("".join(lines[5:]), encoding="utf-8"),
        "no count": lambda: words.write_text("".join(lines[:4]) + "piece\n", encoding="utf-8"),
        "twice": lambda: words.write_text("".join([*lines, lines[0]]), encoding="utf-8"),
        "not UTF-8": lambda: words.write_bytes(b"\xff 1\n"),
        "other words": lambda: words.write_text("".join(f"w{n} 1\n" for n in range(len(lines))), encoding="utf-8"),
        "not fairseq": lambda: torch.save({"weight": torch.zeros(2)}, checkpoint),
        "list": lambda: torch.save([1], checkpoint),
        "not a tensor": lambda: model.update({"encoder.layers.0.fc1.bias": 3}),
        "expanded": lambda: model.update({"encoder.layers.0.fc1.bias": torch.zeros(1).expand(24)}),
        "lacks a tensor": lambda: model.pop("decoder.layers.1.fc2.bias"),
        "lacks a table": lambda: model.pop("encoder.embed_tokens.weight"),
        "other tensor": lambda: model.update({"encoder.layers.0.gate.weight": torch.zeros(3)}),
        "wrong size": lambda: model.update({"encoder.layers.0.fc1.weight": torch.zeros(16, 23)}),
        "untied": lambda: model.update({"decoder.output_projection.weight": model["encoder.embed_tokens.weight"]}),
        "options": lambda: setattr(content["args"], "encoder_layers", "many"),
        "no languages": lambda: (setattr(content["args"], "langs", None), setattr(content["args"], "lang_pairs", None)),
    }
    changes[how]()
    if how in [*changes][[*changes].index("not a tensor") :]:
        torch.save(content, checkpoint)


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("cut off", ModelError, r"checkpoint.pt can't be read: it is cut off; copy"),
        ("text", ModelError, "isn't a file of PyTorch"),
        ("missing", PathError, "no such file"),
        ("no dictionary", PathError, r"holds no dict.txt; name .* by --dict"),
        ("no pieces", PathError, r"nothing is beside .* \(\*.model\); name it by --spm"),
        ("two pieces", PathError, "2 files are beside"),
        ("damaged pieces", ModelError, "no model of SentencePiece"),
        ("empty pieces", ModelError, "it holds no pieces"),
        ("short dictionary", ModelError, r"has \d+ rows, and the dictionary .* \(--dict\)"),
        ("no count", CorpusError, r"dict.txt:5: 'piece' is no line of a dictionary"),
        ("twice", CorpusError, r"is there twice, in line 1 too"),
        ("not UTF-8", CorpusError, "byte 1 isn't UTF-8"),
        ("other words", ModelError, "belong to different models"),
        ("not fairseq", ModelError, r"is no checkpoint of fairseq, .* this one has 'weight'"),
        ("list", ModelError, "is no checkpoint of fairseq"),
        ("not a tensor", ModelError, r"'encoder.layers.0.fc1.bias' under 'model' is no tensor"),
        ("expanded", ModelError, "holds no numbers of its own"),
        ("lacks a tensor", ModelError, r"lacks 'decoder.layers.1.fc2.bias'"),
        ("lacks a table", ModelError, r"lacks 'encoder.embed_tokens.weight'"),
        ("other tensor", ModelError, r"'encoder.layers.0.gate.weight', which a plain Transformer hasn't"),
        ("wrong size", ModelError, r"fc1.weight is \[16, 23\], and its options ask for \[24, 16\]"),
        ("untied", ModelError, "that are one by its options differ"),
        ("options", ModelError, "encoder_layers"),
        ("no languages", RecipeError, "give them by --langs"),
    ],
)
def test_damaged_files_are_refused_and_nothing_is_written(
    tmp_path: Path, how: str, kind: type[NeuronspecError], message: str
) -> None:
    checkpoint = written(tmp_path / "given")
    broken(checkpoint, how)
    with pytest.raises(kind, match=message):
        convert_fairseq(checkpoint, tmp_path / "made")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder_normalize_before": False}, "normalised after each sum"),
        ({"decoder_learned_pos": True}, "positions are learned"),
        ({"adaptive_softmax_cutoff": [10, 20]}, "softmax is adaptive"),
        ({"activation_fn": "tanh"}, "activation is tanh, not relu"),
        ({"arch": "lstm"}, "architecture is lstm"),
        ({"arch": "transformer_with_mask"}, "Convert the baseline"),
        ({"task": "translation"}, "task is translation, which has no tags"),
        ({"decoder_embed_dim": 32}, "different widths"),
        ({"share_decoder_input_output_embed": False}, "two tables"),
        ({"lang_tok_replacing_bos_eos": True}, "in the place of <s> and </s>"),
        ({"langtoks_specs": ["main", "mono_dae"]}, "of several kinds"),
        ({"encoder_langtok": None}, "its encoder reads no tag"),
        ({"decoder_langtok": False}, r"is given no tag of the target's .* reads that of the source"),
        ({"langtoks": {"main": ("src", None)}}, r"is given no tag of the target's .* reads that of the source"),
    ],
)
def test_what_cant_be_computed_is_refused_by_name(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        convert_fairseq(written(tmp_path / "given", **changed), tmp_path / "made")


def test_languages_must_be_those_of_the_checkpoint(tmp_path: Path) -> None:
    checkpoint = written(tmp_path / "given")
    with pytest.raises(RecipeError, match="was trained with en,fr,de"):
        convert_fairseq(checkpoint, tmp_path / "made", languages=["de", "en", "fr"])
    checkpoint = written(tmp_path / "given", langs=None, lang_dict="langs.txt")
    with pytest.raises(RecipeError, match=r"but in langs.txt; give them by --langs"):
        convert_fairseq(checkpoint, tmp_path / "made")
    with pytest.raises(RecipeError, match="de is named twice"):
        convert_fairseq(checkpoint, tmp_path / "made", languages=["de", "de", "fr"])
    convert_fairseq(checkpoint, tmp_path / "made", languages=LANGUAGES)
    with pytest.raises(ModelError, match="exists already"):
        convert_fairseq(checkpoint, tmp_path / "made", languages=LANGUAGES)


def test_the_folder_says_what_it_was_made_from(tmp_path: Path) -> None:
    from neuronspec.core.checksums import digest

    checkpoint = written(tmp_path / "given")
    convert_fairseq(checkpoint, tmp_path / "made")
    content = json.loads((tmp_path / "made" / "conversion.json").read_text())
    files = {path.name: digest(path) for path in checkpoint.parent.iterdir()}
    assert content["sha256"] == files
    assert len(files) == 3
    assert content["settings"]["arch"] == options()["arch"]
    assert not list((tmp_path / "made").glob("*.pt"))
