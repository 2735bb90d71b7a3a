"""Filters of OpusFilter: with a stand-in for the package, and with the package itself where it is installed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from neuronspec.cli.app import app
from neuronspec.core.errors import CorpusError, MissingExtraError
from neuronspec.core.settings import without_added
from neuronspec.corpus.filters import opusfilter
from neuronspec.corpus.filters.settings import FilterSettings
from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.models.settings import TokenizerSettings
from neuronspec.recipe import Recipe
from neuronspec.runs.requirements import check_machine

RATIO = {"LengthRatioFilter": {"unit": "word", "threshold": 3}}
ENDS = {"RegExpFilter": {"regexps": ["^the ", "^der "], "accept_match": True, "name": "articles"}}


class LengthRatioFilter:
    """As OpusFilter's, in words."""

    name = None

    def __init__(self, threshold: float = 3, unit: str = "word", **kwargs: Any) -> None:
        self.threshold, self.kwargs = float(threshold), kwargs

    def decisions(self, pairs: list[list[str]]) -> Iterator[bool]:
        for pair in pairs:
            short, long = sorted(len(text.split()) for text in pair)
            yield long / short < self.threshold


class RegExpFilter:
    """Looks at the sides in their order."""

    def __init__(self, regexps: list[str], accept_match: bool, name: str | None = None, **kwargs: Any) -> None:
        self.regexps, self.name, self.kwargs = regexps, name, kwargs
        assert accept_match

    def decisions(self, pairs: list[list[str]]) -> Iterator[bool]:
        for pair in pairs:
            yield all(text.startswith(start[1:]) for text, start in zip(pair, self.regexps, strict=True))


class FailingFilter:
    """Fails as soon as it is used."""

    name = None

    def decisions(self, pairs: list[list[str]]) -> Iterator[bool]:
        raise ZeroDivisionError("no such luck")


class FilterPipeline:
    """What is used of OpusFilter's."""

    def __init__(self) -> None:
        self.filters: list[Any] = []

    @classmethod
    def from_config(cls, config: list[dict[str, dict[str, Any]]]) -> FilterPipeline:
        pipeline = cls()
        for entry in config:
            (name, arguments) = next(iter(entry.items()))
            known = {kind.__name__: kind for kind in (LengthRatioFilter, RegExpFilter, FailingFilter)}
            if name not in known:
                raise KeyError(f"Class {name} not found in modules")
            pipeline.filters.append(known[name](**arguments))
        return pipeline

    def get_score_tuples(self) -> list[tuple[str, ...]]:
        names = [(type(one).__name__, *filter(None, [one.name])) for one in self.filters]
        seen: Counter[tuple[str, ...]] = Counter()
        many, found = Counter(names), []
        for name in names:
            seen[name] += 1
            found.append((*name, str(seen[name])) if many[name] > 1 else name)
        return found


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in, but in tests of the real thing."""
    opusfilter._built.cache_clear()
    if "real" not in request.node.name:
        module = ModuleType("opusfilter.pipeline")
        module.FilterPipeline = FilterPipeline  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "opusfilter", ModuleType("opusfilter"))
        monkeypatch.setitem(sys.modules, "opusfilter.pipeline", module)
    yield
    opusfilter._built.cache_clear()


def corpus_of(folder: Path, filters: dict[str, Any], **more: Any) -> CorpusSettings:
    """English with German and French; four of the training pairs of each are bad."""
    good = [(f"the {word} sea", f"der {word} See", f"la mer {word}") for word in map(str, range(100, 160))]
    bad = [
        ("the sea one two three four five six", "der", "la mer"), ("a sea nine", "der See neun", "la mer neuf"),
        ("the sea eight", "die See acht", "la mer huit"), ("the sea", "", "la mer il y a longtemps et deux fois"),
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    for split, rows in (("train", good[:40] + bad), ("valid", good[40:50] + bad), ("test", good[50:] + bad)):
        lines = ["en\tde\tfr", *map("\t".join, rows)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sources = {split: {"reader": "tsv", "path": str(folder / f"{split}.tsv")} for split in ("train", "valid", "test")}
    cleaning = {"decontaminate": False, "max_length_ratio": 100}
    values = {"languages": ["de", "fr"], "workers": 1, "cleaning": cleaning, "filters": {"opusfilter": filters}}
    return CorpusSettings.model_validate(values | sources | more)


def prepared(folder: Path, filters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The report."""
    corpus = corpus_of(folder, filters, **more)
    prepare(corpus, TokenizerSettings(vocabulary=120), folder / "data", seed=3)
    report: dict[str, Any] = json.loads((folder / "data" / "corpus.json").read_text(encoding="utf-8"))
    return report


