"""Translating test sets, scores of all arms, tables."""
