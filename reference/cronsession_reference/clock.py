"""Time: one heap of timers, and two ways of knowing what the time is.

The gateway never asks the operating system for the time; it asks its clock. Instants are integer
milliseconds since the epoch.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol


class Timer:
    """A callback that is due at ``when_ms``; ``cancel`` keeps it from being called."""

    __slots__ = ("callback", "cancelled", "rank", "when_ms")

    def __init__(self, when_ms: int, rank: int, callback: Callable[[], object]) -> None:
        self.when_ms = when_ms
        self.rank = rank
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Clock(Protocol):
    """What the gateway needs to know about time."""

    def now(self) -> int:
        """The present instant."""

    def call_at(self, when_ms: int, callback: Callable[[], object], *, rank: int = 0) -> Timer:
        """Have ``callback`` called at ``when_ms``; at one instant lower ranks come first."""

    def next_timer(self) -> int | None:
        """When the next timer is due."""

    def fire_due(self, *, rank: int) -> int:
        """Call what is due now with this rank or a lower one; answer how many were called."""

    async def pause(self) -> None:
        """Let other tasks, and other processes, get on."""


class TimerHeap(ABC):
    """Timers in order of instant, rank and creation."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Timer]] = []
        self._count = itertools.count()

    @abstractmethod
    def now(self) -> int:
        """The instant, in epoch milliseconds."""

    def call_at(self, when_ms: int, callback: Callable[[], object], *, rank: int = 0) -> Timer:
        timer = Timer(when_ms, rank, callback)
        heapq.heappush(self._heap, (when_ms, rank, next(self._count), timer))
        return timer

    def next_timer(self) -> int | None:
        while self._heap and self._heap[0][3].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def fire_due(self, *, rank: int) -> int:
        due = self._take_due(self.now(), rank)
        for timer in due:
            if not timer.cancelled:
                timer.callback()
        return len(due)

    def _take_due(self, now: int, rank: int) -> list[Timer]:
        due: list[Timer] = []
        later: list[tuple[int, int, int, Timer]] = []
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if entry[3].cancelled:
                continue
            if entry[1] <= rank:
                due.append(entry[3])
            else:
                later.append(entry)
        for entry in later:
            heapq.heappush(self._heap, entry)
        return due


class ManualClock(TimerHeap):
    """A clock that stands still until it is set. It reads no other clock."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now = now_ms

    def now(self) -> int:
        return self._now

    def set(self, now_ms: int) -> None:
        """Be at ``now_ms``; nothing is called."""
        self._now = now_ms

    async def pause(self) -> None:
        await asyncio.sleep(0)


class SystemClock(TimerHeap):
    """The wall clock, for a gateway that people use."""

    PAUSE_S = 0.02

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    async def pause(self) -> None:
        await asyncio.sleep(self.PAUSE_S)
