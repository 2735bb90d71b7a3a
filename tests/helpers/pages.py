"""The commands and code that pages of the documentation tell a reader to run, and the programs that make pages."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

SHELLS = ("", "sh", "bash")
PROGRAMS = ("curl", "docker", "echo", "git", "hf", "make", "neuronspec", "pip", "python", "python3", "torchrun")
"""What a command of a block without a language starts with; other lines of it are text."""

BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Args:
        kind: its language; empty where none is said.
        text: what is in it.
        not_run: why no test runs it, if none does.
    """

    kind: str
    text: str
    not_run: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The commands of a shell block, each as its words; pipes and redirections end one."""
        if self.kind not in SHELLS:
            return []
        found = []
        for line in self.text.replace("\\\n", " ").splitlines():
            if re.match(r"\s*(#|head=)", line) or (not self.kind and not line.startswith(PROGRAMS)):
                continue
            words = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
            words.whitespace_split = True
            command: list[str] = []
            for word in [*words, "|"]:
                if set(word) <= set("|;&<>"):
                    found += [command] if command else []
                    command = []
                else:
                    command.append(word)
        return found


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in their order."""
    text = page.read_text(encoding="utf-8")
    return [Block(found["kind"], found["text"], found["why"]) for found in BLOCK.finditer(text)]


def own_arguments(command: list[str]) -> list[str] | None:
    """What a command hands to `neuronspec`, also by way of `-m`; none if it is another program's."""
    for place, word in enumerate(command):
        if word == "neuronspec" and (place == 0 or command[place - 1] == "-m"):
            return [argument for argument in command[place + 1 :] if not argument.startswith("$")]
    return None


def tool(name: str) -> ModuleType:
    """A program of `tools/docs`, which makes a page."""
    folder = str(Path(__file__).parents[2] / "tools" / "docs")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)
