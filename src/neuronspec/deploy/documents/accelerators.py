"""Accelerators of labels (`_File` of GTK, `&File` of Qt and Windows): a label is translated without, as in training."""

from __future__ import annotations

import re
from dataclasses import dataclass

from neuronspec.corpus.readers.messages import accelerator, placeholder_places

# the first letters of words; a word after an apostrophe begins none
_WORD_START = re.compile(r"(?<![\w'’])[^\W\d_]")
# scripts in which an accelerator is a Latin letter after the label
_APPENDED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_END = re.compile(r"\s*(?:\.\.\.|…|:|：)?\s*$")


@dataclass(frozen=True, slots=True)
class Label:
    """A label with an accelerator.

    Args:
        text: without the mark.
        mark: `_` or `&`.
        letter: that is marked.
    """

    text: str
    mark: str
    letter: str

    @classmethod
    def of(cls, message: str) -> Label | None:
        """The label that a message is; None where it is none."""
        place = accelerator(message)
        if place is None:
            return None
        return cls(message[:place] + message[place + 1 :], message[place], message[place + 1])

    def marked(self, translation: str) -> str | None:
        """A translation of the text with the mark; None where none can be put.

        It goes to a word that begins with the same letter, else to the first word; in Chinese, Japanese, Korean, Thai
        and the like the letter follows in parentheses.

        Examples:
            >>> label = Label.of("Save &As...")
            >>> label.text, label.marked("Sichern als..."), label.marked("名前を付けて保存...")
            ('Save As...', 'Sichern &als...', '名前を付けて保存(&A)...')
        """
        if self.mark in translation:
            return None
        if _APPENDED.search(translation):
            end = _END.search(translation)
            assert end is not None, "every text has an end"
            return f"{translation[: end.start()]}({self.mark}{self.letter.upper()}){end[0]}"
        inside = placeholder_places(translation)
        starts = [match for match in _WORD_START.finditer(translation) if match.start() not in inside]
        same = [match for match in starts if match[0].casefold() == self.letter.casefold()]
        if not starts:
            return None
        place = (same or starts)[0].start()
        return f"{translation[:place]}{self.mark}{translation[place:]}"
