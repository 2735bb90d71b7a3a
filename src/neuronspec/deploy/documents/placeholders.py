"""What a translation must keep as it is: format placeholders, tags, entities."""

from __future__ import annotations

import re
from collections import Counter

_PATTERNS = (
    r"%\([^)]*\)[#0\- +]*(?:\d+|\*)?(?:\.\d+)?[a-zA-Z]",  # %(name)s
    r"%[#0\- +]*(?:\d+\$)?(?:\d+|\*)?(?:\.\d+)?(?:hh|h|ll|l|L|z|j|t)?[diouxXeEfFgGcrsaAp%@]",  # %s, %5.2f, %%
    r"%",
    r"\$\{[^{}]*\}",  # ${name}
    r"\{\{[^{}]*\}\}|\{%[^{}]*%\}",  # {{ name }}, {% tag %}
    r"\{[^{}\s]*\}",  # {name}, {0:.2f}
    r"</?[A-Za-z][^<>]*>",  # <strong>
    r"&(?:[A-Za-z]+|#\d+|#x[0-9A-Fa-f]+);",  # &nbsp;
)
PLACEHOLDER = re.compile("|".join(_PATTERNS))


def placeholders(text: str) -> Counter[str]:
    """The placeholders of a text and how often each stands in it."""
    return Counter(PLACEHOLDER.findall(text))


def kept(source: str, translation: str) -> bool:
    """Whether a translation has exactly the placeholders of its source, in any order."""
    return placeholders(source) == placeholders(translation)


def lost(source: str, translation: str) -> str:
    """What differs, for messages: `without %(name)s; with an extra <b>`."""
    before, after = placeholders(source), placeholders(translation)
    parts = [
        f"{word} {', '.join(sorted(difference))}"
        for word, difference in (("without", before - after), ("with an extra", after - before))
        if difference
    ]
    return "; ".join(parts)
