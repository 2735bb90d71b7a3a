"""The table of languages: code, English name, family, script, writing direction, and other spellings of the code.

Codes are ISO 639-1 where there is one, else ISO 639-3. A variant in another region or script is a language of its own,
joined by `_`: `pt_BR`, `sr_Latn`, `zh_Hant`. The table (`languages.tsv`) names the languages of NLLB-200, FLORES+,
NTREX-128, M2M-100 and of the usual corpora; any other region (ISO 3166-1) or script of a language in it is known too,
with the family of its base language: `es_BO`, `kk_Latn`.

Families are linguistic, of the size that figures group by (Germanic, Slavic, Bantu ...). A study that groups
otherwise, such as one that counts Amharic, Arabic and Hausa together as Afro-Asiatic, says so in its recipe
(`corpus.families`); the table stays as it is. Scripts are those that the benchmarks write the language in.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

from neuronspec.core.errors import DirectionError

Value = TypeVar("Value")

# ISO 15924 codes, with the names that gettext's modifiers use (sr@latin).
SCRIPTS = {
    "Adlm": "Adlam", "Arab": "Arabic", "Armn": "Armenian", "Beng": "Bengali", "Cans": "Syllabics", "Cher": "Cherokee",
    "Copt": "Coptic", "Cyrl": "Cyrillic", "Deva": "Devanagari", "Ethi": "Ethiopic", "Geor": "Georgian",
    "Goth": "Gothic", "Grek": "Greek", "Gujr": "Gujarati", "Guru": "Gurmukhi", "Hang": "Hangul", "Hans": "simplified",
    "Hant": "traditional", "Hebr": "Hebrew", "Jpan": "Japanese", "Khmr": "Khmer", "Knda": "Kannada", "Kore": "Korean",
    "Laoo": "Lao", "Latn": "Latin", "Mlym": "Malayalam", "Mong": "Mongolian script", "Mtei": "Meitei Mayek",
    "Mymr": "Myanmar", "Nkoo": "N'Ko", "Olck": "Ol Chiki", "Orya": "Odia", "Sinh": "Sinhala", "Syrc": "Syriac",
    "Taml": "Tamil", "Telu": "Telugu", "Tfng": "Tifinagh", "Thaa": "Thaana", "Thai": "Thai", "Tibt": "Tibetan",
    "Yiii": "Yi",
}  # fmt: skip
WITHOUT_WORD_SPACES = frozenset({"Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai", "Tibt"})
"""Scripts that are written without spaces between words."""
_RIGHT_TO_LEFT = frozenset({"Adlm", "Arab", "Hebr", "Nkoo", "Syrc", "Thaa"})
# ISO 3166-1, and 419: Latin America.
_REGIONS = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
    CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
    GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
    KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
    MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
    RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
    TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW 419
    """.split()  # noqa: SIM905 - one string reads better than 250
)


@dataclass(frozen=True, slots=True)
class Language:
    """A language: canonical code, English name, family, ISO 15924 script and writing direction."""

    code: str
    name: str
    family: str
    script: str
    direction: Literal["ltr", "rtl"]


def _language(code: str, name: str, family: str, script: str) -> Language:
    return Language(code, name, family, script, "rtl" if script in _RIGHT_TO_LEFT else "ltr")


def _read_table() -> tuple[dict[str, Language], dict[str, str]]:
    """The languages by code, and the code of every listed spelling in lower case."""
    languages, spellings = {}, {}
    lines = Path(__file__).with_name("languages.tsv").read_text(encoding="utf-8").splitlines()
    for line in lines[1:]:
        code, name, family, script, others = line.split("\t")
        languages[code] = _language(code, name, family, script)
        spellings.update({spelling.lower(): code for spelling in (code, *others.split())})
    return languages, spellings


LANGUAGES, _SPELLINGS = _read_table()
_SCRIPT_SPELLINGS = {spelling.lower(): code for code, name in SCRIPTS.items() for spelling in (code, name)}


def is_known(spelling: str) -> bool:
    """Whether a language is spelled so: one of the table, or a region or script variant of one."""
    return _resolve(spelling) is not None


