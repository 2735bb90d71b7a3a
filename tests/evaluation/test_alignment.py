"""Which test sentences directions share is told by their text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from neuronspec.core.files import write_text
from neuronspec.evaluation.alignment import align, sentence_ids

EN, DE, FR = (["one", "two", "three"], ["eins", "zwei", "drei"], ["un", "deux", "trois"])


def test_directions_with_the_same_pivot_sentences_share_them() -> None:
    found = align({"en-de": (EN, DE), "fr-en": (FR, EN), "de-en": (DE[::-1], EN[::-1])})
    assert found["en-de"].tolist() == found["fr-en"].tolist() == found["de-en"].tolist()[::-1]
    assert len(set(found["en-de"].tolist())) == 3


def test_directions_without_the_pivot_are_found_by_their_other_languages() -> None:
    found = align({"de-fr": (DE, FR), "en-de": (EN, DE), "fr-en": (FR, EN)})
    assert found["de-fr"].tolist() == found["en-de"].tolist()
    part = align({"de-es": (["zwei", "vier"], ["dos", "cuatro"]), "en-de": (EN, DE), "en-fr": (EN, FR)})
    assert part["de-es"][0] == part["en-de"][1] and part["de-es"][1] not in part["en-de"]


def test_only_what_is_the_same_is_shared() -> None:
    found = align({"en-de": (EN, DE), "en-fr": (["two", "four"], ["deux", "quatre"])})
    assert found["en-fr"][0] == found["en-de"][1]
    assert found["en-fr"][1] not in found["en-de"]
    # the same word in another language is another sentence
    apart = align({"en-de": (["taxi"], ["Taxi"]), "en-fr": (["cab"], ["taxi"])})
    assert apart["en-de"] != apart["en-fr"]


def test_a_sentence_that_occurs_twice_is_one() -> None:
    texts = {"en-de": (["yes", "no", "yes"], ["ja", "nein", "doch"]), "en-fr": (["no"], ["non"])}
    found = align(texts)
    assert found["en-de"].tolist() == [0, 1, 0] and found["en-fr"].tolist() == [1]
    assert align({}) == {}


def test_files_of_the_first_arm_that_has_a_direction_are_read(tmp_path: Path) -> None:
    for arm, name, lines in (("copy", "en-de", EN), ("bilingual", "en-fr", EN)):
        write_text(tmp_path / arm / f"{name}.src", "".join(f"{line}\n" for line in lines))
        write_text(tmp_path / arm / f"{name}.ref", "".join(f"{line}!\n" for line in lines))
    found = sentence_ids([tmp_path / "copy", tmp_path / "bilingual"], ["en-de", "en-fr", "en-it"])
    assert set(found) == {"en-de", "en-fr"}
    np.testing.assert_array_equal(found["en-de"], found["en-fr"])


def test_references_as_read_and_cleaned_sources_are_one_sentence(tmp_path: Path) -> None:
    cleaned, read = ["na ja !", "schön", "Bildschirm"], ["  na\u00a0ja\u202f!", "scho\u0308n", "Bild\u00adschirm"]
    texts = {"en-de": (EN, read), "de-fr": (cleaned, FR), "de-en": (cleaned, EN)}
    for name, (sources, references) in texts.items():
        write_text(tmp_path / "copy" / f"{name}.src", "".join(f"{line}\n" for line in sources))
        write_text(tmp_path / "copy" / f"{name}.ref", "".join(f"{line}\n" for line in references))
    found = sentence_ids([tmp_path / "copy"], list(texts))
    assert found["en-de"].tolist() == found["de-fr"].tolist() == found["de-en"].tolist()
