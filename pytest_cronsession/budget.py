"""How many of its examples a test may leave out, because the gateway costs real time.

A gateway in this process takes milliseconds for a run, and gets them all: there is no budget. A real one takes
seconds for a run and ten or more to boot. It gets fewer, never none, and the report says so (design 6).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

USUAL_S = 480.0
# A property may take this part of the whole: there are some ten of them, and they are not all there is.
_SHARE = 1 / 40


def _keep_quiet(requirement: str, done: int, of: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class Budget:
    """``seconds``: what the whole run may take; None: whatever it takes. ``note`` hears of what was left out."""

    seconds: float | None = None
    note: Callable[[str, int, int], None] = field(default=_keep_quiet, repr=False, compare=False)

    @property
    def limited(self) -> bool:
        return self.seconds is not None

    def few(self, requirement: str, full: int, least: int) -> int:
        """How many examples of the same kind to look at: all, or ``least`` of them."""
        if not self.limited or least >= full:
            return full
        self.note(requirement, least, full)
        return least

    def spent(self, began: float) -> bool:
        """Whether a property that began then (``time.monotonic()``) has had its share."""
        return self.seconds is not None and time.monotonic() - began > self.seconds * _SHARE


NONE = Budget()
