"""Files that are translated: plain text, tables, and the formats of translators."""

from neuronspec.deploy.documents.kinds import KINDS, Options, translate_document

__all__ = ["KINDS", "Options", "translate_document"]
