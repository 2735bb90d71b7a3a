from __future__ import annotations

import importlib.util
import re
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuronspec.core import languages
from neuronspec.core.direction import is_language_code
from neuronspec.core.errors import DirectionError
from neuronspec.core.languages import LANGUAGES, SCRIPTS, canonical, family_of, get_language, is_known, name_of

FAMILIES = set(
    """
    Albanian Algic Araucanian Armenian Austroasiatic Austronesian Aymaran Baltic Bantu Basque Berber Celtic Chadic
    Constructed Creole Cushitic Dravidian Egyptian Eskimo-Aleut Germanic Hellenic Hmong-Mien Indo-Aryan Iranian
    Iroquoian Italic Japonic Kartvelian Koreanic Kra-Dai Mongolic Na-Dene Niger-Congo Nilotic Quechuan Romance Saharan
    Semitic Sinitic Slavic Tibeto-Burman Tupian Turkic Uralic Uto-Aztecan
    """.split()  # noqa: SIM905 - one string reads better
) | {"Northeast Caucasian", "Northwest Caucasian"}

BIBLE = (
    "en de nl sv da nb es pt fr it ro la ru uk cs pl sr el sq lv hi fi hu he ar vi ko ja zh tl ceb mg eo sl hyw eu chr"
)

M2M_100 = """
af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu
hy id ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt
ro ru sd si sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu
"""

# What FLORES+ spells otherwise than NLLB-200, and the languages that it adds.
FLORES_PLUS = """
apc_Arab_nort3139 apc_Arab_sout3123 arb_Latn arg_Latn brx_Deva cat_Latn_vale1252 chv_Cyrl cmn_Hans cmn_Hant
dar_Cyrl dgo_Deva ekk_Latn fil_Latn gom_Deva gug_Latn kaa_Latn khk_Mong kjh_Cyrl ktu_Latn lld_Latn
lld_Latn_gard1241 mfe_Latn mhr_Cyrl min_Arab mni_Mtei myv_Cyrl nob_Latn_radical nqo_Nkoo oci_Latn_aran1260
sat_Olck snd_Deva twi_Latn_akua1239 twi_Latn_asan1239 tyv_Cyrl uzs_Arab vmw_Latn wuu_Hans zgh_Tfng
"""

# The source and the 127 translations.
NTREX_128 = """
afr amh arb aze-Latn bak bel bem ben bod bos bul cat ces ckb-Arab cym dan deu div dzo ell eng eng-GB eng-IN
eng-US est eus ewe fao fas fij fil fin fra fra-CA fuc gle glg guj hau heb hin hmn hrv hun hye ibo ind isl ita
jpn kan kat kaz khm kin kir kmr kor lao lav lit ltz mal mar mey mkd mlg mlt mon mri msa mya nde nep nld nno
nob nso nya orm pan pol por por-BR prs pus ron rus shi sin slk slv smo sna-Latn snd-Arab som spa spa-MX sqi
srp-Cyrl srp-Latn ssw swa swe tah tam tat tel tgk-Cyrl tha tir ton tsn tuk tur uig ukr urd uzb ven vie wol xho
yor yue zho-CN zho-TW zul
"""

