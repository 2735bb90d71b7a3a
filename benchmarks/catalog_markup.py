"""Messages with HTML in them: how many are translated with all their tags.

    python benchmarks/catalog_markup.py EXPORTED

The messages of Django's and Plone's German catalogs that have HTML in them, and the English texts that Plone's catalogs
give for their keys, are translated by exported models, out of English. Counted are those that come out with every tag,
placeholder and entity: if the tags are put around the words that they belong to, as in catalogs, and if the model is
given the tags with the text.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
from pathlib import Path
from typing import Any

import polib

import neuronspec as ns
from machine import write_result
from neuronspec.core.direction import Direction
from neuronspec.corpus.readers.messages import default_text
from neuronspec.deploy.documents.checks import kept
from neuronspec.deploy.documents.messages import translate_messages

PACKAGES, PIVOT = ("django", "plone.app.locales"), "en"
_TAG = re.compile(r"</[A-Za-z][A-Za-z0-9-]*\s*>|<(?:br|hr|img)\b[^<>]*>")


def messages() -> list[str]:
    """The English messages with HTML, each once, sorted."""
    found: set[str] = set()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations, f"{package} is not installed"
        for path in Path(spec.submodule_search_locations[0]).rglob("de/LC_MESSAGES/*.po"):
            for entry in polib.pofile(str(path)):
                texts = () if entry.obsolete else (entry.msgid, default_text(entry.comment or "") or "")
                found.update(text for text in texts if _TAG.search(text))
    return sorted(found)


def measure(translator: ns.Translator, direction: Direction, texts: list[str]) -> dict[str, Any]:
    """How many come out with all that they must keep."""
    around = translate_messages(translator, direction, texts)
    assert all(kept(text, found) for text, (found, problem) in zip(texts, around, strict=True) if not problem)
    as_text = translator(texts, str(direction))
    return {
        "tags around words": sum(not problem for _, problem in around),
        "tags as text": sum(map(kept, texts, as_text)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", type=Path)
    options = parser.parse_args()
    translator, texts = ns.Translator(options.exported), messages()
    directions = [each for each in map(Direction.parse, translator.directions) if each.source == PIVOT]
    found = {str(each): measure(translator, each, texts) for each in directions}
    totals = {way: sum(each[way] for each in found.values()) for way in ("tags around words", "tags as text")}
    counts = {"messages": len(texts), "directions": len(directions)}
    write_result("catalog_markup", {**counts, "translated": totals, "by direction": found})


if __name__ == "__main__":
    main()
