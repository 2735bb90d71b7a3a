"""Lists of ids in a memory-mapped Arrow file, gathered at once from wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from neuronspec.models.ragged import Ragged, spans

if TYPE_CHECKING:
    import pyarrow as pa


class ListColumn:
    """A column of lists in all record batches of a file.

    The batches' buffers are pieces of one memory map, so a list is found by where its batch begins there: however many
    batches the rows are from, they are read by a few operations of numpy.

    Args:
        memory: all of the file, mapped.
        batches: the column of each record batch, without offsets of their own.
    """

    __slots__ = ("_first_offset", "_first_value", "_offsets", "_values")

    def __init__(self, memory: pa.Buffer, batches: Sequence[pa.ListArray]) -> None:
        kind = batches[0].values.to_numpy().dtype if batches else np.dtype(np.uint16)
        self._values, self._offsets = (_items(memory, one) for one in (kind, np.dtype(np.int32)))
        self._first_value = _starts(memory, [batch.values.buffers()[1] for batch in batches], kind.itemsize)
        self._first_offset = _starts(memory, [batch.buffers()[1] for batch in batches], 4)

    def gather(self, batches: npt.NDArray[np.integer], rows: npt.NDArray[np.integer]) -> Ragged:
        """Some of the lists.

        Args:
            batches: in which batch each is. Shape [lists].
            rows: its row there. Shape [lists].
        """
        places = self._first_offset[batches] + rows
        first = self._offsets[places]
        lengths = (self._offsets[places + 1] - first).astype(np.int64)
        return Ragged(self._values[spans(self._first_value[batches] + first, lengths)].astype(np.int64), lengths)


def _items(memory: pa.Buffer, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    return np.frombuffer(memory, dtype=kind, count=memory.size // kind.itemsize)


def _starts(memory: pa.Buffer, buffers: Sequence[pa.Buffer | None], size: int) -> npt.NDArray[np.int64]:
    """Where buffers begin in the memory, in items; Arrow aligns them to 8 bytes. Empty ones may be missing."""
    begins = [memory.address if buffer is None or not buffer.size else buffer.address for buffer in buffers]
    return (np.array(begins, dtype=np.int64) - memory.address) // size
