"""Text that several jobs read: gathered, it is what one process would have prepared."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.small_disk import small_disk

from neuronspec.core.direction import Direction
from neuronspec.core.errors import CorpusError, RunError
from neuronspec.corpus.parts import Piece, pieces_of, read_part, shared_out
from neuronspec.corpus.prepare import prepare
from neuronspec.corpus.reading import Place, places_of
from neuronspec.recipe import Recipe
from neuronspec.runs.corpus_part import read_part as read_part_of_run
from neuronspec.runs.pipeline import Pipeline

WORDS = ["ba", "ne", "ti", "ro", "lu", "ka"]


def sentence(number: int, language: str) -> str:
    digits = []
    while number or not digits:
        number, digit = divmod(number, len(WORDS))
        digits.append(WORDS[digit])
    return f"{language} {''.join(digits)} {digits[0]}"


def recipe(*sources: dict[str, Any], **more: Any) -> Recipe:
    corpus = {"train": list(sources), "pivot": "en", "languages": ["de", "fr"]} | more
    sections = {"name": "t", "training": {"updates": 1}, "continuation": {"updates": 1}}
    return Recipe.model_validate(sections | {"corpus": corpus, "tokenizer": {"vocabulary": 130}})


def rows_of(first: int, number: int, languages: Iterable[str] = ("en", "de", "fr")) -> list[dict[str, str]]:
    return [{code: sentence(row, code) for code in languages} for row in range(first, first + number)]


def write_tsv(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    lines = ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_tmx(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    units = (
        "<tu>" + "".join(f'<tuv xml:lang="{code}"><seg>{text}</seg></tuv>' for code, text in row.items()) + "</tu>"
        for row in rows
    )
    path.write_text(f'<tmx version="1.4"><body>{"".join(units)}</body></tmx>', encoding="utf-8")


def write_moses(folder: Path, pair: tuple[str, str], rows: list[dict[str, str]]) -> None:
    folder.mkdir(exist_ok=True)
    for code in pair:
        text = "".join(row[code] + "\n" for row in rows)
        (folder / f"text.{pair[0]}-{pair[1]}.{code}").write_text(text, encoding="utf-8")


@pytest.fixture
def mixed(tmp_path: Path) -> Recipe:
    """Sources of every kind: duplicates across files and sources, a share, a limit, files without some languages."""
    for number in range(3):
        write_tsv(tmp_path / "tsv" / f"{number}.tsv", rows_of(50 * number, 70))
    write_jsonl(tmp_path / "jsonl" / "a.jsonl", rows_of(200, 30, ("en", "de")))
    write_jsonl(tmp_path / "jsonl" / "b.jsonl", rows_of(220, 30, ("en", "fr")))
    write_tmx(tmp_path / "tmx" / "a.tmx", rows_of(300, 30, ("en", "de")))
    write_tmx(tmp_path / "tmx" / "b.tmx", rows_of(310, 30, ("en", "fr")))
    write_moses(tmp_path / "moses", ("de", "en"), rows_of(400, 20))
    write_moses(tmp_path / "moses", ("en", "fr"), rows_of(410, 20))
    return recipe(
        {"reader": "tsv", "path": str(tmp_path / "tsv"), "share": 0.8},
        {"reader": "jsonl", "path": str(tmp_path / "jsonl")},
        {"reader": "tmx", "path": str(tmp_path / "tmx")},
        {"reader": "moses", "path": str(tmp_path / "moses" / "text.{pair}.{lang}")},
        {"reader": "tsv", "path": str(tmp_path / "tsv"), "max_sentences": 90, "domain": "web"},
        workers=1,
        cleaning={"max_length_ratio": 1.2},
        filters={"characters": {"min": 7}},
        tiers={"high": ["de"], "low": ["fr"]},
        tier_shares={"low": 0.9},
    )


def prepared(given: Recipe, folder: Path, parts: Path | None = None) -> dict[str, bytes]:
    """What `prepare` writes, by path."""
    prepare(given.corpus, given.tokenizer, folder, seed=3, zero_shot=[Direction("de", "fr")], parts=parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def read(given: Recipe, parts: Path, number: int, jobs: int) -> dict[str, int]:
    return dict(read_part(given.corpus, parts, number, jobs, seed=3, zero_shot=[Direction("de", "fr")]))


@pytest.mark.parametrize("jobs", [1, 4, 20])
def test_parts_of_jobs_are_gathered_to_what_one_process_prepares(mixed: Recipe, tmp_path: Path, jobs: int) -> None:
    parts = tmp_path / "parts"
    done = [read(mixed, parts, number, jobs) for number in range(jobs, 0, -1)]
    assert sum(each.get("pieces", 0) for each in done) == 10
    assert prepared(mixed, tmp_path / "many", parts) == prepared(mixed, tmp_path / "one")
    assert not parts.exists()


def test_what_no_job_has_read_is_read_while_gathering(
    mixed: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = tmp_path / "parts"
    read(mixed, parts, 2, 3)
    with caplog.at_level(logging.WARNING):
        many = prepared(mixed, tmp_path / "many", parts)
    assert "the others are read now" in caplog.text
    assert many == prepared(mixed, tmp_path / "one")


def test_a_job_reads_nothing_twice(mixed: Recipe, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    first = read(mixed, parts, 1, 2)
    assert read(mixed, parts, 1, 2) == {"stored": first["pieces"]}
    shutil.rmtree(next(parts.glob("*/train-*")))
    assert read(mixed, parts, 1, 2)["pieces"] == 1


def test_a_job_checks_its_files_before_it_reads(mixed: Recipe, tmp_path: Path) -> None:
    (tmp_path / "moses" / "text.en-fr.fr").write_text("one line\n", encoding="utf-8")
    outcomes = []
    for number in (1, 2):
        try:
            outcomes.append(read(mixed, tmp_path / f"parts-{number}", number, 2))
        except CorpusError as error:
            assert re.search(r"corpus.train\[3\] \(moses\): .*differ in length", str(error), re.DOTALL)
            assert not list((tmp_path / f"parts-{number}").glob("*/train-*"))
    assert len(outcomes) == 1  # the other job's files are in order


@pytest.mark.parametrize("change", ["settings", "seed", "file"])
def test_text_read_with_other_settings_is_not_gathered(
    mixed: Recipe, tmp_path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    parts = tmp_path / "parts"
    if change == "seed":
        read_part(mixed.corpus, parts, 1, 1, seed=4)
    else:
        read(mixed, parts, 1, 1)
    if change == "settings":
        mixed = mixed.model_copy(update={"corpus": mixed.corpus.model_copy(update={"tier_shares": {}})})
    if change == "file":
        write_tsv(tmp_path / "tsv" / "1.tsv", rows_of(900, 70))
    with caplog.at_level(logging.WARNING):
        many = prepared(mixed, tmp_path / "many", parts)
    assert "jobs have read 0 with these settings" in caplog.text
    assert many == prepared(mixed, tmp_path / "one")


@pytest.mark.parametrize("kind", ["jsonl", "tmx"])
def test_a_language_that_no_file_has_is_missed_as_by_one_process(tmp_path: Path, kind: str) -> None:
    write = {"jsonl": write_jsonl, "tmx": write_tmx}[kind]
    write(tmp_path / kind / f"a.{kind}", rows_of(0, 30, ("en", "de")))
    write(tmp_path / kind / f"b.{kind}", rows_of(40, 30, ("en", "de", "it")))
    given, parts = recipe({"reader": kind, "path": str(tmp_path / kind)}), tmp_path / "parts"
    with pytest.raises(CorpusError) as one:
        prepared(given, tmp_path / "one")
    if kind == "tmx":  # of jsonl, the first lines are looked at before anything is read
        read(given, parts, 1, 1)
        with pytest.raises(CorpusError) as many:
            prepared(given, tmp_path / "many", parts)
        assert str(many.value) == str(one.value)
    assert "fr" in str(one.value)
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("file", ["counts.json", "rows/train.arrow"])
def test_a_damaged_piece_is_named(mixed: Recipe, tmp_path: Path, file: str) -> None:
    parts = tmp_path / "parts"
    read(mixed, parts, 1, 1)
    (damaged,) = parts.glob(f"*/train-0-1/{file}")
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(CorpusError, match=r"train-0-1.*damaged.*remove .*train-0-1, and it is read again"):
        prepared(mixed, tmp_path / "many", parts)
    assert not (tmp_path / "many").exists()


def test_a_part_is_read_by_one_process_and_not_gathered_meanwhile(mixed: Recipe, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    read(mixed, parts, 1, 2)
    with FileLock(parts / ".part-2-of-2.lock"):
        with pytest.raises(RunError, match="another process is reading part 2 of 2; wait for it"):
            read(mixed, parts, 2, 2)
        with pytest.raises(RunError, match="another process is reading part 2 of 2; wait for it"):
            prepared(mixed, tmp_path / "many", parts)


def test_a_full_disk_is_told_and_what_was_read_stays(mixed: Recipe, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "96k") as disk:
        parts = disk / "parts"
        with pytest.raises(CorpusError, match="parts: can't be written: No space left on device.*free some space"):
            read(mixed, parts, 1, 1)
        stored = [path for path in parts.glob("*/*") if path.is_dir()]
        assert stored
        assert all((path / "counts.json").exists() for path in stored)


PLACE = Place("train", 0, recipe({"reader": "tsv", "path": "none.tsv"}).corpus.sources["train"][0], None)  # type: ignore[arg-type]


@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=30), jobs=st.integers(1, 8))
def test_every_piece_is_in_one_part_and_parts_are_even(sizes: list[int], jobs: int) -> None:
    pieces = [Piece(PLACE, number, size, str(number)) for number, size in enumerate(sizes)]
    shares = shared_out(pieces, jobs)
    assert sorted(int(piece.name) for share in shares for piece in share) == list(range(len(sizes)))
    loads = [sum(piece.size for piece in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes)
    assert shared_out(pieces, jobs) == shares


def test_a_source_with_a_limit_is_one_piece(mixed: Recipe) -> None:
    pieces = pieces_of(places_of(mixed.corpus))
    assert [piece.number for piece in pieces if piece.place.number == 4] == [None]
    assert [piece.number for piece in pieces if piece.place.number == 0] == [0, 1, 2]


def test_jobs_and_prepare_share_a_run_folder(mixed: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = tmp_path / "run"
    for number in (1, 2):
        read_part_of_run(mixed, run, number, 2)
    Pipeline(mixed, run).execute("prepare")
    assert not (run / "parts").exists()
    with caplog.at_level(logging.INFO):
        read_part_of_run(mixed, run, 1, 2)
    assert "prepared already" in caplog.text
    assert not (run / "parts").exists()


def test_the_command_line(mixed: Recipe, tmp_path: Path) -> None:
    file, run = tmp_path / "recipe.yaml", tmp_path / "run"
    file.write_text(mixed.to_yaml(), encoding="utf-8")
    command = [sys.executable, "-m", "neuronspec", "prepare", str(file), "--out", str(run)]
    jobs = [subprocess.Popen([*command, "--part", f"{number}/2"], stderr=subprocess.PIPE) for number in (1, 2)]
    for job in jobs:
        _, error = job.communicate()
        assert job.returncode == 0, error
    assert len(list(run.glob("parts/*/train-*"))) == 10
    wrong = subprocess.run([*command, "--part", "3/2"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "such as 3/8" in wrong.stderr
    subprocess.run(command, check=True, capture_output=True)
    assert (run / "data" / "corpus.json").exists()
    assert not (run / "parts").exists()
