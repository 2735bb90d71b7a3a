"""Sample translations, read back and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from neuronspec.core.errors import EvaluationError
from neuronspec.evaluation.samples import good_samples, read_samples, samples_text


def write(folder: Path, arm: str, lines: int, odd: str = "") -> None:
    (folder / arm).mkdir(parents=True)
    for part in ("src", "hyp", "ref"):
        text = "".join(f"{arm if part == 'hyp' else part} {index}{odd}\n" for index in range(lines))
        (folder / arm / f"en-de.{part}").write_text(text, encoding="utf-8")


def test_samples_are_spread_over_the_test_set(tmp_path: Path) -> None:
    write(tmp_path, "base", 10)
    write(tmp_path, "dense", 10)
    samples = read_samples(tmp_path, ["base", "dense"], ["en-de"], 3)
    assert [(sample.source, sample.reference) for sample in samples] == [
        ("src 0", "ref 0"), ("src 3", "ref 3"), ("src 6", "ref 6"),
    ]  # fmt: skip
    assert samples[1].translations == {"base": "base 3", "dense": "dense 3"}
    assert len(read_samples(tmp_path, ["base"], ["en-de"], 99)) == 10


def test_good_samples_are_ranked_by_the_first_arm(tmp_path: Path) -> None:
    write(tmp_path, "base", 5)
    write(tmp_path, "dense", 5)
    reference = "the text of a page"
    better = ["nothing", "the text", "a", "the text of a page", "the text of"]
    (tmp_path / "base/en-de.ref").write_text(f"{reference}\n" * 5, encoding="utf-8")
    (tmp_path / "base/en-de.hyp").write_text("".join(f"{line}\n" for line in better), encoding="utf-8")
    found = {share: good_samples(tmp_path, ["base", "dense"], ["en-de"], share)[0] for share in (0.5, 0.75, 1)}
    assert {share: sample.source for share, sample in found.items()} == {0.5: "src 1", 0.75: "src 4", 1: "src 3"}
    assert found[1].translations == {"base": reference, "dense": "dense 3"}


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    write(tmp_path, "base", 2, odd="\u2028half")
    assert [sample.source for sample in read_samples(tmp_path, ["base"], ["en-de"], 5)] == [
        "src 0\u2028half", "src 1\u2028half",
    ]  # fmt: skip


def test_text_has_a_block_a_sample(tmp_path: Path) -> None:
    write(tmp_path, "base", 2)
    text = samples_text(read_samples(tmp_path, ["base"], ["en-de"], 2))
    assert text == (
        "en-de\n  source     src 0\n  reference  ref 0\n  base       base 0\n\n"
        "en-de\n  source     src 1\n  reference  ref 1\n  base       base 1"
    )


def test_an_arm_is_left_out_of_directions_that_it_has_not_translated(tmp_path: Path) -> None:
    write(tmp_path, "base", 2)
    (tmp_path / "bilingual").mkdir()
    (sample,) = read_samples(tmp_path, ["base", "bilingual"], ["en-de"], 1)
    assert sample.translations == {"base": "base 0"}


def test_missing_and_uneven_files_are_errors(tmp_path: Path) -> None:
    write(tmp_path, "base", 4)
    write(tmp_path, "dense", 3)
    with pytest.raises(EvaluationError, match="4 sources and 3 lines of dense"):
        read_samples(tmp_path, ["base", "dense"], ["en-de"], 2)
    with pytest.raises(EvaluationError, match=r"en-fr.src can't be read"):
        read_samples(tmp_path, ["base"], ["en-fr"], 2)
    (tmp_path / "base" / "en-de.hyp").write_bytes(b"\xff\n")
    with pytest.raises(EvaluationError, match=r"en-de.hyp:1 can't be read: it isn't UTF-8"):
        read_samples(tmp_path, ["base"], ["en-de"], 2)