def canonical(spelling: str) -> str:
    """The canonical code of a language, in whatever case and however spelled.

    Takes ISO 639-1, 639-2 and 639-3 codes, and the spellings of NLLB and FLORES+ (`deu_Latn`, `zho_Hant`), NTREX
    (`por-BR`), BCP 47 (`zh-Hant-HK`) and gettext (`sr@latin`). The script is dropped where it is the usual one.

    Raises:
        DirectionError: no language is spelled so; names the nearest.
    """
    code = _resolve(spelling)
    if code is None:
        raise DirectionError(_unknown(spelling))
    return code


_SAME = 2
"""The last of the ways to fit that leaves region and script as they are; see `fitting_languages`."""


def fitting_languages(spelling: str, among: Iterable[str]) -> tuple[int, list[str]]:
    """Which of some languages fit a spelling best, and how well.

    Args:
        spelling: in any form that `canonical` knows, or a code of one's own.
        among: the codes of a recipe, model or corpus, as they are written there.

    Returns:
        How they fit, and which: 0, the very same spelling; 1, the same but for case and for what joins the parts; 2,
        the same language (`deu_Latn` is `de`); 3, the same language without its region, in the same script (`en-US` is
        `en`, and `pt` is `pt_BR`). Simplified and traditional Chinese stay two languages. 4 and nothing where none
        fits.
    """
    known = list(among)
    ways: tuple[Callable[[str], object], ...] = (str, _plain, _resolve, _without_region)
    for rank, same in enumerate(ways):
        wanted = same(spelling)
        fitting = [one for one in known if wanted is not None and same(one) == wanted]
        if fitting:
            return rank, fitting
    return len(ways), []


def match_language(spelling: str, among: Iterable[str]) -> str | None:
    """Which of some languages a spelling means; None if none of them, or more than one (see `fitting_languages`)."""
    _, fitting = fitting_languages(spelling, among)
    return fitting[0] if len(fitting) == 1 else None


def choose_language(spelling: str, among: Iterable[str], whose: str = "there are") -> str:
    """As `match_language`, for what a user wrote.

    Args:
        spelling: in any form.
        among: the codes to choose from.
        whose: the words before the list of them in the message, such as `the model has`.

    Raises:
        DirectionError: none of them is meant, or more than one; lists them, the nearest first.
    """
    known = list(among)
    if not isinstance(spelling, str):
        raise DirectionError(f"a language is a str such as 'de' or 'pt_BR', not {type(spelling).__name__}")
    _, fitting = fitting_languages(spelling, known)
    if len(fitting) == 1:
        return fitting[0]
    what = f"may mean {' or '.join(fitting)}" if fitting else "is not among the languages"
    listed = ", ".join(_nearest_first(spelling, known)) or "none"
    raise DirectionError(f"language {spelling!r} {what}; {whose} {listed}")


def same_language(one: str, other: str) -> bool:
    """Whether two spellings mean the same language, region and script included."""
    return fitting_languages(one, [other])[0] <= _SAME


def best_tags(tags: Iterable[str], among: Iterable[str]) -> dict[str, list[str]]:
    """By language, the tags of a source (column names, file names, attributes) that name it best.

    Tags of the same language come first; only where there are none, those of it in another region. A tag that fits
    several of the languages equally well names none of them.

    Args:
        tags: as the source spells them.
        among: the codes of a recipe.
    """
    known = list(among)
    found: dict[str, tuple[int, list[str]]] = {}
    for tag in tags:
        rank, fitting = fitting_languages(tag, known)
        if len(fitting) != 1:
            continue
        rank = max(rank, _SAME)
        best, others = found.get(fitting[0], (rank, []))
        if rank <= best:
            found[fitting[0]] = rank, [tag] if rank < best else [*others, tag]
    return {code: spelled for code, (_, spelled) in found.items()}


def by_language(values: Mapping[str, Value], among: Iterable[str]) -> dict[str, Value]:
    """Values with their languages as `among` spells them; those of other languages stay.

    Raises:
        DirectionError: two keys are the same language.
    """
    found: dict[str, str] = {}
    for code, spelled in best_tags(values, among).items():
        if len(spelled) > 1:
            raise DirectionError(f"{spelled[0]!r} and {spelled[1]!r} are both {code!r}; keep one")
        found[spelled[0]] = code
    return {found.get(key, key): value for key, value in values.items()}


def base_language(spelling: str) -> str:
    """The code without region and script, as libraries that know languages alone take it: `pt` of `por_Latn_BR`.

    What no language is spelled like stays as it is, up to its first `_`.
    """
    return (_resolve(spelling) or spelling).split("_")[0]


