"""`ns.Translator` and plain text: order, line breaks, sentences, threads, a memory budget."""

from __future__ import annotations

import io
import json
import logging
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.fake_run import fake_results
from tests.helpers.trained_toy import sentences, trained_model

import neuronspec as ns
from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, DirectionError, InputError, ModelError, PathError, RecipeError
from neuronspec.core.run_folder import RunFolder
from neuronspec.deploy.directions import compact_directions
from neuronspec.deploy.documents.document import Options, translate_document
from neuronspec.deploy.documents.lines import Source, windows
from neuronspec.deploy.documents.text import translate_text
from neuronspec.deploy.opening import neurons_of, stored_scores
from neuronspec.specialization.model_state import specialization_of
from neuronspec.translation.engine import Translations

EN_DE = Direction("en", "de")


class Upper:
    """A translator that needs no model."""

    def __init__(self, n_best: int = 1) -> None:
        self.n_best = n_best
        self.calls: list[int] = []

    def translate(self, lines: list[str], direction: Direction) -> Translations:
        self.calls.append(len(lines))
        nbest = [[(f"{line.upper()}{'!' * rank}", -0.5 - rank) for rank in range(self.n_best)] if line.strip() else []
                 for line in lines]  # fmt: skip
        return Translations([best[0][0] if best else "" for best in nbest], nbest=nbest)


def through(content: bytes, translator: Any = None, **options: Any) -> str:
    stream = io.BytesIO()
    translate_text(translator or Upper(), EN_DE, Source("in.txt", io.BytesIO(content)), stream, Options(**options))
    return stream.getvalue().decode()


def test_one_text_and_many(exported: Path) -> None:
    translator = ns.Translator(exported / "en-de", beam=2)
    assert translator("w1 w2 w3", "en-de") == "w3 w2 w1"
    assert translator(["w1 w2", "", "w4\n\nw5 w6"], EN_DE) == ["w2 w1", "", "w4\n\nw6 w5"]
    assert translator([], "en-de") == []
    assert translator.neurons("en-de")[0] < translator.neurons("en-de")[1] == 192  # type: ignore[index]


def test_neurons_of_a_specialized_model_are_those_of_its_exports(
    exported: Path, specialized: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, cut = ns.Translator(specialized), ns.Translator(exported)
    assert [own.neurons(name) for name in own.directions] == [cut.neurons(name) for name in own.directions]
    assert own.neurons("de-fr") is not None, "composed"
    assert own.neurons("fr-de") is None
    assert own.best_direction() == "de-en", "no score is stored: the first"
    model = trained_model(True)
    assert neurons_of(model, EN_DE) == own.neurons("en-de")
    monkeypatch.setattr(specialization_of(model).rule, "compacts", False)
    assert neurons_of(model, EN_DE) == (192, 192), "these semantics compute all"
    assert neurons_of(trained_model(), EN_DE) is None


def test_a_compact_folder_aligns_as_the_model_that_it_is_of(specialized: Path, tmp_path: Path) -> None:
    compact_directions(specialized, ["en-de"], tmp_path / "small", None)
    whole, small = ns.Translator(specialized), ns.Translator(tmp_path / "small")
    lines = ["w1 w2 w3", "w4 w5"]
    found = whole(lines, "en-de")
    expected = whole.align(lines, found, "en-de")
    for one, other in zip(expected, small.align(lines, found, "en-de"), strict=True):
        assert (one.source, one.target) == (other.source, other.target) and one.target
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-4)


