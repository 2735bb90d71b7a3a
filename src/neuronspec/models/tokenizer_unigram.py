"""Unigram pieces in transformers' `MBart50Tokenizer`, the one stock class with a unigram model and language tags.

It comes with 52 language codes of its own (`en_XX`, ...), which stay unused. One trap: a folder saved after `src_lang`
was set to one of our tags can't be loaded again, because its constructor knows only its own codes. `keep_loadable`
takes the setting out of what is saved; tokenizers made or loaded by us have it. Who loads the folder with
`AutoTokenizer` and saves a copy sets `src_lang` back to `en_XX` before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_OWN_CODE = "en_XX"


def make_unigram(pieces: Sequence[tuple[str, float]], tags: Sequence[str]) -> Any:
    """A tokenizer of SentencePiece's unigram pieces and scores; ids as in `pieces`, then the tags."""
    from transformers import MBart50Tokenizer
    from transformers.models.mbart50.tokenization_mbart50 import FAIRSEQ_LANGUAGE_CODES

    # Special tokens are pieces too: too improbable to be found in a text that spells one out.
    never = 10 * min(score for _, score in pieces) - 10
    vocabulary = [(piece, score if index > 3 else never) for index, (piece, score) in enumerate(pieces)]
    # With one of its own codes among the pieces the class takes the vocabulary as it is.
    vocabulary.append((_OWN_CODE, never))
    tokenizer = MBart50Tokenizer(
        vocab=vocabulary,
        extra_special_tokens=[*tags, *(code for code in FAIRSEQ_LANGUAGE_CODES if code != _OWN_CODE)],
        bos_token="<s>",  # noqa: S106
        mask_token=None,
        split_special_tokens=True,
    )
    return keep_loadable(tokenizer, tags[0])


def keep_loadable(tokenizer: Any, source: str | None = None) -> Any:
    """Leave `src_lang` out of what a unigram tokenizer of ours saves, and set it; other tokenizers stay as they are."""
    if type(tokenizer).__name__ != "MBart50Tokenizer":
        return tokenizer
    ours = [str(token) for token in tokenizer.all_special_tokens if str(token).startswith("__")]
    if ours:
        tokenizer.src_lang = source or ours[0]
        tokenizer.init_kwargs.pop("src_lang", None)
    return tokenizer
