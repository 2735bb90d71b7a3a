"""CTranslate2's `model.bin` in numpy: reading it, cutting feed-forward neurons out of it, writing it.

The format (version 6): format version, name and revision of the specification; then the variables with name, shape,
type and bytes; then aliases, names of variables whose content is another's.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

from neuronspec.core.errors import ModelError

VERSION = 6
_TYPES = (np.float32, np.int8, np.int16, np.int32, np.float16, np.uint16)
"""By CTranslate2's number; the last one stands for the bits of bfloat16, which numpy doesn't have."""
_UNSUPPORTED = "the model.bin is of a version of CTranslate2 that this version can't cut; export the bundle again"


@dataclass(slots=True)
class ModelFile:
    """The content of a `model.bin`.

    Args:
        name, revision: of the specification.
        variables: arrays by name; views into the file's bytes.
        aliases: by name, the variable with the same content.
    """

    name: str
    revision: int
    variables: dict[str, np.ndarray] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> np.ndarray | None:
        """A variable, also by an alias."""
        return self.variables.get(self.aliases.get(name, name))

    def replace(self, name: str, value: np.ndarray) -> None:
        """Give a variable another value; those that shared the old one keep it."""
        if name in self.aliases:
            del self.aliases[name]
        else:
            sharing = [alias for alias, other in self.aliases.items() if other == name]
            if sharing:
                self.variables[sharing[0]] = self.variables[name]
                del self.aliases[sharing[0]]
                self.aliases.update(dict.fromkeys(sharing[1:], sharing[0]))
        self.variables[name] = value

    def encoded(self) -> bytes:
        """As CTranslate2 reads it."""
        parts = [struct.pack("I", VERSION), _string(self.name), struct.pack("I", self.revision)]
        parts.append(struct.pack("I", len(self.variables)))
        for name, value in sorted(self.variables.items()):
            parts += [_string(name), struct.pack("B", value.ndim), struct.pack(f"{value.ndim}I", *value.shape)]
            parts += [struct.pack("B", _type_id(value)), struct.pack("I", value.nbytes)]
            parts.append(np.ascontiguousarray(value).tobytes())
        parts.append(struct.pack("I", len(self.aliases)))
        for alias, name in sorted(self.aliases.items()):
            parts += [_string(alias), _string(name)]
        return b"".join(parts)


def read_model_file(raw: bytes) -> ModelFile:
    """Read a `model.bin`.

    Raises:
        ModelError: it is cut, or of another version.
    """
    reader = _Reader(raw)
    try:
        if reader.number("I") != VERSION:
            raise ModelError(_UNSUPPORTED)
        found = ModelFile(reader.text(), reader.number("I"))
        for _ in range(reader.number("I")):
            name = reader.text()
            shape = [reader.number("I") for _ in range(reader.number("B"))]
            kind = _TYPES[reader.number("B")]
            content = reader.take(reader.number("I"))
            found.variables[name] = np.frombuffer(content, kind).reshape(shape)
        for _ in range(reader.number("I")):
            alias = reader.text()
            found.aliases[alias] = reader.text()
    except (struct.error, IndexError, ValueError) as error:
        raise ModelError(f"the model.bin can't be read: {error}") from None
    return found


def cut(model: ModelFile, site: str, selected: np.ndarray, bias: np.ndarray | None) -> None:
    """Leave a site (`encoder.0`) with the selected neurons.

    Args:
        model: changed in place.
        site: its name; `layers.0` of decoder-only models.
        selected: indices of neurons, int64 `[n]`.
        bias: float32 `[d_model]` the output's bias with what the others give; as it is, without it.
    """
    side, layer = site.split(".")
    prefix = f"{'decoder' if side == 'layers' else side}/layer_{layer}/ffn/linear"
    for layer_in in ("0", "0_noact"):  # the second one where there is a gate
        for name in ("weight", "bias", "weight_scale"):
            value = model.get(f"{prefix}_{layer_in}/{name}")
            if value is not None and value.ndim > 0:  # the rows are neurons
                model.replace(f"{prefix}_{layer_in}/{name}", value[selected])
    weight = model.get(f"{prefix}_1/weight")
    if weight is None:
        raise ModelError(f"the model.bin has no feed-forward layer {site}")
    model.replace(f"{prefix}_1/weight", weight[:, selected])
    if bias is not None:
        old = model.get(f"{prefix}_1/bias")
        model.replace(f"{prefix}_1/bias", _as_type(bias, np.dtype(np.float32) if old is None else old.dtype))


def _as_type(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float32 values in one of `_TYPES`."""
    if dtype != np.uint16:
        return values.astype(dtype)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)  # to the nearest, ties to even


def _string(text: str) -> bytes:
    content = text.encode("utf-8") + b"\0"
    return struct.pack("H", len(content)) + content


def _type_id(value: np.ndarray) -> int:
    return next(place for place, kind in enumerate(_TYPES) if value.dtype == kind)


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = memoryview(raw), 0

    def take(self, size: int) -> memoryview:
        if self._at + size > len(self._raw):
            raise ValueError("it is cut")
        self._at += size
        return self._raw[self._at - size : self._at]

    def number(self, kind: str) -> int:
        return int(struct.unpack(kind, self.take(struct.calcsize(kind)))[0])

    def text(self) -> str:
        return bytes(self.take(self.number("H"))[:-1]).decode("utf-8")
