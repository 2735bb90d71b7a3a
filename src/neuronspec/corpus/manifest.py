"""What `DATA/tokens/manifest.json` holds."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from neuronspec.core.checksums import FileName


class StoredPair(TypedDict):
    """A file of the store: its name, its number of pairs, its SHA-256, and its pairs by source, in their order."""

    file: FileName
    pairs: Annotated[int, Field(ge=0)]
    sha256: str
    sources: NotRequired[list[Annotated[int, Field(ge=0)]]]


class StoredSource(TypedDict):
    """A source of the training text: the directions that are trained on it, and its weight if sources have any."""

    directions: list[str]
    weight: float | None


class StoreManifest(TypedDict):
    """`manifest.json`: `splits` has the files by split and pair of languages, `tiers` the languages of each tier.

    `references` says how the references of the test are kept; version 0.1, which cleaned them, didn't say it.
    """

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    format: str
    ids: int
    tokenizer_sha256: str
    directions: list[str]
    tiers: dict[str, list[str]]
    splits: dict[str, dict[str, StoredPair]]
    references: NotRequired[Literal["as read"]]
    sources: NotRequired[list[StoredSource]]