def test_a_run_is_best_at_what_its_results_say(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = RunFolder(tmp_path)
    assert stored_scores(tmp_path) == {}
    run.recipe.write_text("{}")
    assert stored_scores(tmp_path) == {}, "not evaluated yet"
    results = fake_results()
    run.results.write_text(json.dumps(results))
    scores = {name: each["chrf++"] for name, each in results["arms"]["specialized"].items()}
    assert stored_scores(tmp_path) == scores
    run.results.write_text("{")
    with caplog.at_level(logging.WARNING):
        assert stored_scores(tmp_path) == {}
    assert "results.json" in caplog.text


def test_languages_in_any_spelling(exported: Path) -> None:
    translator = ns.Translator(exported)
    for spelled in ("EN-de", "eng_Latn-deu_Latn", "en-GB-de-AT", Direction("EN", "DE")):
        assert translator("w1 w2 w3", spelled) == "w3 w2 w1"
    assert translator.neurons("ENG-de") == translator.neurons("en-de") is not None
    assert str(translator.direction("en-US", "DEU")) == "en-de"
    with pytest.raises(DirectionError, match="no model for direction en-zh_Hant; valid: en-de, en-fr, de-en"):
        translator("w1", "EN-zh-TW")


def test_an_unknown_language_is_told(exported: Path) -> None:
    told = "no model for direction en-xx; unknown language 'xx': .*; valid: .*en-de"
    with pytest.raises(DirectionError, match=told) as caught:
        ns.Translator(exported)("w1", "en-xx")
    assert "did you mean 'en-" not in str(caught.value)


@pytest.mark.parametrize("direction", [None, 7, b"en-de", ["en-de"], "en", ""])
def test_what_is_no_direction_is_refused(exported: Path, direction: Any) -> None:
    with pytest.raises(DirectionError, match="not NoneType|not int|not bytes|not list|expected SOURCE-TARGET"):
        ns.Translator(exported)("w1", direction)


@pytest.mark.parametrize("text", [None, 7, b"w1", {"a": "b"}, ["w1", None], ["w1", b"w2"], [["w1"]]])
def test_what_is_no_text_is_refused(exported: Path, text: Any) -> None:
    with pytest.raises(InputError, match="text is a str or a list of str") as caught:
        ns.Translator(exported)(text, "en-de")
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize(
    ("variant", "frame"),
    [
        ("w1\u00a0w2 w3", "{}"),
        ("w1 \t w2\u202fw3", "{}"),
        ("w1 w\u00ad2 w\u200b3", "{}"),
        ("\ufeffw1 w2 w3", "\ufeff{}"),
        ("\t  w1  w2 w3 \r", "\t  {} \r"),
        ("\u200ew1 w2 w3\u00a0", "\u200e{}\u00a0"),
    ],
)
def test_text_is_cleaned_as_in_training_and_its_frame_is_kept(
    exported: Path, variant: str, frame: str, split: bool
) -> None:
    translator = ns.Translator(exported / "en-de", beam=2, split=split)
    assert translator(variant, "en-de") == frame.format(translator("w1 w2 w3", "en-de"))


def test_every_line_keeps_its_end(exported: Path) -> None:
    translator = ns.Translator(exported / "en-de", beam=2)
    assert translator("w1 w2\r\n\tw3 w4\rw5 w6\n\r\n", "en-de") == "w2 w1\r\n\tw4 w3\rw6 w5\n\r\n"


def test_lines_without_text_pass_through(exported: Path) -> None:
    blank = ["", "  ", "\t\u200b", "\u00ad", "\u200d", "\r"]
    translator = ns.Translator(exported / "en-de", beam=2, n_best=2)
    assert translator(blank, "en-de") == blank
    assert translator("w1\n \u200b\nw2", "en-de") == translator("w1", "en-de") + "\n \u200b\n" + translator(
        "w2", "en-de"
    )
    assert list(translator.translate(blank, "en-de").nbest) == [[]] * len(blank)


def test_sentences_of_a_line_are_translated_one_by_one(specialized: Path) -> None:
    whole, split = ns.Translator(specialized), ns.Translator(specialized, split=True)
    assert split("w1 w2. w3 w4.", "en-de") == " ".join(whole(["w1 w2.", "w3 w4."], "en-de"))
    assert split(["", "w1"], "en-de") == whole(["", "w1"], "en-de")


def test_threads_get_their_own_translations(exported: Path) -> None:
    translator = ns.Translator(exported, threads=1)
    texts = sentences(48, seed=21)
    jobs = [(text, name) for text in texts for name in translator.directions]
    alone = [translator(text, name) for text, name in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda job: translator(*job), jobs)) == alone


def test_progress_counts_the_sentences(exported: Path) -> None:
    counted: list[int] = []
    translator = ns.Translator(exported, threads=1, batch_tokens=8, progress=counted.append)
    translator([*sentences(5, seed=3), ""], "en-de")
    assert len(counted) > 1 and sum(counted) == 5


