"""The one patched wall clock of a process, shown the time of whichever virtual loop is running.

Patching is process-wide, worlds are many: an idle world keeps its instant while another is driven. So the loops
lease one patch, and each shows its own time when it wakes.
"""

from __future__ import annotations

import threading
from typing import Any

from .wall import WallClock, start_backend

_lock = threading.Lock()


class _State:
    name = ""
    wall: WallClock | None = None
    leases: list[Lease] = []  # noqa: RUF012 - one per process, on purpose
    shown: Lease | None = None


class Lease:
    """A loop's hold on the wall clock; the last one to go restores the real one.

    Raises :class:`ValueError` for an unknown back end, and while another back end is in use.
    """

    def __init__(self, name: str, now_ms: int) -> None:
        with _lock:
            if _State.wall is None:
                _State.name, _State.wall = name, start_backend(name, now_ms)
            elif _State.name != name:
                raise ValueError(
                    f"the wall clock of this process is {_State.name}'s already; {name} cannot be added"
                )
            _State.leases.append(self)
            self._show(now_ms)

    def show(self, now_us: int) -> None:
        """The wall clock is this loop's from now on, at ``now_us`` (epoch microseconds)."""
        with _lock:
            if self in _State.leases:
                # A float where there is a fraction of a millisecond; both back ends keep the microsecond.
                self._show(now_us / 1000 if now_us % 1000 else now_us // 1000)

    def _show(self, now_ms: Any) -> None:
        assert _State.wall is not None
        _State.shown = self
        _State.wall.move_to(now_ms)

    @property
    def shown(self) -> bool:
        """Whether the wall clock shows this loop's time, and not another's."""
        return _State.shown is self

    def end(self) -> None:
        """Give the wall clock back; safe to call twice."""
        with _lock:
            if self not in _State.leases:
                return
            _State.leases.remove(self)
            _State.shown = None if _State.shown is self else _State.shown
            wall = _State.wall
            if not _State.leases and wall is not None:
                _State.wall = None
                wall.stop()
