"""Distances between languages from URIEL (Littell et al., 2017), read from the data that the package lang2vec ships.

The package's own module can't be imported beside a recent setuptools (it needs `pkg_resources`), and its ready-made
distances are a download. Its feature tables are in the package; the distances below are computed from them:

- genetic: 1 - cosine of the languages' branches in Glottolog's tree (`F_Germanic`, ...);
- geographic: great-circle distance between the languages' places, as a share of half the equator. The tables hold
  distances to 299 fixed points; the place is found from these by least squares;
- syntactic: 1 - cosine of the syntactic features (`S_SVO`, ...), gaps filled by the nearest neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neuronspec.core.errors import DirectionError, MissingExtraError
from neuronspec.core.json_files import read_json
from neuronspec.core.languages import base_language

KINDS = ("genetic", "geographic", "syntactic")
# Macrolanguages and their standard languages: URIEL has the branches of one or the other.
_TWINS = ("ara arb", "lav lvs", "sqi als", "est ekk", "msa zsm", "swa swh", "fas pes", "zho cmn", "nor nob",
          "mlg plt", "uzb uzn", "aze azj", "mon khk", "nep npi", "ori ory", "yid ydd", "kur kmr", "orm gaz",
          "grn gug")  # fmt: skip


def available() -> bool:
    """Whether lang2vec is installed, with its tables."""
    return _found() is not None


def uriel_distances(languages: Sequence[str]) -> dict[str, np.ndarray]:
    """Distances between languages by kind (`genetic`, `geographic`, `syntactic`): `[languages, languages]` in [0, 1].

    Args:
        languages: codes as neuronspec writes them (`de`, `pt_BR`); a variant is where its base language is.

    Raises:
        DirectionError: URIEL doesn't have a language; `known_languages` lists those it has.
        MissingExtraError: lang2vec isn't installed.
    """
    unknown = [code for code in languages if _iso(code) is None]
    if unknown:
        raise DirectionError(f"URIEL has no language {', '.join(unknown)}; leave it out of the comparison")
    codes = [str(_iso(code)) for code in languages]
    places = _places(_rows("geocoord_features.npz", codes), _names("geocoord_features.npz"))
    return {
        "genetic": _cosine_distance(_rows("family_features.npz", codes)),
        "geographic": _rounded(np.arccos(np.clip(places @ places.T, -1, 1)) / np.pi),
        "syntactic": _cosine_distance(_rows("feature_predictions.npz", codes)[:, _syntax()]),
    }


def known_languages(languages: Sequence[str]) -> list[str]:
    """Those of `languages` that URIEL has, in their order.

    Raises:
        MissingExtraError: lang2vec isn't installed.
    """
    return [code for code in languages if _iso(code) is not None]


def _cosine_distance(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return _rounded(np.clip(1 - unit @ unit.T, 0, 1))


def _rounded(distances: np.ndarray) -> np.ndarray:
    """Without the noise of the last digits: equal languages have distance 0."""
    distances = np.round((distances + distances.T) / 2, 6)
    np.fill_diagonal(distances, 0)
    return distances


def _places(shares: np.ndarray, names: list[str]) -> np.ndarray:
    """Compute unit vectors `[languages, 3]` from distances to the fixed points (`GC_LATITUDE_LONGITUDE`).

    Distances are shares of half the equator; the cosine of the angle to each point is the product of the two vectors.
    """
    angles = np.radians([[float(number) for number in name.split("_")[1:]] for name in names])
    points = np.stack(
        [
            np.cos(angles[:, 0]) * np.cos(angles[:, 1]),
            np.cos(angles[:, 0]) * np.sin(angles[:, 1]),
            np.sin(angles[:, 0]),
        ],
        axis=1,
    )
    found = np.linalg.lstsq(points, np.cos(np.pi * shares).T, rcond=None)[0].T
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _iso(code: str) -> str | None:
    """Find the ISO 639-3 code by which URIEL knows a language, or the base of a variant, with the most branches.

    None where URIEL doesn't have it.
    """
    base = base_language(code)
    long = _letter_codes().get(base, base)
    twins = next((pair.split() for pair in _TWINS if long in pair.split()), [long])
    index, branches = _index("family_features.npz"), _branches()
    known = [candidate for candidate in dict.fromkeys([long, *twins]) if candidate in index]
    return max(known, key=lambda candidate: branches[index[candidate]]) if known else None


@lru_cache(maxsize=1)
def _branches() -> np.ndarray:
    """How many branches of the tree each language has: `[languages]`."""
    return (_table("family_features.npz")["data"][:, :, 0] == 1).sum(1)


def _rows(name: str, codes: Sequence[str]) -> np.ndarray:
    """The features of some languages: `[languages, features]`; unknown values (-1) are 0."""
    index = _index(name)
    values = _table(name)["data"][[index[code] for code in codes], :, 0].astype(np.float64)
    return np.clip(values, 0, None)


def _syntax() -> np.ndarray:
    return np.array([feature.startswith("S_") for feature in _names("feature_predictions.npz")])


def _names(name: str) -> list[str]:
    return [str(feature) for feature in _table(name)["feats"]]


@lru_cache(maxsize=8)
def _index(name: str) -> Mapping[str, int]:
    return {str(code): row for row, code in enumerate(_table(name)["langs"])}


@lru_cache(maxsize=8)
def _table(name: str) -> Mapping[str, Any]:
    path = _folder() / name
    with np.load(path, allow_pickle=False) as file:
        return {part: file[part] for part in ("data", "feats", "langs")}


@lru_cache(maxsize=1)
def _letter_codes() -> dict[str, str]:
    return read_json(_folder() / "letter_codes.json", dict[str, str], "install lang2vec again")


def _folder() -> Path:
    folder = _found()
    if folder is None:
        raise MissingExtraError("lang2vec", "linguistics", "comparing with URIEL distances")
    return folder


def _found() -> Path | None:
    """Find the tables of the installed package.

    Not by import name: its wheel also puts a script `lang2vec.py` beside Python, which a command that is started there
    would find first.
    """
    try:
        folder = Path(str(metadata.distribution("lang2vec").locate_file("lang2vec/data")))
    except metadata.PackageNotFoundError:
        return None
    return folder if (folder / "letter_codes.json").is_file() else None
