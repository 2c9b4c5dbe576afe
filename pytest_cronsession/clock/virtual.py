"""The clock behind the fixture ``cronsession_clock``: integer milliseconds, moved by the test."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Mover(Protocol):
    """Something that fires what is due while time passes (a world with a gateway)."""

    def advance(self, to_ms: int) -> None: ...
    def jump(self, to_ms: int) -> None: ...


def epoch_ms(moment: str | datetime | int) -> int:
    """Epoch milliseconds of an instant: ISO 8601 text with an offset or ``Z``, an aware datetime, or milliseconds.

    Raises :class:`ValueError` for an instant without an offset: it would mean another moment on each machine.
    """
    if isinstance(moment, int):
        return moment
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    if parsed.tzinfo is None:
        raise ValueError(f"{moment!r} has no offset; write 2026-03-02T08:00:00Z or pass an aware datetime")
    return round(parsed.timestamp() * 1000)


class VirtualClock:
    """A clock that stands still until :meth:`advance` or :meth:`jump`.

    With a gateway attached (fixtures ``cronsession_gateway`` and ``cronsession_driver``), ``advance`` fires
    everything due on the way, in order, and returns when the gateway has settled.
    """

    def __init__(self, start: str | datetime | int = "2026-03-02T08:00:00Z") -> None:
        self._now = epoch_ms(start)
        self._movers: list[Mover] = []
        self._listeners: list[Callable[[int], None]] = []

    @property
    def now_ms(self) -> int:
        """The present instant in epoch milliseconds."""
        return self._now

    @property
    def now(self) -> datetime:
        """The present instant in UTC."""
        return datetime.fromtimestamp(self._now / 1000, UTC)

    def advance(self, **delta: float) -> None:
        """Let time pass: ``advance(hours=1, minutes=30)``, any keyword of :class:`~datetime.timedelta`."""
        self.advance_to(self._now + _delta_ms(delta))

    def advance_to(self, moment: str | datetime | int) -> None:
        """Let time pass up to and including an instant; raises :class:`ValueError` for the past."""
        target = self._forward(moment)
        for mover in self._movers:
            mover.advance(target)
        self.set(target)

    def jump(self, **delta: float) -> None:
        """The wall clock is suddenly later, as after a suspended laptop."""
        self.jump_to(self._now + _delta_ms(delta))

    def jump_to(self, moment: str | datetime | int) -> None:
        """The wall clock is suddenly at an instant; nothing in between is fired one by one."""
        target = self._forward(moment)
        for mover in self._movers:
            mover.jump(target)
        self.set(target)

    def attach(self, mover: Mover) -> None:
        """Move a gateway with this clock."""
        self._movers.append(mover)

    def detach(self, mover: Mover) -> None:
        self._movers.remove(mover)

    def listen(self, listener: Callable[[int], None]) -> None:
        """Call ``listener(now_ms)`` whenever the clock has moved (this is how wall clocks follow)."""
        self._listeners.append(listener)
        listener(self._now)

    def set(self, now_ms: int) -> None:
        """Note where time is; used by what moves with the clock."""
        if now_ms != self._now:
            self._now = now_ms
            for listener in self._listeners:
                listener(now_ms)

    def _forward(self, moment: str | datetime | int) -> int:
        target = epoch_ms(moment)
        if target < self._now:
            raise ValueError(f"the clock is at {self.now.isoformat()} and cannot go back to {moment!r}")
        return target

    def __repr__(self) -> str:
        return f"VirtualClock({self.now.isoformat(timespec='milliseconds')})"


def _delta_ms(delta: dict[str, float]) -> int:
    return round(timedelta(**delta).total_seconds() * 1000)
