"""Both engines give the same translations; limits, n-best, zero-shot directions, too long sources, odd models."""

from __future__ import annotations

import builtins
import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.families import build_family
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import ToyPairs, toy_model, toy_tokenizer
from tests.helpers.trained_toy import DIRECTIONS, random_sources, sentences, target_of, trained_model
from torch import nn

from neuronspec.core.direction import Direction
from neuronspec.core.errors import DirectionError, EvaluationError, MissingExtraError, ModelError, RecipeError
from neuronspec.models.text_format import TextFormat
from neuronspec.recipe import Recipe
from neuronspec.scoring.score import score
from neuronspec.specialization.apply import specialize
from neuronspec.specialization.model_state import attached
from neuronspec.specialization.scope import use_direction
from neuronspec.translation.conversion import convert, vocabulary_of
from neuronspec.translation.engine import check_engine, make_engine
from neuronspec.translation.registry import ENGINES
from neuronspec.translation.settings import EvaluationSettings

TOKENIZER = toy_tokenizer()
NAMES = [str(direction) for direction in DIRECTIONS]
SOURCES = sentences(100)


def translated(model: Any, engine: str, direction: str = "en-de", sources: list[str] = SOURCES, **options: Any) -> Any:
    chosen = EvaluationSettings(engine=engine, **{"batch_tokens": 150, **options})
    return make_engine(model, TOKENIZER, chosen).translate(sources, direction)


def expected(direction: str, sources: list[str] = SOURCES) -> list[str]:
    words = [[int(word[1:]) + 4 for word in source.split()] for source in sources]
    return [" ".join(f"w{word - 4}" for word in target_of(ids, direction[3:])) for ids in words]


@pytest.mark.parametrize("beam", [1, 5])
@pytest.mark.parametrize("specialized", [False, True], ids=["dense", "specialized"])
@pytest.mark.parametrize("direction", NAMES)
def test_both_engines_give_the_same_hypotheses_in_float32(direction: str, specialized: bool, beam: int) -> None:
    model = trained_model(specialized)
    one = translated(model, "transformers", direction, beam=beam)
    other = translated(model, "ctranslate2", direction, beam=beam)
    assert list(one) == list(other)
    assert one.tokens == other.tokens > len(SOURCES)
    right = sum(line == wanted for line, wanted in zip(one, expected(direction), strict=True))
    assert right > 80, "the model has learned its task"
    for mine, theirs in zip(one.nbest, other.nbest, strict=True):
        assert mine[0][1] == pytest.approx(theirs[0][1], abs=1e-4)


@pytest.mark.parametrize("specialized", [False, True], ids=["dense", "specialized"])
def test_int8_differs_in_few_sentences(specialized: bool) -> None:
    model = trained_model(specialized)
    sources = sentences(200, seed=9)
    exact, rounded, references = [], [], []
    for name in NAMES:
        exact += translated(model, "ctranslate2", name, sources)
        rounded += translated(model, "ctranslate2", name, sources, quantization="int8")
        references += expected(name, sources)
    differing = sum(one != other for one, other in zip(exact, rounded, strict=True))
    assert 0 < differing <= 0.03 * len(exact)
    found, wanted = (score(lines, references, "en")["chrf++"].value for lines in (rounded, exact))
    assert abs(found - wanted) <= 0.5, "pooled; a toy's is larger"


