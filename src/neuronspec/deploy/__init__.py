"""Models as they are used: compact and CTranslate2 folders, and translating with them."""

from neuronspec.deploy.translator import Translator

__all__ = ["Translator"]