def test_the_least_recently_used_models_leave_when_memory_is_short(exported: Path) -> None:
    size = (exported / "en-de" / "model.bin").stat().st_size / 1e6
    translator = ns.Translator(exported, memory=2.2 * size)
    models = translator._exported
    assert models is not None and models.loaded == []
    for name in ("en-de", "de-en", "en-de", "en-fr"):
        translator("w1", name)
    assert models.loaded == ["en-de", "en-fr"]
    tiny = ns.Translator(exported, memory=1e-6)
    assert tiny("w1 w2", "en-de") == tiny("w1 w2", "en-de") == "w2 w1"


def test_what_is_not_there_is_told(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DirectionError, match="no model for direction fr-de; .*en-de, de-en, en-fr"):
        ns.Translator(exported)("w1", "fr-de")
    with pytest.raises(PathError, match="is no folder"):
        ns.Translator(tmp_path / "absent")
    with pytest.raises(ModelError, match=r"holds no config\.json and no weights; give .*an exported folder"):
        (tmp_path / "empty").mkdir()
        ns.Translator(tmp_path / "empty")
    with pytest.raises(RecipeError, match="n_best 7 is larger than beam 5"):
        ns.Translator(exported, n_best=7)
    shutil.copytree(exported / "en-de", tmp_path / "both" / "one")
    shutil.copytree(exported / "en-de", tmp_path / "both" / "two")
    with pytest.raises(ModelError, match="both serve en-de: remove one"):
        ns.Translator(tmp_path / "both")


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=12)),
       st.booleans())  # fmt: skip
def test_every_line_and_its_end_come_back(lines: list[str], ends: bool) -> None:
    content = "\n".join(lines) + ("\n" if ends else "")
    assert through(content.encode()) == "\n".join(line.upper() if line.strip() else "" for line in content.split("\n"))


def test_windows_line_ends_stay() -> None:
    assert through(b"one\r\n\r\ntwo\n") == "ONE\r\n\r\nTWO\n"


def test_long_text_is_read_a_window_at_a_time() -> None:
    translator = Upper()
    assert through(b"x\n" * 4500, translator) == "X\n" * 4500
    assert translator.calls == [2000, 2000, 500]
    endless = io.BytesIO(b"a line\n" * 10_000)
    first = next(windows(Source("in.txt", endless)))
    assert len(first) == 2000 and endless.tell() < 10_000 * 7


def test_scores_and_n_best() -> None:
    assert through(b"one\n\n", scores=True) == "-0.5000\tONE\n\t\n"
    assert through(b"one\n\ntwo", Upper(2)) == (
        "0 ||| ONE ||| -0.5000\n0 ||| ONE! ||| -1.5000\n2 ||| TWO ||| -0.5000\n2 ||| TWO! ||| -1.5000\n"
    )


def test_text_that_is_not_utf8_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(CorpusError, match=r"in.txt:2: not valid UTF-8 \(byte 0xef at column 3\)"):
        translate_document(Upper(), EN_DE, str(tmp_path / "in.txt"), tmp_path / "out.txt")  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"], "nothing half-written"
    with pytest.raises(PathError, match=r"absent.txt can't be read: No such file"):
        translate_document(Upper(), EN_DE, str(tmp_path / "absent.txt"), None)  # type: ignore[arg-type]
    (tmp_path / "in.txt").write_text("w1\n")
    translate_document(Upper(), EN_DE, str(tmp_path / "in.txt"), tmp_path / "out.txt", Options())  # type: ignore[arg-type]
    assert (tmp_path / "out.txt").read_text() == "W1\n"


def test_the_examples_of_the_page_run(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(__file__).parents[2] / "docs" / "deploy.md"
    code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(code) == 2
    pair = '<tuv xml:lang="en"><seg>Save the changes</seg></tuv><tuv xml:lang="de"><seg>Sichern</seg></tuv>'
    (tmp_path / "memory.tmx").write_text(f"<tmx><body><tu>{pair}</tu></body></tmx>")
    (tmp_path / "terms.tsv").write_text("file\tDatei\n")
    (tmp_path / "exported").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile("".join(code), "deploy.md", "exec"), names)
    assert names["match"].text == "Sichern" and names["match"].is_sure
    assert capsys.readouterr().out.endswith("[('file', ['Datei'])]\n")
    assert names["translator"].directions == ["de-en", "en-de", "en-fr"]
