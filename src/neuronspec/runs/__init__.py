"""The stages of a recipe in a run folder."""
