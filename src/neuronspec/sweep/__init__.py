"""Sweeps: arms x seeds x settings over one corpus and baseline, what is shared computed once, one table."""

from neuronspec.sweep.settings import Cell, Sweep

__all__ = ["Cell", "Sweep"]
