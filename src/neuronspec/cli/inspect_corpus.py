"""The part of the command `inspect` about prepared text."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def corpus_facts(path: Path) -> dict[str, Any]:
    """What a `corpus.json` holds, as plain JSON values."""
    from neuronspec.corpus.counts import read_corpus_report

    report = read_corpus_report(path)
    kept = {
        split: {pair: counts["kept"] for pair, counts in pairs.items()} for split, pairs in report["splits"].items()
    }
    facts = {"reader": report["reader"], "languages": report["languages"], "rows": report["rows"], "kept": kept}
    sources = {}
    for source in report.get("sources", []):
        settings = source["settings"]
        name = f"{source['split']}[{source['place']}] {settings['reader']} {settings.get('path', '')}".strip()
        epoch = {
            pair: f"{held['pairs']:,} pairs, each drawn {held['drawn']:.2g} times"
            for pair, held in source.get("epoch", {}).items()
        }
        sources[name] = {"rows": source["rows"], "used": source["used"]} | ({"an epoch": epoch} if epoch else {})
    return facts | ({"sources": sources} if len(sources) > 1 else {})
