"""The master of virtual time, and what can go wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class NeverQuiet(TimeoutError):
    """Something kept a virtual clock from moving on; ``reasons`` says what."""

    def __init__(self, now_ms: int, limit_s: float, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__(f"not settled at {now_ms} within {limit_s:g} s of real time: {'; '.join(reasons)}")


def refuse_uvloop(loop: object | None = None) -> None:
    """Raise :class:`RuntimeError` if ``loop`` (default: the installed policy) is uvloop's."""
    suspect = loop if loop is not None else _policy()
    if suspect is not None and type(suspect).__module__.partition(".")[0] == "uvloop":
        raise RuntimeError(
            "uvloop keeps its own time in C and cannot be moved: start the gateway without it "
            "(uvicorn: loop='asyncio'; do not call uvloop.install() or uvloop.run())"
        )


def _policy() -> object | None:
    # Not asyncio.get_event_loop_policy(): that one makes a policy, and warns from Python 3.14 on.
    return getattr(asyncio.events, "_event_loop_policy", None)


class Timeline:
    """The master clock: epoch microseconds that only go forward, and who is told of it."""

    def __init__(self, start_ms: int, show: Callable[[int], None] | None = None) -> None:
        self.start_us = self.now_us = start_ms * 1000
        self._show = show

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    def move_to(self, us: int) -> None:
        if us < self.now_us:
            raise ValueError(f"the clock is at {self.now_ms} and cannot go back to {us // 1000}")
        if us > self.now_us:
            self.now_us = us
            if self._show is not None:
                self._show(us)
