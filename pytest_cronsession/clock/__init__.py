"""Clocks that move only when a test says so, and what makes other clocks follow."""

from __future__ import annotations

from .virtual import VirtualClock, epoch_ms
from .wall import BACKENDS, WallClock

__all__ = ["BACKENDS", "VirtualClock", "WallClock", "epoch_ms"]
