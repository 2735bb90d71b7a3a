"""Models: the presets, loading, tokenizers, the text that a model reads, and where its feed-forward neurons are."""