def test_masks_make_a_difference_and_the_model_stays_as_it_was() -> None:
    model = trained_model(True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    translated(model, "ctranslate2", quantization="int8")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    noisy = trained_model(True)
    with torch.no_grad():
        noisy.model.encoder.layers[0].fc1.bias.add_(1.0)
    for name in ("en-de", "en-fr"):
        assert list(translated(noisy, "transformers", name)) == list(translated(noisy, "ctranslate2", name)), (
            "what unselected neurons give is folded into the bias"
        )


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=12), st.integers(1, 4), st.integers(2, 14),
    st.sampled_from([0.2, 1.0, 2.0]), st.sampled_from([0.0, 0.6, 1.0, 1.7]), st.sampled_from([10, 60, 4000]),
)  # fmt: skip
@settings(max_examples=25)
def test_limits_and_penalties_mean_the_same(
    lengths: list[int], beam: int, most: int, ratio: float, penalty: float, batch_tokens: int
) -> None:
    model = never_ending_model()
    sources = [" ".join(f"w{(place * 5 + word) % 12}" for word in range(n)) for place, n in enumerate(lengths)]
    options = {"beam": beam, "max_new_tokens": most, "max_length_ratio": ratio, "length_penalty": penalty}
    one = translated(model, "transformers", sources=sources, batch_tokens=batch_tokens, **options)
    other = translated(model, "ctranslate2", sources=sources, batch_tokens=batch_tokens, **options)
    assert list(one) == list(other)
    for source, line in zip(sources, one, strict=True):
        assert len(line.split()) <= min(most, int(ratio * len(source.split())) + 10) - 1
        assert bool(line) <= bool(source)


def never_ending_model(share: float = 0.3) -> Any:
    """Its `</s>` is less likely than it should be."""
    model = trained_model(False)
    with torch.no_grad():
        model.get_input_embeddings().weight[2] *= share
    return model


def test_translations_beyond_the_position_table_work() -> None:
    model = never_ending_model(0.0)
    most = 2 * model.config.max_position_embeddings
    options: dict[str, Any] = {"beam": 1, "max_new_tokens": most, "max_length_ratio": 10.0, "sources": SOURCES[:20]}
    one, other = (translated(model, engine, **options) for engine in ENGINES)
    assert list(one) == list(other)
    assert max(len(line.split()) for line in one) > model.config.max_position_embeddings


def test_the_padding_may_have_any_id() -> None:
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    torch.manual_seed(3)
    config = toy_model().config.to_dict() | {"pad_token_id": 0, "bos_token_id": 1, "init_std": 0.5, "dropout": 0.0}
    model = M2M100ForConditionalGeneration(M2M100Config(**config)).eval()
    tokenizer = toy_tokenizer()
    tokenizer.pad_token, tokenizer.bos_token = "<s>", "<pad>"
    chosen = [EvaluationSettings(engine=engine, beam=2, max_new_tokens=8) for engine in ("transformers", "ctranslate2")]
    one, other = (make_engine(model, tokenizer, each).translate(SOURCES[:30], "en-de") for each in chosen)
    assert list(one) == list(other)


@pytest.mark.parametrize("engine", ENGINES)
def test_n_best_is_ordered_and_starts_with_the_translation(engine: str) -> None:
    model = trained_model(True)
    found = translated(model, engine, n_best=3, sources=["w1 w2 w3", "", "w4"])
    assert [len(best) for best in found.nbest] == [3, 0, 3]
    for line, best in zip(found, found.nbest, strict=True):
        scores = [value for _, value in best]
        assert scores == sorted(scores, reverse=True)
        assert not best or best[0][0] == line


