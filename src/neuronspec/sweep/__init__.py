"""Sweeps: arms x seeds x settings over one corpus and baseline, what is shared computed once, one table."""