def unknown_language(spelling: str) -> str:
    """What is wrong with a spelling that no language has, with the nearest one; empty for a language that is known."""
    return "" if is_known(spelling) else _unknown(spelling)


def iso_639_3(spelling: str) -> str:
    """The three letters of a language, without region and script: `deu` of `de`.

    Raises:
        DirectionError: as of `canonical`.
    """
    base = canonical(spelling).split("_")[0]
    return next((one for one, code in _SPELLINGS.items() if code == base and len(one) == 3 and one.isalpha()), base)


def script_of(spelling: str) -> str | None:
    """The ISO 15924 script of a language; None where it isn't known."""
    return get_language(spelling).script if is_known(spelling) else None


def _nearest_first(spelling: str, known: Iterable[str]) -> list[str]:
    """Codes by how near they are: variants of the same language first, then by likeness of code or name."""
    base, wanted = base_language(spelling), spelling.lower()

    def distance(code: str) -> tuple[bool, float, str]:
        likeness = (difflib.SequenceMatcher(None, wanted, word.lower()).ratio() for word in (code, name_of(code)))
        return base_language(code) != base, -max(likeness), code

    return sorted(known, key=distance)


def _without_region(spelling: str) -> tuple[str, str] | None:
    """The base language and the script."""
    code = _resolve(spelling)
    return None if code is None else (code.split("_")[0], get_language(code).script)


def get_language(spelling: str) -> Language:
    """The language of a code, in any spelling that `canonical` knows.

    Raises:
        DirectionError: no language is spelled so; names the nearest.
    """
    code = canonical(spelling)
    return LANGUAGES[code] if code in LANGUAGES else _variant(code)


def family_of(code: str) -> str:
    """The family of a language.

    Raises:
        DirectionError: as `get_language`.
    """
    return get_language(code).family


def name_of(code: str) -> str:
    """The English name of a language; the code itself if it isn't known."""
    return get_language(code).name if is_known(code) else code


def _plain(spelling: str) -> str:
    return spelling.lower().replace("-", "_").replace("@", "_")


@lru_cache(maxsize=4096)
def _resolve(spelling: str) -> str | None:
    """The canonical code of a spelling, or None."""
    key = _plain(spelling)
    if key in _SPELLINGS:
        return _SPELLINGS[key]
    first, *rest = key.split("_")
    base = _SPELLINGS.get(first)
    script = region = ""
    for part in rest:
        if part in _SCRIPT_SPELLINGS and not script:
            script = _SCRIPT_SPELLINGS[part]
        elif part.upper() in _REGIONS and not region:
            region = part.upper()
        else:
            return None
    if base is None:
        return None
    code = _listed(f"{base}_{region}") if region else base
    if not script or script == get_language(code).script:
        return code
    return f"{base}_{script}_{region}" if region else _listed(f"{base}_{script}")


def _listed(code: str) -> str:
    """The table's code for a variant that the table lists under another spelling (`zh_TW`), else `code`."""
    return _SPELLINGS.get(code.lower(), code)


def _variant(code: str) -> Language:
    """The language of a canonical code that isn't in the table: `es_BO`, `kk_Latn`, `sr_Latn_RS`."""
    first, *rest = code.split("_")
    base = LANGUAGES[first]
    script = rest[0] if rest[0] in SCRIPTS else base.script
    note = ", ".join(SCRIPTS.get(part, part) for part in rest)
    return _language(code, f"{base.name} ({note})", base.family, script)


def _unknown(spelling: str) -> str:
    """What is wrong with a spelling that no language has, and the nearest one by code or by name."""
    first, *rest = _plain(spelling).split("_")
    base = _SPELLINGS.get(first)
    if base is not None and rest:
        return (
            f"unknown language {spelling!r}: after {base!r} ({name_of(base)}), expected a region (ISO 3166-1, such as "
            f"BR) or a script (ISO 15924, such as Latn), not {spelling[len(first) + 1 :]!r}"
        )
    named = {language.name.lower(): code for code, language in LANGUAGES.items()}
    close = difflib.get_close_matches(spelling.lower(), [*named, *_SPELLINGS], n=1)
    code = (named | _SPELLINGS)[close[0]] if close else ""
    hint = f"did you mean {code!r} ({name_of(code)})?" if code else "expected an ISO 639 code such as 'de' or 'pt_BR'"
    return f"unknown language {spelling!r}: {hint}"
