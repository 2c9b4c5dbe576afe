"""The gateway's time: moved for it, from one thing that is due to the next, and only when all is settled.

Its clock stands while we do not move it. A virtual hour of the idle gateway is some 2,600 timers, and each
time its scheduler looks after its jobs it may sweep its sessions, at the price of a run. So time in which
nothing of a job is due is crossed in one stride, as by a host that sleeps; the last two seconds before
something is due are not, and every timer in them fires in order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from ...clock.node_clock import NodeClock
from ...outcomes import TargetError
from .process import ProcessGroup

Json = dict[str, Any]

REAL_BELOW_MS = 2_000
"""Shorter timers are the gateway's own: polls and debounces, without which nothing would ever end."""
FINE_MS = REAL_BELOW_MS  # nearer than this, a timer that the gateway arms anew would be one of those
STEP_MS = 60_000  # while something goes on that waits for time
LATE_MS = 1_000
"""A run may need a moment: a system event is taken up when its agent has been idle for half a second."""
DEFAULT_RUN_MS = 3_600_000  # the time-out of a job that names none
# Real seconds.
POLL_S, STILL_S, MOVE_S = 0.05, 2.5, 110.0
STILL_CPU = 0.2  # of a processor: what the idle gateway uses, and some more


class Model(Protocol):
    """What the suite tells about its model: turns that it keeps open on purpose, and all that are open."""

    @property
    def held(self) -> int: ...
    @property
    def open(self) -> int: ...


class Timeline:
    """Moves one instance. ``jobs`` are the gateway's own, as ``cron.list`` shows them."""

    def __init__(
        self,
        clock: NodeClock,
        process: ProcessGroup,
        model: Model,
        jobs: Callable[[str], Awaitable[list[Json]]],
    ) -> None:
        self.clock = clock
        self._process = process
        self._model = model
        self._jobs = jobs

    async def advance(self, to_ms: int) -> None:
        """Let everything due up to and including ``to_ms`` happen; return when it has, at most ``LATE_MS`` later."""
        operation = "clock/advance"
        while True:
            jobs, waiting = await self.settle(operation)
            now = self.clock.now_ms
            if now >= to_ms + (LATE_MS if waiting else 0):
                return
            if now >= to_ms:
                await self._move(operation, self.clock.advance, to_ms + LATE_MS)
                continue
            stop = min([to_ms, *stops(jobs, now)])
            if waiting or overdue(jobs, now):
                # Something needs time, and nobody knows how much: every timer counts.
                stop = min(stop, now + STEP_MS)
            elif stop - now > FINE_MS:
                await self._move(operation, self.clock.jump, stop - FINE_MS)
                continue
            await self._move(operation, self.clock.advance, stop)

    async def jump(self, to_ms: int) -> None:
        """The clock is at ``to_ms`` at once, as after a suspended host."""
        operation = "clock/jump"
        await self.settle(operation)
        await self._move(operation, self.clock.jump, to_ms)
        await self.settle(operation)

    async def settle(self, operation: str) -> tuple[list[Json], bool]:
        """Wait until only time, or a turn that is held on purpose, can bring a run further.

        Returns the jobs, and whether a run waits for time (a pause before the model is asked again, say).
        """
        limit = time.monotonic() + MOVE_S
        watch = _Stillness(self._process)
        while True:
            await self._move(operation, self.clock.advance, self.clock.now_ms)
            jobs = await self._jobs(operation)
            running = frozenset(str(job["id"]) for job in jobs if is_running(job))
            if len(running) <= self._model.held == self._model.open:
                return jobs, False
            if watch.still((running, self._model.open, self._model.held)):
                return jobs, True
            if time.monotonic() > limit:
                names = ", ".join(sorted(running))
                raise TargetError(operation, f"runs of {names} went on for {MOVE_S:g} s of real time")
            await asyncio.sleep(POLL_S)

    async def _move(self, operation: str, how: Callable[[int], object], to_ms: int) -> None:
        try:
            await asyncio.to_thread(how, to_ms)
        except TargetError as error:
            raise TargetError(operation, error.message, log=self._process.tail()) from error


class _Stillness:
    """Whether a gateway has stopped working at what it does: nothing new, and no processor time."""

    def __init__(self, process: ProcessGroup) -> None:
        self._process = process
        self._state: object = None
        self._note()

    def _note(self) -> None:
        self._since, self._cpu = time.monotonic(), self._process.cpu_s()

    def still(self, state: object) -> bool:
        now, cpu = time.monotonic(), self._process.cpu_s()
        if state != self._state:
            self._state = state
            self._note()
            return False
        if now - self._since < STILL_S:
            return False
        worked = (cpu - self._cpu) / (now - self._since) > STILL_CPU
        if worked:
            self._note()
        return not worked


def is_running(job: Mapping[str, Any]) -> bool:
    """Whether the gateway says that a run of the job is under way."""
    return job.get("state", {}).get("runningAtMs") is not None


def stops(jobs: Iterable[Mapping[str, Any]], now_ms: int) -> list[int]:
    """The instants to come at which something of a job is due: its next run, the time-out of its run."""
    found = []
    for job in jobs:
        state = job.get("state", {})
        if job.get("enabled") and state.get("nextRunAtMs"):
            found.append(int(state["nextRunAtMs"]))
        if is_running(job):
            seconds = job.get("payload", {}).get("timeoutSeconds")
            limit = DEFAULT_RUN_MS if seconds is None else round(seconds * 1000)
            found.append(int(state["runningAtMs"]) + limit)
    return [instant for instant in found if instant > now_ms]


def overdue(jobs: Iterable[Mapping[str, Any]], now_ms: int) -> bool:
    """Whether a job that rests should have started already."""
    return any(
        job.get("enabled")
        and not is_running(job)
        and 0 < (job.get("state", {}).get("nextRunAtMs") or 0) <= now_ms
        for job in jobs
    )
