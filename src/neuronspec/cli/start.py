"""Where the program starts: a signal is heeded before the commands, which take a moment to import."""

from __future__ import annotations

import os

from neuronspec.core.signals import INTERRUPTED, SignalReceived, heed_signals


def main() -> None:
    """Run the command line, with signals heeded from the first moment on."""
    heed_signals()
    try:
        from neuronspec.cli.app import run

        run()
    except SignalReceived as stopped:
        os.write(2, f"{stopped}\n".encode())
        os._exit(INTERRUPTED)  # half-imported modules need not be torn down
