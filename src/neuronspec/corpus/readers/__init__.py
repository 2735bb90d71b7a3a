"""Readers of text, one file for each format."""
