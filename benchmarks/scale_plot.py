"""The picture of `scale.py`: cost against the size of the corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "scale.svg"


def plot(sizes: dict[str, Any], path: Path = PICTURE) -> None:
    """Draw seconds and peak memory of each step, and prepare's rate over the bare tokenizer's, against pairs."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "scale", "svg.fonttype": "none", "font.size": 9, "axes.grid": True}
    from matplotlib import pyplot

    pairs = [size["pairs"] for size in sizes.values()]

    def values(*keys: str) -> list[float]:
        found = list(sizes.values())
        for key in keys:
            found = [one[key] for one in found]
        return found

    figure, (time, memory, rate) = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    time.set(title="seconds", xscale="log", yscale="log", xlabel="sentence pairs")
    labels = {"reading": "read, clean, split", "tokenizer": "train the tokenizer", "tokenizing": "tokenize and filter"}
    for name, label in labels.items():
        time.plot(pairs, values("prepare", "seconds", name), marker="o", label=label)
    time.plot(pairs, values("plan", "planning seconds"), marker="o", label="plan an epoch, both directions")
    time.plot(pairs, values("plan", "opening seconds"), marker="o", label="open the store")
    memory.set(title="peak resident memory, MB", xscale="log", xlabel="sentence pairs", ylim=(0, 1600))
    memory.plot(pairs, values("prepare", "peak memory of all processes MB"), marker="o", label="prepare, all processes")
    memory.plot(pairs, values("plan", "peak memory MB", "after planning"), marker="o", label="plan an epoch")
    memory.axhline(1500, color="grey", linestyle="--", label="goal")
    rate.set(title="prepare / bare tokenizer", xscale="log", xlabel="sentence pairs")
    rate.plot(pairs, values("ratio"), marker="o", label="both passes over the text")
    rate.plot(pairs, values("ratio with everything"), marker="o", label="with imports and the tokenizer's training")
    rate.axhline(0.7, color="grey", linestyle="--", label="goal")
    rate.set_ylim(bottom=0)
    for panel in (time, memory, rate):
        panel.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
