"""Where the program starts: a signal is heeded before the commands, which take a moment to import."""

from __future__ import annotations

import gc
import os

from neuronspec.core.signals import INTERRUPTED, SignalReceived, heed_signals

OBJECTS_BETWEEN_COLLECTIONS = 20_000, 20
"""Thresholds of the collector of garbage: libraries make hundreds of thousands of objects as they are imported, nearly
all of which stay. Python's own thresholds have them looked through again and again."""


def main() -> None:
    """Run the command line, with signals heeded from the first moment on."""
    heed_signals()
    gc.set_threshold(*OBJECTS_BETWEEN_COLLECTIONS)
    try:
        from neuronspec.cli.app import run

        run()
    except SignalReceived as stopped:
        os.write(2, f"{stopped}\n".encode())
        os._exit(INTERRUPTED)  # half-imported modules need not be torn down
