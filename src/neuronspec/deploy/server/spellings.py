"""How the languages of a server are spelled outside: with hyphens, as LibreTranslate and BCP 47 do."""

from __future__ import annotations

from neuronspec.core.errors import DirectionError
from neuronspec.core.languages import canonical, choose_language, is_known
from neuronspec.deploy.server.schemas import Refused

ALIASES = {"pb": "pt_BR", "zt": "zh_Hant"}
"""Codes that LibreTranslate has for languages that have others everywhere else."""


class Spellings:
    """The languages of a server, as the model and as clients spell them.

    Args:
        codes: the model's.
    """

    def __init__(self, codes: list[str]) -> None:
        self.codes = codes
        shown = {code: (canonical(code) if is_known(code) else code).replace("_", "-") for code in codes}
        unique = len(set(shown.values())) == len(codes)
        self._shown = shown if unique else {code: code.replace("_", "-") for code in codes}

    def shown(self, code: str) -> str:
        """A code of the model as clients get it: `pt-BR` of `pt_BR`, `de` of `deu_Latn`."""
        return self._shown[code]

    def resolve(self, spelling: str) -> str:
        """The model's code of a language in any spelling (`pt-BR`, `deu_Latn`, `pb`).

        Raises:
            Refused: the model doesn't have it, or it may mean several.
        """
        try:
            return choose_language(ALIASES.get(spelling.lower(), spelling), self.codes, "this server has")
        except DirectionError as error:
            raise Refused(400, str(error).replace(repr(ALIASES.get(spelling.lower())), repr(spelling))) from None
