"""Semantics: one file for each thing that masks can do to an FFN block."""