known_codes = st.sampled_from(sorted(LANGUAGES))
bases = st.sampled_from([code for code in LANGUAGES if "_" not in code])
regions = st.sampled_from(sorted(languages._REGIONS))
scripts = st.sampled_from(sorted(SCRIPTS))


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A language of the table with or without a script and a region, joined anyhow."""
    parts = [draw(st.sampled_from(sorted(languages._SPELLINGS)))]
    if "_" not in parts[0]:
        parts += draw(st.lists(scripts, max_size=1)) + draw(st.lists(regions, max_size=1))
    return draw(st.sampled_from("_-")).join(parts)


def test_the_table_has_sane_rows() -> None:
    rows = list(LANGUAGES.values())
    assert len({row.name for row in rows}) == len(rows)
    for code, row in LANGUAGES.items():
        assert row.code == code
        assert is_language_code(code)
        assert re.fullmatch(r"[a-z]{2,3}(_([A-Z][a-z]{3}|[A-Z]{2}|[a-z]{5,8}))?", code)
        assert row.name == row.name.strip() != ""
        assert row.script in SCRIPTS
    assert {row.family for row in rows} == FAMILIES


def test_no_spelling_belongs_to_two_languages() -> None:
    lines = Path(languages.__file__).with_name("languages.tsv").read_text(encoding="utf-8").splitlines()[1:]
    listed = [s.lower() for row in (line.split("\t") for line in lines) for s in (row[0], *row[4].split())]
    assert len(listed) == len(set(listed))
    assert [line.split("\t")[0] for line in lines] == sorted(LANGUAGES)


def test_variants_in_the_table_have_the_family_of_their_base() -> None:
    variants = [row for code, row in LANGUAGES.items() if "_" in code]
    assert len(variants) > 20
    for row in variants:
        base, variant = row.code.split("_")
        assert row.family == LANGUAGES[base].family
        if variant in SCRIPTS:
            assert row.script == variant != LANGUAGES[base].script


def test_exactly_the_right_to_left_scripts_are_written_right_to_left() -> None:
    by_script = {row.script: row.direction for row in LANGUAGES.values()}
    assert {script for script, direction in by_script.items() if direction == "rtl"} == {
        "Arab", "Hebr", "Nkoo", "Syrc", "Thaa",
    }  # fmt: skip
    assert all(row.direction == by_script[row.script] for row in LANGUAGES.values())
    assert get_language("ha_Arab").direction == get_language("ff_Adlm").direction == "rtl"
    assert get_language("ar_Latn").direction == "ltr"


@pytest.mark.parametrize(
    ("code", "name", "family", "script"),
    [
        ("de", "German", "Germanic", "Latn"),
        ("la", "Latin", "Italic", "Latn"),
        ("ro", "Romanian", "Romance", "Latn"),
        ("sr", "Serbian", "Slavic", "Cyrl"),
        ("kn", "Kannada", "Dravidian", "Knda"),
        ("am", "Amharic", "Semitic", "Ethi"),
        ("ha", "Hausa", "Chadic", "Latn"),
        ("mt", "Maltese", "Semitic", "Latn"),
        ("fi", "Finnish", "Uralic", "Latn"),
        ("hu", "Hungarian", "Uralic", "Latn"),
        ("ja", "Japanese", "Japonic", "Jpan"),
        ("zh_Hant", "Chinese (traditional)", "Sinitic", "Hant"),
        ("hyw", "Western Armenian", "Armenian", "Armn"),
    ],
)
def test_golden_rows(code: str, name: str, family: str, script: str) -> None:
    row = get_language(code)
    assert (row.name, row.family, row.script) == (name, family, script)
    assert (name_of(code), family_of(code)) == (name, family)


def test_every_nllb_code_is_a_language_of_its_own() -> None:
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    ours = {code: canonical(code) for code in FAIRSEQ_LANGUAGE_CODES}
    assert len(ours) == 202
    assert len(set(ours.values())) == 202
    for theirs, code in ours.items():
        # The script of NLLB's text is the one that its code names, but for Santali, which is in Ol Chiki.
        assert LANGUAGES[code].script == ("Olck" if theirs == "sat_Beng" else theirs.split("_")[1])


def test_every_flores_plus_code_is_a_language_of_its_own() -> None:
    ours = [canonical(code) for code in FLORES_PLUS.split()]
    assert len(set(ours)) == len(ours)
    for theirs, code in zip(FLORES_PLUS.split(), ours, strict=True):
        assert LANGUAGES[code].script == theirs.split("_")[1]


def test_flores_plus_and_nllb_meet_where_only_the_label_changed() -> None:
    relabelled = {
        "cmn_Hans": "zho_Hans", "cmn_Hant": "zho_Hant", "ekk_Latn": "est_Latn", "fil_Latn": "tgl_Latn",
        "gug_Latn": "grn_Latn", "apc_Arab_nort3139": "apc_Arab", "apc_Arab_sout3123": "ajp_Arab",
        "twi_Latn_asan1239": "aka_Latn", "twi_Latn_akua1239": "twi_Latn", "sat_Olck": "sat_Beng",
    }  # fmt: skip
    assert {new: canonical(new) for new in relabelled} == {new: canonical(old) for new, old in relabelled.items()}


def test_every_ntrex_code_is_a_language_of_its_own() -> None:
    ours = [canonical(code) for code in NTREX_128.split()]
    assert len(ours) == 128
    assert len(set(ours)) == 128
    assert set(ours) <= set(LANGUAGES)


def test_the_codes_of_m2m_100_and_of_the_bible_corpus_are_ours() -> None:
    assert [code for code in M2M_100.split() if canonical(code) != code] == ["ns"]
    assert canonical("ns") == "nso"
    assert len(M2M_100.split()) == 100
    assert set(BIBLE.split()) <= set(LANGUAGES)


@pytest.mark.parametrize("package", ["django", "plone"])
def test_every_catalog_folder_is_a_known_language(package: str) -> None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} isn't installed")
    folders = {path.parent.name for root in spec.submodule_search_locations for path in Path(root).rglob("LC_MESSAGES")}
    assert len(folders) > 50
    for folder in folders:
        assert is_known(canonical(folder)), folder


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("eng_Latn", "en"),
        ("en_Latn", "en"),
        ("deu", "de"),
        ("ger", "de"),
        ("DE", "de"),
        ("iw", "he"),
        ("fu", "fur"),
        ("zho_Hans", "zh"),
        ("zho_Hant", "zh_Hant"),
        ("zh-CN", "zh"),
        ("zh_TW", "zh_Hant"),
        ("zh_Hant_TW", "zh_Hant"),
        ("zh_Hant_HK", "zh_HK"),
        ("zh_Hans_HK", "zh_Hans_HK"),
        ("pt-BR", "pt_BR"),
        ("pt_br", "pt_BR"),
        ("por-BR", "pt_BR"),
        ("por_Latn_BR", "pt_BR"),
        ("eng-US", "en_US"),
        ("sr@latin", "sr_Latn"),
        ("sr@cyrl", "sr"),
        ("sr_RS@latin", "sr_Latn_RS"),
        ("ca@valencia", "ca_valencia"),
        ("es-bo", "es_BO"),
        ("es_419", "es_419"),
        ("kor_Kore", "ko"),
        ("fra-CA_Latn", "fr_CA"),
    ],
)
def test_spellings(spelling: str, code: str) -> None:
    assert canonical(spelling) == code
    assert is_known(code) and is_known(spelling)
    assert get_language(spelling) == get_language(code)


def test_variants_outside_the_table_take_after_their_base() -> None:
    assert "es_BO" not in LANGUAGES
    bolivian = get_language("es_BO")
    assert (bolivian.code, bolivian.name, bolivian.family, bolivian.script) == (
        "es_BO",
        "Spanish (BO)",
        "Romance",
        "Latn",
    )
    kazakh = get_language("kk_Arab")
    assert (kazakh.name, kazakh.family, kazakh.script, kazakh.direction) == ("Kazakh (Arabic)", "Turkic", "Arab", "rtl")
    assert get_language("sr_Latn_RS").name == "Serbian (Latin, RS)"
    assert get_language("sr_RS").script == "Cyrl"


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("dee", "did you mean"),
        ("German", r"did you mean 'de' \(German\)"),
        ("portugese", r"did you mean 'pt' \(Portuguese\)"),
        ("nob_Latin1", r"after 'nb' \(Norwegian Bokmål\), expected a region .* not 'Latin1'"),
        ("en_XX", "not 'XX'"),
        ("pt_BR_BR", "not 'BR_BR'"),
        ("sr_Latn_Cyrl", "not 'Latn_Cyrl'"),
        ("de_", "expected a region"),
        ("q1w2e3", "expected an ISO 639 code"),
        ("", "expected an ISO 639 code"),
        ("_BR", "unknown language '_BR'"),
    ],
)
def test_unknown_languages_are_refused_with_a_hint(spelling: str, message: str) -> None:
    for ask in (canonical, get_language, family_of):
        with pytest.raises(DirectionError, match=message):
            ask(spelling)
    assert not is_known(spelling)
    assert name_of(spelling) == spelling


def test_another_spelling_is_the_same_language() -> None:
    assert get_language("eng_Latn") is LANGUAGES["en"]
    assert (family_of("ENG"), name_of("eng_Latn"), name_of("pt-BR")) == ("Germanic", "English", name_of("pt_BR"))
    assert (languages.base_language("por_Latn_BR"), languages.base_language("own_code")) == ("pt", "own")
    assert (languages.script_of("zho_Hant"), languages.script_of("klingon")) == ("Hant", None)


@given(spellings(), st.data())
def test_canonical_is_idempotent_and_blind_to_case(spelling: str, data: st.DataObject) -> None:
    code = canonical(spelling)
    assert canonical(code) == code
    assert is_known(code)
    assert is_language_code(code)
    mixed = "".join(data.draw(st.sampled_from([char.lower(), char.upper()])) for char in spelling)
    assert canonical(mixed) == code
    assert get_language(code).code == code
    assert family_of(code) == LANGUAGES[code.split("_")[0]].family


@given(known_codes)
def test_every_code_of_the_table_is_canonical(code: str) -> None:
    assert canonical(code) == code
    assert is_known(code)
    assert get_language(code) is LANGUAGES[code]


@given(bases, scripts)
def test_a_script_makes_a_variant_exactly_where_it_is_not_the_usual_one(base: str, script: str) -> None:
    code = canonical(f"{base}_{script}")
    if script == LANGUAGES[base].script:
        assert code == base
    elif (base, script) not in {("ko", "Kore"), ("sat", "Beng")}:
        assert code == f"{base}_{script}"
        assert get_language(code).script == script


@given(st.text(max_size=12))
def test_any_text_is_known_or_refused(text: str) -> None:
    try:
        assert is_known(canonical(text))
    except DirectionError as error:
        assert repr(text) in str(error)
        assert not is_known(text)


def test_regions_are_those_of_iso_3166() -> None:
    pytest.importorskip("tzdata")
    table = resources.files("tzdata.zoneinfo").joinpath("iso3166.tab").read_text(encoding="utf-8")
    assert set(re.findall(r"^([A-Z]{2})\t", table, re.MULTILINE)) == languages._REGIONS - {"419"}


@pytest.mark.parametrize(
    ("spelling", "among", "found"),
    [
        ("de", ["de", "fr"], "de"),
        ("DE", ["de", "fr"], "de"),
        ("deu_Latn", ["de", "fr"], "de"),
        ("de", ["deu_Latn", "fra_Latn"], "deu_Latn"),
        ("en-US", ["en", "de"], "en"),
        ("pt", ["en", "pt_BR"], "pt_BR"),
        ("pt", ["pt_PT", "pt_BR"], None),
        ("pt-BR", ["pt", "pt_BR"], "pt_BR"),
        ("zh_CN", ["zh", "zh_Hant"], "zh"),
        ("zho_Hant", ["zh", "zh_Hant"], "zh_Hant"),
        ("zh-TW", ["zh"], None),
        ("zh", ["zh_Hant"], None),
        ("sr_Latn", ["sr"], None),
        ("klingon", ["de"], None),
        ("own_code", ["own_code"], "own_code"),
        ("OWN-code", ["own_code", "de"], "own_code"),
        ("EN", ["EN", "en"], "EN"),
        ("En", ["EN", "en"], None),
    ],
)
def test_matching_a_spelling_among_languages(spelling: str, among: list[str], found: str | None) -> None:
    assert languages.match_language(spelling, among) == found


@pytest.mark.parametrize(
    ("spelling", "among", "message"),
    [
        ("pt", ["de", "pt_PT", "en", "pt_BR"], "'pt' may mean pt_PT or pt_BR; the model has pt_BR, pt_PT, "),
        ("zh_TW", ["de", "zh"], "'zh_TW' is not among the languages; the model has zh, de"),
        ("german", ["en", "fr", "de"], "'german' is not among the languages; the model has de, "),
        ("nope", [], "the model has none"),
        (None, ["de"], "a language is a str such as 'de' or 'pt_BR', not NoneType"),
    ],
)
def test_a_wrong_choice_lists_the_languages_nearest_first(spelling: str, among: list[str], message: str) -> None:
    with pytest.raises(DirectionError) as caught:
        languages.choose_language(spelling, among, "the model has")
    assert message in str(caught.value)


def test_the_best_tags_of_languages() -> None:
    assert languages.best_tags(["id", "EN-us", "deu_Latn", "zho_Hant"], ["en", "de", "zh"]) == {
        "en": ["EN-us"], "de": ["deu_Latn"],
    }  # fmt: skip
    assert languages.best_tags(["en-GB", "eng", "en"], ["en"]) == {"en": ["eng", "en"]}
    assert languages.best_tags(["en-GB", "en_US"], ["en"]) == {"en": ["en-GB", "en_US"]}
    assert languages.best_tags(["pt"], ["pt_BR", "pt_PT"]) == {}


@given(spellings(), st.lists(known_codes, min_size=1, max_size=6, unique=True))
def test_a_spelling_fits_a_language_whatever_its_case(spelling: str, among: list[str]) -> None:
    rank, fitting = languages.fitting_languages(spelling, among)
    assert bool(fitting) == (rank < 4)
    assert languages.fitting_languages(spelling.swapcase(), among)[1] == fitting
    if canonical(spelling) in among:
        assert fitting == [canonical(spelling)]


def test_values_by_language() -> None:
    assert languages.by_language({"DE": 1, "pt": 2, "fr": 3}, ["de", "pt_BR"]) == {"de": 1, "pt_BR": 2, "fr": 3}
    assert languages.by_language({"de": 1, "de_AT": 2}, ["de"]) == {"de": 1, "de_AT": 2}
    with pytest.raises(DirectionError, match="'de' and 'DE' are both 'de'"):
        languages.by_language({"de": 1, "DE": 2}, ["de"])
