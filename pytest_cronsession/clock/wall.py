"""Back ends that make this process's wall clock follow a virtual clock: freezegun, time-machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol


class WallClock(Protocol):
    """A patched wall clock. ``move_to`` takes epoch milliseconds."""

    def move_to(self, now_ms: float) -> None: ...
    def stop(self) -> None: ...


class _Freezegun:
    """freezegun: datetime, time.time and the monotonic clocks stand still until moved.

    asyncio's own timers stay real (``real_asyncio``), or every ``asyncio.sleep`` would wait for ever; and
    pytest's stopwatch is left alone, or durations would be off by years.
    """

    def __init__(self, now_ms: int) -> None:
        import freezegun

        self._freezer = freezegun.freeze_time(
            datetime.fromtimestamp(now_ms / 1000, UTC), ignore=["_pytest.timing"], real_asyncio=True
        )
        self._frozen: Any = self._freezer.start()

    def move_to(self, now_ms: float) -> None:
        self._frozen.move_to(datetime.fromtimestamp(now_ms / 1000, UTC).replace(tzinfo=None))

    def stop(self) -> None:
        self._freezer.stop()


class _TimeMachine:
    """time-machine: wall clocks stand still until moved, monotonic clocks stay real."""

    def __init__(self, now_ms: int) -> None:
        import time_machine

        self._traveller = time_machine.travel(datetime.fromtimestamp(now_ms / 1000, UTC), tick=False)
        self._coordinates: Any = self._traveller.start()

    def move_to(self, now_ms: float) -> None:
        self._coordinates.move_to(datetime.fromtimestamp(now_ms / 1000, UTC), tick=False)

    def stop(self) -> None:
        self._traveller.stop()


BACKENDS: Mapping[str, Callable[[int], WallClock]] = {"freezegun": _Freezegun, "time-machine": _TimeMachine}


def start_backend(name: str, now_ms: int) -> WallClock:
    """Patch the wall clock with a back end; raises :class:`ValueError` with what to write or install instead."""
    if name not in BACKENDS:
        raise ValueError(f"clock back end {name!r}: choose one of {', '.join(BACKENDS)}, or none")
    try:
        return BACKENDS[name](now_ms)
    except ImportError as error:
        raise ValueError(f"clock back end {name!r} is not installed: pip install {name}") from error
