"""User interface messages: placeholders, tags, accelerators, and English text kept in comments."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

# Python and C formats (%(name)s, %s, %1$d), templates (${name}, $name, {{ name }}, {% tag %}), braces ({0}, {name:>8}).
_FORMAT = r"""%\([^()]*\)[#0+\- ]*(?:\d+|\*)?(?:\.\d+)?[a-zA-Z]
      | (?<![%\d])%(?:\d+\$)?[#0+\-]*(?:\d+|\*)?(?:\.\d+)?(?:hh|h|ll|l|L|z|j|t)?[diouxXeEfFgGcrsaAp@](?![A-Za-z])
      | \$\{[^{}]*\}
      | \{\{[^{}]*\}\} | \{%[^{}]*%\}
      | \{(?!\$)[!-z|~]*\} | \{[A-Za-z0-9_.\[\]]*(?:![rsa])?:[^{}]*\}
      | \$[A-Za-z_]\w*"""
# What may be one, for those who must not lose any: further kinds (%{name} of Ruby, %1 and %L1 of Qt, %NAME%, :name and
# @name of PHP, {n, number} of ICU), %% and a lone %, anything in braces, tags as written, entities. In `50% off`, the
# percent sign alone is one, not `% o`.
_MAYBE = r"""%\{[^{}]*\}
      | %[A-Z][A-Z0-9_]+%
      | %[#0\-+]*(?:\d+\$)?(?:\d+|\*)?(?:\.\d+)?(?:hh|h|ll|l|L|z|j|t)?[diouxXeEfFgGcrsaAp%@]
      | %[#0\-+]*[ ][#0\-+ ]*\d*[di](?![^\W\d_])
      | %L?(?:[1-9]\d?|n(?![A-Za-z])) | %
      | \{[^{}\s]*\} | \{\s*\w+\s*,[^{}]*\}
      | (?<![A-Za-z0-9_:/]):[a-z_][A-Za-z0-9_]* | (?<![A-Za-z0-9_@.])@[A-Za-z_][A-Za-z0-9_]*
      | </?[A-Za-z][^<>]*>
      | &(?:[A-Za-z]+|\#\d+|\#x[0-9A-Fa-f]+);"""
_PLACEHOLDER = re.compile(_FORMAT, re.VERBOSE)
# keys of other messages, of i18next and of Vue
_LINKED = r"\$t\([^()]*\) | @(?:\.\w+)?:\w+(?:[.-]\w+)*"
_VERBATIM = re.compile(f"{_LINKED} | {_FORMAT} | {_MAYBE}", re.VERBOSE)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:_-]*)(?:\s[^<>]*)?/?>")
# `&` before a letter marks the accelerator of Qt and Windows, `_` that of GTK; `&copy;`, `R&D` and `"_blank"` are none.
_ACCELERATORS = {
    "&": re.compile(r"(?:(?<![^\s(])&(?=\w)|(?<=[^\W\d_])&(?=[a-z]))(?!\w+;)"),
    "_": re.compile(r"(?<![^\s(])_(?=[^\W_])(?!\w*_)"),
}
_LABEL_WORDS = 6
_ICU = re.compile(r"\{\s*\w+\s*,\s*(?:plural|select|selectordinal|choice)\s*,")
_KEY = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+")
_QUOTED = re.compile(r'"(.*)"\s*')


def placeholders(text: str) -> Counter[str]:
    """How often each placeholder occurs in a message, as written: `%(name)s`, `%d`, `${name}`, `{0}`, `$name`."""
    return Counter(match.group() for match in _PLACEHOLDER.finditer(text))


def verbatim(text: str) -> Counter[str]:
    """How often everything occurs that a translation must keep as it is: placeholders, percent signs, tags, entities.

    docs/deploy.md has a table of them.

    More than `placeholders` finds, as a translation that loses one breaks a program, and one that is refused is only
    left to a person.
    """
    return Counter(match.group() for match in _VERBATIM.finditer(text))


def is_icu(text: str) -> bool:
    """Whether a message has forms to choose from, as ICU and Java write them.

    Examples:
        >>> is_icu("{n, plural, one {# file} other {# files}}"), is_icu("{0,choice,0#no|1#one}"), is_icu("{0}")
        (True, True, False)
    """
    return _ICU.search(text) is not None


def tags(text: str) -> Counter[str]:
    """How often each HTML tag occurs in a message, by name (`a`, `/a`); attributes may be translated."""
    return Counter(match.group(1) + match.group(2).lower() for match in _TAG.finditer(text))


def without_markup(text: str) -> str:
    """The text with a space for every placeholder and tag."""
    return _TAG.sub(" ", _PLACEHOLDER.sub(" ", text))


def same_markup(first: str, second: str) -> bool:
    """Whether two messages have the same placeholders and tags, each equally often, in any order."""
    return placeholders(first) == placeholders(second) and tags(first) == tags(second)


def looks_like_key(message: str) -> bool:
    """Whether a msgid is a key such as `label_save_changes`, not English text."""
    return _KEY.fullmatch(message) is not None


def default_text(comment: str) -> str | None:
    """The text of the `Default: "..."` part of an extracted comment (zope.i18n, lingua), or None.

    The text may span several lines, with quotes around the whole or around each line; other comments may precede
    and follow it.
    """
    lines = iter(comment.split("\n"))
    for line in lines:
        if line.lstrip().startswith("Default:"):
            first = line.lstrip().removeprefix("Default:").strip()
            break
    else:
        return None
    if not first.startswith('"'):
        return first or None
    parts = [first]
    while not _is_closed(parts):
        following = next(lines, None)
        if following is None:
            break
        parts[-1] += "\n" + following
    for line in lines:
        if not _QUOTED.fullmatch(line.strip()):
            break
        parts.append(line.strip())
    text = "\n".join(_unescape(part.strip().removeprefix('"').removesuffix('"')) for part in parts)
    return text if text.strip() else None


def _is_closed(parts: list[str]) -> bool:
    return len(parts[0]) > 1 and parts[0].rstrip().endswith('"') and not parts[0].rstrip().endswith('\\"')


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t"}.get(match[1], match[1]), text)


def accelerator(message: str) -> int | None:
    """Where the accelerator mark of a label is; None where a message is no label, or has none or several.

    A label is one line of a few words without tags that begins with an upper-case letter. Before a lower-case one, `_`
    is none, as it begins names in programs.

    Examples:
        >>> accelerator("Save &as..."), accelerator("_File"), accelerator("AT&T"), accelerator("Use _id")
        (5, 0, None, None)
    """
    first = next(filter(str.isalpha, message), "")
    if not first.isupper() or "\n" in message or len(message.split()) > _LABEL_WORDS or tags(message):
        return None
    found = [match.start() for pattern in _ACCELERATORS.values() for match in pattern.finditer(message)]
    if len(found) != 1 or found[0] in placeholder_places(message):
        return None
    return None if message[found[0]] == "_" and not message[found[0] + 1].isupper() else found[0]


def placeholder_places(text: str) -> set[int]:
    """The places of the characters that a translation must keep; see `verbatim`."""
    return {place for match in _VERBATIM.finditer(text) for place in range(*match.span())}


def strip_accelerators(source: str, translations: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Take the accelerator mark out of a message and its translations: `&File` and `_File` become `File`.

    Only where it is unambiguous: the source has no tags and exactly one mark of a kind, and so has a translation that
    reads otherwise. Appended accelerators (`文件(&F)`) go as a whole.

    Returns:
        The source and the translations whose text changed, by language (empty if there is no accelerator).
    """
    for mark, pattern in _ACCELERATORS.items():
        if len(pattern.findall(source)) != 1 or tags(source):
            continue
        marked = {
            code: _strip_mark(text, mark, pattern)
            for code, text in translations.items()
            if len(pattern.findall(text)) == 1
        }
        if any(translations[code] != source for code in marked):
            return _strip_mark(source, mark, pattern), marked
    return source, {}


def _strip_mark(text: str, mark: str, pattern: re.Pattern[str]) -> str:
    text = re.sub(rf"\s*\({re.escape(mark)}[A-Za-z0-9]\)", "", text)
    return pattern.sub("", text)
