"""CTranslate2 translates as `transformers` does, in float32, whatever the family; what it can't compute is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.helpers.converted import CONVERTED, DIRECTIONS, SOURCES, made, opened
from tests.helpers.masked import random_masks
from tests.helpers.toy_corpus import toy_tokenizer

from neuronspec.core.errors import ModelError
from neuronspec.models.load import build_model
from neuronspec.models.settings import ModelSettings
from neuronspec.specialization.apply import specialize
from neuronspec.translation.conversion import check_convertible
from neuronspec.translation.engine import make_engine
from neuronspec.translation.settings import EvaluationSettings


@pytest.fixture(scope="module", params=sorted(CONVERTED))
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(request.param, tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("specialized", [False, True], ids=["dense", "specialized"])
def test_both_engines_give_the_same_hypotheses(checkpoint: Path, specialized: bool, beam: int) -> None:
    model, tokenizer = opened(checkpoint)
    if specialized:
        specialize(model, random_masks(model), semantics="neuron")
    for direction in DIRECTIONS:
        one, other = (
            make_engine(model, tokenizer, EvaluationSettings(engine=engine, beam=beam, max_new_tokens=12)).translate(
                SOURCES, direction
            )
            for engine in ("transformers", "ctranslate2")
        )
        assert len(set(one)) > 2
        assert list(one) == list(other)
        for mine, theirs in zip(one.nbest, other.nbest, strict=True):
            assert [score for _, score in mine] == pytest.approx([score for _, score in theirs], abs=1e-4)


def test_an_encoder_with_its_own_embeddings_keeps_them() -> None:
    settings = ModelSettings(preset="tiny", d_model=16, share_embeddings="decoder", init_std=0.4)
    model = build_model(settings, toy_tokenizer(), seed=1).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.05 if weight is model.lm_head.weight else 0.6)
    settings = EvaluationSettings(beam=2, max_new_tokens=8)
    sources = ["w1 w2", "w3", "w4 w5 w6 w7"]
    one, other = (
        make_engine(model, toy_tokenizer(), settings.model_copy(update={"engine": engine})).translate(
            sources, DIRECTIONS[0]
        )
        for engine in ("transformers", "ctranslate2")
    )
    scores = [[score for _, score in lines[0]] for lines in zip(one.nbest, strict=True)]
    assert len({first for first, *_ in scores}) == len(sources), "the encoder tells the sources apart"
    for found, lines in zip(scores, other.nbest, strict=True):
        assert [score for _, score in lines] == pytest.approx(found, abs=1e-4)


def test_what_cant_be_computed_is_refused_with_the_reason(tmp_path: Path) -> None:
    model, _ = opened(made("llama", tmp_path))
    with pytest.raises(ModelError, match="runs models of type m2m_100, mbart, marian, t5, mt5, not 'llama'"):
        check_convertible(model)
