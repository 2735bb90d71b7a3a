"""Files that are translated: plain text, tables, and the formats of translators."""
