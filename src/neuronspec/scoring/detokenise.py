"""The paper's text: Moses tokenisation, then detokenisation, which leaves traces such as `9: 30` and `HIV / AIDS`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata

from neuronspec.core.errors import MissingExtraError
from neuronspec.core.languages import base_language


def detokenised(lines: Sequence[str], language: str) -> list[str]:
    """Each line tokenised and detokenised again by the rules of `language` (sacremoses).

    Text that went through it before stays as it is, but for rare fractions and tags.

    Raises:
        MissingExtraError: sacremoses isn't installed.
    """
    try:
        from sacremoses import MosesDetokenizer, MosesTokenizer
    except ImportError:
        raise MissingExtraError("sacremoses", "moses", "scoring detokenised text") from None
    base = base_language(language)
    tokenizer, detokenizer = MosesTokenizer(base), MosesDetokenizer(base)
    return [detokenizer.detokenize(tokenizer.tokenize(line, escape=False)) for line in lines]


def signature() -> str:
    """What is added to the signatures of scores of such text."""
    return f"moses:sacremoses-{metadata.version('sacremoses')}"
