"""SIGTERM, which CI systems send to cancel a run, ends it as Ctrl-C does: gateways stopped, folders removed."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import pytest


def interrupt_on_sigterm(config: pytest.Config) -> None:
    """Until the end of the run; where somebody else handles the signal already, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    signal.signal(signal.SIGTERM, _interrupt)
    config.add_cleanup(_restore)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Whoever sends it twice will not wait.
    _restore()
    raise KeyboardInterrupt("SIGTERM")


def _restore() -> None:
    if signal.getsignal(signal.SIGTERM) is _interrupt:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
