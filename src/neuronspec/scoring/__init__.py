"""Scores of translations, and whether their differences are more than chance."""
