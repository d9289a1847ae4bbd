"""One flag of the process that works on a job: set by SIGTERM, read between two model calls."""

from __future__ import annotations

import signal
import threading

requested = threading.Event()


def on_sigterm() -> None:
    """Make SIGTERM ask the job to stop at the next safe point, and Ctrl-C leave it alone: the worker passes it on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda signum, frame: requested.set())