@pytest.mark.parametrize("engine", ENGINES)
def test_a_direction_without_masks_is_composed_and_marked(engine: str) -> None:
    model = trained_model(True)
    found = translated(model, engine, "de-fr")
    assert found.composed == ("de-en", "en-fr")
    assert translated(model, engine, "en-fr").composed is None
    by_hand = trained_model(False)
    masks = attached(model).masks.compose("fr-de", encoder="de-en", decoder="en-fr")  # type: ignore[union-attr]
    specialize(by_hand, {"de-fr": masks["fr-de"]})
    with use_direction(by_hand, "de-fr"):
        assert list(translated(by_hand, "transformers", "de-fr")) == list(found)
    with pytest.raises(DirectionError, match="none to compose them from"):
        translated(model, engine, "fr-de")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_line_comes_back_whatever_is_too_long(engine: str) -> None:
    model = trained_model(True)
    longest = model.config.max_position_embeddings - 2
    fits = " ".join(["w1", "w2"] * (longest // 2))
    sources = ["w3", f"{fits} w3 w4", "", fits]
    cut = translated(model, engine, sources=sources, too_long="truncate", beam=2)
    assert (cut.truncated, cut.split, len(cut)) == (1, 0, 4)
    assert cut[1] == cut[3] and cut[2] == ""
    with pytest.raises(EvaluationError, match=rf"line 2 has {longest + 2} pieces, and the model reads {longest}"):
        translated(model, engine, sources=sources, too_long="error")
    half = " ".join(["w1", "w2"] * (longest // 4)) + "."
    parts = translated(model, engine, sources=[f"{half} {half} {half}", "w5"], too_long="split", beam=2)
    whole = translated(model, engine, sources=[f"{half} {half}", half], beam=2)
    assert (parts.split, parts.truncated, len(parts)) == (1, 0, 2)
    assert parts[0] == " ".join(whole), "as few parts as possible"
    endless = translated(model, engine, sources=[f"{fits} w3 w4 w5"], too_long="split", beam=2)
    assert (endless.split, endless.truncated) == (0, 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_beam_is_at_most_the_vocabulary(engine: str) -> None:
    model = trained_model()
    most = len(TOKENIZER)
    assert all(translated(model, engine, sources=SOURCES[:2], beam=most, max_new_tokens=4))
    with pytest.raises(RecipeError, match=f"beam of {most + 1} is larger than the vocabulary of {most} tokens"):
        translated(model, engine, sources=SOURCES[:2], beam=most + 1)


def test_sentences_that_fit_together_stay_together() -> None:
    from neuronspec.translation.sources import join_parts, prepare_sources

    prepared = prepare_sources(
        TextFormat.of(TOKENIZER), ["w1 w2. w3 w4. w5 w6. w7 w8.", "w9"], 6, "split", Direction("en", "de")
    )
    assert [(part.source, len(part.ids), part.first) for part in prepared.parts] == [
        (0, 6, True), (0, 6, False), (1, 1, True),
    ]  # fmt: skip
    texts = {part: [(f"t{place}", -float(place))] for place, part in enumerate(prepared.parts)}
    assert join_parts(2, prepared.parts, texts, "de") == [[("t0 t1", -0.5)], [("t2", -2.0)]]
    assert join_parts(2, prepared.parts, texts, "zh")[0][0][0] == "t0t1"


def test_pytorch_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        translated(trained_model(False), "ctranslate2", sources=["w1"])
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_odd_widths_work() -> None:
    model = trained_model(False)
    masks = random_masks(model, ("en-de",))
    for place, mask in enumerate(masks["en-de"].values()):
        mask[:] = False
        mask[: (1, 7)[place % 2]] = True
    specialize(model, masks)
    assert list(translated(model, "transformers")) == list(translated(model, "ctranslate2"))


def test_what_ctranslate2_cannot_compute_is_refused() -> None:
    settings = EvaluationSettings(engine="ctranslate2")
    with pytest.raises(ModelError, match="not 'olmo2'; use the transformers engine"):
        make_engine(build_family("olmo2"), TOKENIZER, settings)
    adapted = toy_model()
    adapted.model.encoder.layers[0].adapter = nn.Linear(16, 16)
    with pytest.raises(ModelError, match=r"no place for 2 weights of the model, such as 'model.encoder.layers.0.ada"):
        make_engine(adapted, TOKENIZER, settings)
    with pytest.raises(ModelError, match="runs M2M100ForConditionalGeneration, not M2M100Model"):
        make_engine(toy_model().model, TOKENIZER, settings)
    uneven = copy.deepcopy(toy_model())
    uneven.config.decoder_attention_heads = 1
    with pytest.raises(ModelError, match="as many attention heads"):
        make_engine(uneven, TOKENIZER, settings)
    broken = toy_model()
    with torch.no_grad():
        broken.model.decoder.layer_norm.weight.fill_(torch.nan)
    with pytest.raises(EvaluationError, match="did it diverge"):
        translated(broken, "ctranslate2")


def test_the_vocabulary_has_a_token_for_each_id(tmp_path: Any) -> None:
    tokens = vocabulary_of(TOKENIZER, len(TOKENIZER) + 2)
    assert tokens[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert tokens[-2:] == [f"<unused {len(TOKENIZER)}>", f"<unused {len(TOKENIZER) + 1}>"]

    class Twice:
        def __len__(self) -> int:
            return 2

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["a"] * len(ids)

        def convert_tokens_to_ids(self, token: str) -> int:
            return 1

    assert vocabulary_of(Twice(), 2) == ["<a again, 0>", "a"]  # type: ignore[arg-type]
    convert(toy_model(), TOKENIZER, tmp_path, "int8")
    assert {path.name for path in tmp_path.iterdir()} == {"model.bin", "config.json", "shared_vocabulary.json"}


def test_what_is_not_installed_is_told_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ctranslate2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'neuronspec\[deploy\]'"):
        check_engine(EvaluationSettings(engine="ctranslate2"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="sentencex"):
        check_engine(EvaluationSettings(too_long="split"))


def test_the_recipe_says_what_does_not_go_together(tmp_path: Any) -> None:
    text = (
        "name: x\ncorpus: {train: {reader: catalogs}, pivot: en, languages: [de]}\ntraining: {updates: 1}\n"
        "continuation: {updates: 1}\nevaluation: {quantization: int8}\n"
    )
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RecipeError, match="quantization belongs to engine ctranslate2"):
        Recipe.load(tmp_path / "x.yaml")
    with pytest.raises(RecipeError, match="n_best 7 is larger than beam 5"):
        Recipe.load(tmp_path / "x.yaml", ["evaluation.engine=ctranslate2", "evaluation.n_best=7"])
    with pytest.raises(RecipeError, match="evaluation.engine is 'marian'; valid: ctranslate2, transformers"):
        Recipe.load(tmp_path / "x.yaml", ["evaluation.engine=marian"])
    assert Recipe.load(tmp_path / "x.yaml", ["evaluation.engine=ctranslate2"]).evaluation.quantization == "int8"


def test_an_arm_is_evaluated_with_the_engine_that_the_settings_name(tmp_path: Any) -> None:
    import json

    from neuronspec.evaluation.evaluate import evaluate_arm

    class Pairs(ToyPairs):
        def source_texts(self) -> list[str]:
            return [" ".join(f"w{word - 4}" for word in source) for source, _ in self.pairs]

        def references(self) -> list[str]:
            return [" ".join(f"w{word - 4}" for word in target) for _, target in self.pairs]

    class Store:
        references = "as read"

        def fingerprint(self) -> str:
            return "one"

        def pairs(self, split: str, direction: Any) -> Pairs:
            sources = random_sources(6, 5)
            return Pairs([(np.array(ids), np.array(target_of(ids, direction.target))) for ids in sources])

    model = trained_model(True)
    scores = {}
    for engine in ENGINES:
        chosen = EvaluationSettings(engine=engine, max_sentences=6, n_best=2)
        scores[engine] = evaluate_arm(
            model, TOKENIZER, Store(), DIRECTIONS, chosen, tmp_path / engine,  # type: ignore[arg-type]
            in_direction=lambda direction: use_direction(model, direction),
        )  # fmt: skip
        lists = [json.loads(line) for line in (tmp_path / engine / "en-de.nbest.jsonl").read_text().splitlines()]
        best = [hypotheses[0]["text"] for hypotheses in lists]
        assert best == (tmp_path / engine / "en-de.hyp").read_text().splitlines()
    assert scores["transformers"] == scores["ctranslate2"]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_longer_than_the_model_reads_is_not_aligned(engine: str) -> None:
    aligner = make_engine(trained_model(False), TOKENIZER, EvaluationSettings(engine=engine, max_new_tokens=24))
    long = " ".join(["w2"] * 400)
    source, target = "w1 w2 w3", "w3 w2 w1"
    found = aligner.align([source, long, source], [target, target, long], "en-de")
    assert np.allclose(found[0].weights, aligner.align([source], [target], "en-de")[0].weights, atol=1e-5)
    assert [len(each.target) for each in found] == [3, 0, 0]
    assert [len(each.source) for each in found] == [3, 400, 3]
    assert not aligner.align([long], [target], "en-de")[0].target


def test_attention_that_fails_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    aligner = make_engine(trained_model(False), TOKENIZER, EvaluationSettings(engine="transformers"))
    monkeypatch.setattr(aligner, "attention", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match="attention can't be computed: "):
        aligner.align(["w1"], ["w1"], "en-de")
