"""A recipe as an arm may read it: what the arm declares, and what the stages that it needs depend on.

The fingerprint of an arm covers what it declares in `needs` and `sections`. An arm that read anything else would be
taken for up to date after that changed; reading it is an error instead.
"""

from __future__ import annotations

import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from neuronspec.core.settings import Section

if TYPE_CHECKING:
    from neuronspec.arms.arm import Arm
    from neuronspec.recipe import Recipe

SHARED = ("seed", "tracking")
"""What every arm may read: part of all fingerprints, or without influence on the outcome."""

STAGES = {
    "prepare": ("corpus", "tokenizer", "evaluation.zero_shot"),
    "train": ("model", "training"),
    "record": ("recording",),
    "select": ("selection", "corpus.families"),
}
"""The stages that an arm may need, each of which needs the one before, and the sections in their fingerprints."""

NOT_IMPLIED = ("corpus.families",)
"""What isn't covered by its section's name, since the stage `prepare` doesn't depend on it."""


class UndeclaredSectionError(RuntimeError):
    """An arm reads a part of the recipe that it doesn't declare: a mistake in the arm, not in the recipe."""


def declared(recipe: Recipe, arm: Arm) -> Recipe:
    """The recipe, restricted to what an arm declares.

    Args:
        recipe: of the run.
        arm: whose `needs` and `sections` count.

    Returns:
        What reads like the recipe. Sections that are declared whole are the recipe's own; reading anything that isn't
        declared raises `UndeclaredSectionError`.
    """
    stages = list(STAGES)
    reached = max((stages.index(need) for need in arm.needed(recipe) if need in STAGES), default=0)
    implied = [section for stage in stages[: reached + 1] for section in STAGES[stage]]
    return cast("Recipe", _Part(recipe, "", type(arm).__name__, frozenset({*SHARED, *implied, *arm.read})))


class _Part:
    """A section of which not everything may be read."""

    def __init__(self, section: Section, path: str, arm: str, allowed: frozenset[str]) -> None:
        self._section, self._path, self._arm, self._allowed = section, path, arm, allowed

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        kind = type(self._section)
        if name not in kind.model_fields:
            return self._derived(inspect.getattr_static(kind, name), name)
        path, value = self._inside(name), getattr(self._section, name)
        if self._is_whole(path):
            return value
        holds_some = any(self._covers(path, one) for one in self._allowed)
        if isinstance(value, Section) and (holds_some or self._is_implied(path)):
            return _Part(value, path, self._arm, self._allowed)
        raise self._refused(path)

    def _inside(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    @staticmethod
    def _covers(path: str, other: str) -> bool:
        return other.startswith(f"{path}.")

    def _is_implied(self, path: str) -> bool:
        """Whether the path or a section around it is allowed."""
        parts = path.split(".")
        return any(".".join(parts[:length]) in self._allowed for length in range(1, len(parts) + 1))

    def _is_whole(self, path: str) -> bool:
        """Whether everything at the path may be read."""
        withheld = [one for one in NOT_IMPLIED if one not in self._allowed]
        return self._is_implied(path) and not any(one == path or self._covers(path, one) for one in withheld)

    def _derived(self, attribute: Any, name: str) -> Any:
        """A property or method of the section, computed from what may be read."""
        if isinstance(attribute, property) and attribute.fget is not None:
            return attribute.fget(self)
        if inspect.isfunction(attribute) and not attribute.__module__.startswith("pydantic"):
            return MethodType(attribute, self)
        raise self._refused(self._inside(name))

    def _refused(self, path: str) -> UndeclaredSectionError:
        return UndeclaredSectionError(
            f"the arm {self._arm} reads {path} of the recipe without declaring it: add it, or its section, to "
            f"{self._arm}.sections, which decide when the arm has to be trained again"
        )
