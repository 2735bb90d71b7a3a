"""The translation server: LibreTranslate's interface, and a page."""
