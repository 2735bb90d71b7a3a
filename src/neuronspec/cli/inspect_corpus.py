"""The part of the command `inspect` about prepared text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neuronspec.cli.output import console
from neuronspec.core.checksums import verify
from neuronspec.core.errors import PathError
from neuronspec.core.run_folder import RunFolder


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


def dropped_facts(path: Path) -> dict[str, Any]:
    """Some of what each rule dropped, by rule and by language or pair, as plain JSON values.

    Raises:
        PathError: there is no prepared text, or it was prepared before version 0.2.
        RunError: the file is damaged.
    """
    from neuronspec.corpus.dropped import DROPPED, read_dropped

    folder = RunFolder(path).data if RunFolder(path).exists else path
    file = folder / DROPPED
    if not file.exists():
        raise PathError(
            f"{file}: no such file; --dropped takes a run folder or its data folder, prepared by this version"
        )
    verify(file)
    found = {
        rule: {name: [_line(example) for example in examples] for name, examples in by_name.items()}
        for rule, by_name in read_dropped(file).items()
    }
    return {"kind": "dropped text", "path": str(file), "rules": found}


def show_dropped(facts: Mapping[str, Any]) -> None:
    """Print what `dropped_facts` found, one text per line."""
    out = console()
    out.print(facts["path"])
    found = [
        (rule, name, lines) for rule, by_name in facts["rules"].items() for name, lines in by_name.items() if lines
    ]
    for rule, name, lines in found:
        out.print(f"{rule}, {name}:")
        for line in lines:
            out.print(f"  {line}")
    if not found:
        out.print("no rule dropped any text")


def _line(example: dict[str, str]) -> str:
    origin = example.get("origin")
    texts = " | ".join(text for name, text in example.items() if name != "origin")
    return f"{origin}: {texts}" if origin else texts
