"""The reader of message catalogs, on small trees and on the installed packages."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from neuronspec.core.errors import CorpusError, MissingExtraError
from neuronspec.corpus.readers.catalogs import CatalogsSource, package_folder
from neuronspec.corpus.readers.messages import looks_like_key
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows
from neuronspec.corpus.reading import read_rows
from neuronspec.corpus.settings import CorpusSettings
from neuronspec.corpus.splits import Splitter, sentence_keys

pytest.importorskip("polib")
HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'


def po(path: Path, *entries: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + "\n\n".join(entries) + "\n", encoding="utf-8")


def entry(msgid: str, msgstr: str, comment: str = "") -> str:
    notes = "".join(f"#. {line}\n" for line in comment.split("\n") if line)
    return f'{notes}msgid "{msgid}"\nmsgstr "{msgstr}"'


def read(folder: Path, languages: list[str], **more: Any) -> tuple[list[Row], ReadCounts]:
    counts = ReadCounts()
    own = {name: more.pop(name) for name in ("max_characters", "min_words", "placeholders") if name in more}
    source = {"reader": "catalogs", "path": folder} | own
    corpus = CorpusSettings.model_validate({"train": source, "languages": languages} | more)
    return [row for block in read_rows(corpus, counts) for row in block], counts


def test_layouts_and_locale_names(tmp_path: Path) -> None:
    po(tmp_path / "app/locale/de/LC_MESSAGES/app.po", entry("Save", "Speichern"))
    po(tmp_path / "app/locale/pt_BR/LC_MESSAGES/app.po", entry("Save", "Salvar"))
    po(tmp_path / "app/locale/sr@latin/LC_MESSAGES/app.po", entry("Save", "Sačuvaj"))
    po(tmp_path / "tool/de.po", entry("Open", "Öffnen"))
    po(tmp_path / "not_a_language.po", entry("Open", "?"))
    rows, counts = read(tmp_path, ["de", "pt_BR", "sr_Latn"])
    assert rows == [
        Row({"en": "Save", "de": "Speichern", "pt_BR": "Salvar", "sr_Latn": "Sačuvaj"}, "app:app:Save"),
        Row({"en": "Open", "de": "Öffnen"}, "tool:tool:Open"),
    ]
    assert counts.skipped["not_a_language"] == {"no known language": 1}


def test_what_is_skipped_is_counted(tmp_path: Path) -> None:
    po(
        tmp_path / "de.po",
        entry("Save", "Speichern"),
        "#, fuzzy\n" + entry("Open", "Offen"),
        entry("Close", ""),
        'msgid "%d file"\nmsgid_plural "%d files"\nmsgstr[0] "%d Datei"\nmsgstr[1] "%d Dateien"',
        entry("Hello %(name)s", "Hallo"),
        entry("<b>Bold</b>", "<b>Fett</b>"),
        entry("label_nothing_known", "Irgendwas"),
        '#~ msgid "Old"\n#~ msgstr "Alt"',
    )
    rows, counts = read(tmp_path, ["de"])
    assert [row.texts["en"] for row in rows] == ["<b>Bold</b>", "Save"]
    assert counts.skipped["de"] == {
        "fuzzy": 1, "untranslated": 1, "plural": 1, "placeholders or tags differ": 1, "obsolete": 1,
        "key without English text": 1,
    }  # fmt: skip


def test_long_messages_are_left_out_and_counted(tmp_path: Path) -> None:
    po(tmp_path / "de.po", entry("Save", "Speichern"), entry("Save all of it", "Alles speichern"))
    rows, counts = read(tmp_path, ["de"], max_characters=4)
    assert [row.texts["en"] for row in rows] == ["Save"]
    assert counts.skipped["de"] == {"English text longer than max_characters": 1}


def test_short_messages_are_left_out_and_counted(tmp_path: Path) -> None:
    po(tmp_path / "de.po", entry("Save", "Alles sofort speichern"), entry("Save it now", "Speichern"))
    rows, counts = read(tmp_path, ["de"], min_words=3)
    assert [row.texts["en"] for row in rows] == ["Save it now"]
    assert counts.skipped["de"] == {"English text of fewer words than min_words": 1}


def test_messages_with_placeholders_are_left_out_and_counted(tmp_path: Path) -> None:
    texts = ("Page %(n)s", "{0} pages", "<b>Bold</b>", "Fish &amp; chips", "All pages")
    po(tmp_path / "de.po", *(entry(text, text) for text in texts))
    rows, counts = read(tmp_path, ["de"], placeholders=False)
    assert [row.texts["en"] for row in rows] == ["All pages"]
    assert counts.skipped["de"] == {"English text with placeholders or tags": 4}
    assert len(read(tmp_path, ["de"])[0]) == len(texts)


def test_messages_of_several_packages_are_in_one_split(tmp_path: Path) -> None:
    texts = [f"Open the {noun} of this {owner}" for noun in ("page", "file", "menu", "door") for owner in "abcdefghij"]
    for package, end in (("shop", ""), ("blog", "."), ("wiki", " %s")):
        po(tmp_path / f"{package}/locale/de/LC_MESSAGES/django.po", *(entry(t + end, t.upper() + end) for t in texts))
    rows, _ = read(tmp_path, ["de"])
    corpus = CorpusSettings.model_validate(
        {"train": {"reader": "catalogs", "path": tmp_path}, "languages": ["de"], "test_share": 0.3, "valid_share": 0.2}
    )
    english = [row.texts["en"] for row in rows]
    block = Rows({"en": english}, [row.origin for row in rows])
    keys = sentence_keys(english)
    found: dict[str, set[int]] = {}
    for key, split in zip(keys, Splitter.of(corpus, seed=1).splits_of(block, keys, english).tolist(), strict=True):
        found.setdefault(key, set()).add(split)
    assert len(rows) == 3 * len(texts) and len(found) == len(texts)
    assert all(len(splits) == 1 for splits in found.values())
    assert set.union(*found.values()) == {0, 1, 2}


def test_contexts_are_messages_of_their_own(tmp_path: Path) -> None:
    po(tmp_path / "de.po", 'msgctxt "month"\n' + entry("May", "Mai"), 'msgctxt "verb"\n' + entry("May", "Darf"))
    rows, _ = read(tmp_path, ["de"])
    assert [(row.origin, row.texts["de"]) for row in rows] == [("month:May", "Mai"), ("verb:May", "Darf")]


def test_english_text_of_keys(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    po(folder / "shop.pot", entry("label_save", "", 'Default: "Save it"'))
    po(
        folder / "de.po",
        entry("label_save", "Sichern", 'Default: "Save it"'),
        entry("label_open", "Öffnen", 'Default: "Unlock"'),
        entry("label_close", "Schließen"),
    )
    po(folder / "fr.po", entry("label_save", "Garder", 'Default: "Keep it"'))
    po(folder / "en.po", entry("label_open", "Open!", 'Default: "Open"'), entry("label_close", "Close"))
    rows, counts = read(folder.parent, ["de", "fr"])
    # The template first, then the English catalog; a translation of an older wording is left out.
    assert [dict(row.texts) for row in rows] == [
        {"en": "Close", "de": "Schließen"},
        {"en": "Save it", "de": "Sichern"},
    ]
    assert counts.skipped["de"] == {"of another English text": 1}
    assert counts.skipped["fr"] == {"of another English text": 1}


@pytest.mark.parametrize("languages", [["de"], ["de", "fr", "it"], ["fr"]])
def test_without_template_the_most_frequent_default_whatever_the_languages(
    tmp_path: Path, languages: list[str]
) -> None:
    for code, default in {"de": "Save", "fr": "Keep", "it": "Keep"}.items():
        po(tmp_path / f"app/{code}.po", entry("label_save", f"text {code}", f'Default: "{default}"'))
    rows, _ = read(tmp_path, languages)
    found = {row.texts["en"] for row in rows}
    assert found == (set() if languages == ["de"] else {"Keep"})


def test_accelerators_are_counted(tmp_path: Path) -> None:
    po(tmp_path / "de.po", entry("&File", "&Datei"))
    rows, counts = read(tmp_path, ["de"])
    assert rows[0].texts == {"en": "File", "de": "Datei"}
    assert counts.changed["de"] == {"accelerator": 1}


def test_pairs_without_english(tmp_path: Path) -> None:
    for code in ("de", "fr"):
        po(tmp_path / f"app/{code}.po", entry("Save", f"text {code}"))
    rows, _ = read(tmp_path, ["de", "fr"], directions=["de-fr"])
    assert rows == [Row({"de": "text de", "fr": "text fr"}, "app:app:Save")]


def test_damaged_catalogs(tmp_path: Path) -> None:
    path = tmp_path / "de.po"
    path.write_text(HEADER + 'msgid "a "b"\nmsgstr "c"\n')
    with pytest.raises(CorpusError, match=r"de\.po: not a readable message catalog: .*4"):
        read(tmp_path, ["de"])
    path.write_bytes(HEADER.encode() + b'msgid "a"\nmsgstr "\xe4"\n')
    with pytest.raises(CorpusError, match=r"de\.po:5: not valid (utf|UTF)-8"):
        read(tmp_path, ["de"])


def test_languages_without_catalogs(tmp_path: Path) -> None:
    po(tmp_path / "de.po", entry("Save", "Speichern"))
    with pytest.raises(CorpusError, match=r"no catalogs of fr, pl in .*; languages there: de"):
        read(tmp_path, ["de", "fr", "pl"])


def test_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"no package 'no_such_package' is installed"):
        package_folder("no_such_package")
    with pytest.raises(CorpusError, match="no package 'no.such.package'"):
        package_folder("no.such.package")
    source = CatalogsSource.model_validate({"reader": "catalogs", "packages": ["no_such_package", "django", "no.such"]})
    (error,) = source.missing()
    assert "no package 'no_such_package' or 'no.such' is" in str(error)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"pip install --no-deps django-oscar will do"):
        package_folder("oscar")
    with pytest.raises(MissingExtraError, match=r"needs the package 'django'.*neuronspec\[catalogs\]"):
        package_folder("django")


def test_without_polib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"polib.*neuronspec\[catalogs\]"):
        read(tmp_path, ["de"])


def test_the_catalogs_of_django_and_plone() -> None:
    pytest.importorskip("django")
    pytest.importorskip("plone.app.locales")
    counts = ReadCounts()
    corpus = CorpusSettings.model_validate({"train": {"reader": "catalogs"}, "languages": ["pl"]})
    rows = [row for block in read_rows(corpus, counts) for row in block]
    assert len(rows) > 2000 and all(set(row.texts) == {"en", "pl"} for row in rows)
    assert sum(looks_like_key(row.texts["en"]) for row in rows) == 0
    assert counts.skipped["pl"]["untranslated"] > 0
    assert any(row.origin.startswith("django/conf:django:") for row in rows)
    assert any(row.origin.startswith("plone.app.locales:plone:") for row in rows)


def test_catalogs_in_another_spelling_and_region(tmp_path: Path) -> None:
    for spelling in ("deu", "de_AT", "pt_BR", "en_GB", "es_MX"):
        po(tmp_path / f"tool/{spelling}.po", entry("Open", spelling), entry(f"Only {spelling}", spelling))
    rows, _ = read(tmp_path, ["DE", "pt"], pivot="eng_Latn")
    assert rows == [
        Row({"eng_Latn": "Only deu", "DE": "deu"}, "tool:tool:Only deu"),
        Row({"eng_Latn": "Only pt_BR", "pt": "pt_BR"}, "tool:tool:Only pt_BR"),
        Row({"eng_Latn": "Open", "DE": "deu", "pt": "pt_BR"}, "tool:tool:Open"),
    ]


def test_catalogs_with_a_byte_order_mark(tmp_path: Path) -> None:
    po(tmp_path / "plain/de.po", entry("Grüße", "Schöne Grüße"))
    (tmp_path / "marked").mkdir()
    (tmp_path / "marked/de.po").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "plain/de.po").read_bytes())
    found = [[row.texts for row in read(tmp_path / name, ["de"])[0]] for name in ("plain", "marked")]
    assert found[0] == found[1] == [{"en": "Grüße", "de": "Schöne Grüße"}]
