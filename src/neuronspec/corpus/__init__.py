"""From text to the token store."""