def check_counts(folder: Path) -> None:
    """Filters of a pair look at its sides in its order, those of all at all; each counts what it rejects first."""
    report = prepared(folder, {"all": [RATIO], "eng-DE": [ENDS]})
    splits = {split: {name: found[name] for name in ("en-de", "en-fr")} for split, found in report["splits"].items()}
    assert splits["train"]["en-de"]["dropped"] == {"empty": 1, "LengthRatioFilter": 1, "RegExpFilter.articles": 2}
    assert splits["train"]["en-fr"]["dropped"] == {"LengthRatioFilter": 2}
    assert [splits["train"][name]["kept"] for name in ("en-de", "en-fr")] == [40, 42]
    assert [splits[split]["en-de"]["kept"] for split in ("valid", "test")] == [13, 13]
    assert report["dropped"]["train"]["RegExpFilter.articles"] == 2
    shown = CliRunner().invoke(app, ["inspect", str(folder / "data"), "--dropped"]).output
    assert "LengthRatioFilter" in shown and "die See acht | the sea eight" in " ".join(shown.split())


def test_each_filter_counts_what_it_rejects(tmp_path: Path) -> None:
    check_counts(tmp_path)


def test_the_real_opusfilter(tmp_path: Path) -> None:
    pytest.importorskip(
        "opusfilter", reason="OpusFilter (600 MB) isn't installed: pip install 'neuronspec[opusfilter]'"
    )
    check_counts(tmp_path)
    with pytest.raises(CorpusError, match=r"LengthRatioFilter has no 'treshold'"):
        prepared(tmp_path / "typo", {"all": [{"LengthRatioFilter": {"treshold": 3}}]})
    with pytest.raises(CorpusError, match=r"corpus.filters.opusfilter: NoFilter can't be set up: .*not found"):
        prepared(tmp_path / "none", {"all": [{"NoFilter": None}]})
    report = prepared(tmp_path / "same", {"all": [RATIO, RATIO]})
    assert report["dropped"]["train"]["LengthRatioFilter.1"] == 3


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"all": [{"NoFilter": {}}]}, r"NoFilter can't be set up: .*NoFilter not found"),
        ({"all": [{"LengthRatioFilter": {"treshold": 3}}]}, r"LengthRatioFilter has no 'treshold'"),
        ({"all": [{"LengthRatioFilter": {"threshold": "much"}}]}, r"LengthRatioFilter can't be set up: .*'much'"),
        ({"en-fr": [{"RegExpFilter": None}]}, r"RegExpFilter can't be set up: .*missing"),
        ({"de-en": [{"FailingFilter": {}}]}, r"FailingFilter can't judge a text: ZeroDivisionError: no such luck"),
    ],
    ids=range(5),
)
def test_filters_that_cant_be_used(filters: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=rf"corpus\.filters\.opusfilter: {message}"):
        prepared(tmp_path, filters)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"en-es": [RATIO]}, "'es' is not among|es"),
        ({"de-fr": [RATIO]}, "de-fr is no language pair of the corpus; there are: de-en, en-fr"),
        ({"en-de": [RATIO], "de-en": [RATIO]}, "en-de and de-en are the same language pair"),
        ({"all": [{**RATIO, "module": {}}]}, "an entry is one filter .* classes of your own"),
        ({"all": []}, "at least 1 item"),
        ({"all": [{"LengthRatioFilter": 3}]}, "valid dictionary"),
    ],
    ids=range(6),
)
def test_mistakes_in_the_recipe(filters: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        corpus_of(tmp_path, filters)


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, Any] = {"name": "r", "training": {"updates": 1}, "continuation": {"updates": 1}}
    corpus = corpus_of(tmp_path, {"all": [RATIO]})
    for name in ("opusfilter", "opusfilter.pipeline"):
        monkeypatch.setitem(sys.modules, name, None)
    needs = r"corpus.filters.opusfilter needs the package 'opusfilter': .*'neuronspec\[opusfilter\]'"
    with pytest.raises(MissingExtraError, match=needs):
        prepare(corpus, TokenizerSettings(vocabulary=120), tmp_path / "data", seed=3)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "opusfilter" else find_spec(name))
    with pytest.raises(MissingExtraError, match=needs):
        check_machine(Recipe.model_validate(values | {"corpus": corpus.model_dump(exclude_unset=True)}), ["prepare"])


def test_older_runs_stay_up_to_date() -> None:
    older = FilterSettings.model_validate({"numbers": True})
    assert "opusfilter" not in without_added(older, older.model_dump())
