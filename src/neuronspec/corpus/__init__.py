"""Text in: readers, cleaning, splits, the tokenizer and the memory-mapped token store."""
