"""An asyncio event loop on virtual time: when nothing is ready, it is the next timer's instant at once.

Time is an integer number of microseconds. ``loop.time()`` starts at 0 (at epoch seconds a float cannot tell a timer
that is due now from one that is not), and the wall clock is moved in lock step, so the two cannot disagree.

Unlimited, the loop jumps by itself, as in ``asyncio.Runner(loop_factory=lambda: VirtualLoop(start_ms))``. With
``until_ms`` time stops there until :meth:`VirtualLoop.advance_to`: with ``until_ms=start_ms`` it is driven only.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .executor_jobs import Job, name_of
from .holds import KINDS, Holds
from .replies import real_now, watch
from .timeline import NeverQuiet, Timeline, refuse_uvloop
from .wall import WallClock

__all__ = ["NeverQuiet", "Timeline", "VirtualLoop", "refuse_uvloop"]

_POLL_S = 0.002


class _Selector(selectors.DefaultSelector):
    """The platform's selector, which asks the loop what to do when nothing is ready."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and (timeout is None or timeout > 0):
            ready = self.loop._idle(super().select)
        self.loop._wake(bool(ready))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. Instants are epoch milliseconds.

    ``wall`` patches the wall clock: ``"freezegun"``, ``"time-machine"``, a :class:`~.wall.WallClock`, or None.
    ``held_by`` says what stops the clock while it is under way: jobs of executors (``threads``), child processes,
    and replies on connections that the loop opened (``sockets``). ``settled`` is asked before time moves on; while
    it is steadily true, an awaited reply does not hold the clock (it is withheld on purpose).
    Raises :class:`RuntimeError` under uvloop's policy, :class:`ValueError` for a back end that cannot be had.
    """

    _closed = True  # for __del__, where the arguments are refused

    def __init__(
        self,
        start_ms: int = 0,
        *,
        wall: str | WallClock | None = None,
        until_ms: int | None = None,
        settled: Callable[[], bool] | None = None,
        held_by: Collection[str] = KINDS,
        timeline: Timeline | None = None,
    ) -> None:
        refuse_uvloop()
        self.held = Holds(held_by, settled, self.poke)
        self.timeline = timeline or Timeline(start_ms, self._show)
        self.limit_us = None if until_ms is None else until_ms * 1000
        self.turns, self.asleep = 0, False
        self._arrivals: list[concurrent.futures.Future[int]] = []
        self._deadline: float | None = None
        self._virtual = selector = _Selector()
        selector.loop = self
        self._lease: Any = None
        self._wall: Any = None if isinstance(wall, str) else wall
        super().__init__(selector)
        # A timer counts as due up to a microsecond early: that is the grain of this loop's time.
        self._clock_resolution = 1e-6
        if isinstance(wall, str):
            self._lease = _lease(self, wall)
        elif wall is not None:
            wall.move_to(self.timeline.now_ms)

    # --- time ---------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the loop's start."""
        return (self.timeline.now_us - self.timeline.start_us) / 1e6

    @property
    def now_ms(self) -> int:
        """The present virtual instant."""
        return self.timeline.now_ms

    def _show(self, now_us: int) -> None:
        if self._lease is not None:
            self._lease.show(now_us)
        elif self._wall is not None:
            self._wall.move_to(now_us / 1000 if now_us % 1000 else now_us // 1000)

    def advance_soon(self, to_ms: int) -> concurrent.futures.Future[int]:
        """Let time pass to ``to_ms``; from any thread. The future holds the instant once everything has settled."""
        if to_ms * 1000 < self.timeline.now_us:
            raise ValueError(f"the clock is at {self.now_ms} and cannot go back to {to_ms}")
        arrival: concurrent.futures.Future[int] = concurrent.futures.Future()
        self.held.forget_withheld()
        self.limit_us = to_ms * 1000  # first: the loop may arrive before it is asked to say so
        self._arrivals.append(arrival)
        self.poke()
        return arrival

    def advance_to(self, to_ms: int, *, timeout_s: float = 30.0) -> int:
        """Fire everything due up to ``to_ms`` in order, and return that instant when all has settled.

        Runs the loop here, or waits for the thread in which it runs. Raises :class:`NeverQuiet` after
        ``timeout_s`` real seconds, :class:`ValueError` for the past.
        """
        if self.is_running() and self._thread() == threading.get_ident():
            raise RuntimeError("advance_to was called by a callback of the loop: it would wait for itself")
        arrival = self.advance_soon(to_ms)
        if self.is_running():
            try:
                return arrival.result(timeout_s)
            except concurrent.futures.TimeoutError:
                raise self.never_quiet(timeout_s) from None
        arrival.add_done_callback(lambda _: self.stop())
        self._deadline = real_now() + timeout_s
        try:
            self.run_forever()
        except _Late:
            raise self.never_quiet(timeout_s) from None
        finally:
            self._deadline = None
            with contextlib.suppress(ValueError):
                self._arrivals.remove(arrival)
        return arrival.result(0)

    def jump_to(self, to_ms: int) -> None:
        """It is suddenly ``to_ms``: what was due in between fires late, at once, when the loop runs again."""
        self.timeline.move_to(to_ms * 1000)
        if self.limit_us is not None:
            self.limit_us = max(self.limit_us, to_ms * 1000)
        self.poke()

    def never_quiet(self, limit_s: float) -> NeverQuiet:
        """The error for a loop that did not settle."""
        return NeverQuiet(self.now_ms, limit_s, self.reasons() or ["callbacks keep running", *self.tasks()])

    def next_us(self) -> int | None:
        """The instant of the next timer."""
        timers = [timer.when() for timer in self._timers() if not timer.cancelled()]
        return None if not timers else self.timeline.start_us + round(min(timers) * 1e6)

    # --- what holds the clock -----------------------------------------------------------------------------

    def hold(self, what: str = "hold()") -> contextlib.AbstractContextManager[None]:
        """Keep time from moving while something outside of the loop is under way; from any thread."""
        return self.held.hold(what)

    def reasons(self) -> list[str]:
        """What keeps time from moving on now."""
        return self.held.work() + self.held.unsettled() + self.awaited()

    def awaited(self) -> list[str]:
        """The replies that the loop's own connections wait for."""
        return self.held.awaited(self._blocked())

    def _blocked(self) -> list[int]:
        keys = list(self._virtual.get_map().values())
        return [key.fd for key in keys if key.events & selectors.EVENT_WRITE]

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """As usual; the clock waits for the job."""
        above: Any = super()
        private: Any = self
        if "threads" not in self.held.kinds:
            return above.run_in_executor(executor, func, *args)
        if executor is None:
            private._check_default_executor()
            if private._default_executor is None:
                private._default_executor = ThreadPoolExecutor(thread_name_prefix="asyncio")
            executor = private._default_executor
        job = Job(self, executor, name_of(func))
        # Counted before it can begin: the thread may look for it at once.
        self.held.jobs.add(job)
        try:
            job.wanted = above.run_in_executor(job, func, *args)
        except BaseException:
            self.held.jobs.discard(job)
            raise
        return job.wanted

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """As usual; its time-out is not for a clock that jumps."""
        with self.hold("the default executor is being shut down"):
            await super().shutdown_default_executor(*args, **kwargs)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """As usual; the clock waits for replies on the connection."""
        await super().sock_connect(sock, address)
        watch(sock, self.held.replies.__setitem__)

    async def _make_subprocess_transport(self, *args: Any, **kwargs: Any) -> Any:
        above: Any = super()
        with self.hold("a child process is being started"):
            transport = await above._make_subprocess_transport(*args, **kwargs)
        if "subprocesses" in self.held.kinds:
            self.held.children.add(transport)
        return transport

    # --- the selector's questions -------------------------------------------------------------------------

    def _idle(self, block: Callable[[float | None], Any]) -> Any:
        """Nothing is ready: let time pass, or wait for real. Returns what became ready."""
        self._check_deadline()
        work, replies = self.held.now(self._blocked())
        if work or replies:
            # Whatever ends a hold pokes the loop; a settled() and the end of a reply have to be looked for.
            return self._sleep(block, _POLL_S if replies or self.held.settled is not None else None)
        if self.held.settled is not None:
            # What settled may have come in since we looked.
            ready = block(0)
            if ready:
                return ready
        due = self.next_us()
        if due is not None and (self.limit_us is None or due <= self.limit_us):
            self.timeline.move_to(max(due, self.timeline.now_us))
            return []
        if self.limit_us is None:
            return self._sleep(block, None)
        self.timeline.move_to(max(self.limit_us, self.timeline.now_us))
        arrived, self._arrivals = self._arrivals, []
        for arrival in arrived:
            arrival.set_result(self.now_ms)
        return [] if arrived and self._is_stopping() else self._sleep(block, None)

    def _sleep(self, block: Callable[[float | None], Any], timeout: float | None) -> Any:
        if self._deadline is not None:
            left = max(0.0, self._deadline - real_now())
            timeout = left if timeout is None else min(timeout, left)
        self.asleep = True
        self.on_sleep()
        try:
            return block(timeout)
        finally:
            self.asleep = False

    def on_sleep(self) -> None:
        """Called when the loop waits for real; for whoever drives several loops at once."""

    def _wake(self, ready: bool) -> None:
        self.turns += 1
        self._check_deadline()
        if ready:
            self.held.ask_again()
        if self._lease is not None and not self._lease.shown:
            self._lease.show(self.timeline.now_us)

    def _check_deadline(self) -> None:
        if self._deadline is not None and real_now() > self._deadline:
            raise _Late

    def poke(self) -> None:
        """Make the loop look again; from any thread."""
        private: Any = self
        private._write_to_self()

    def resting(self) -> bool:
        """Whether the loop waits and nothing has arrived for it; exact, from another thread."""
        turns = self.turns
        if not self.asleep:
            return False
        with selectors.PollSelector() as look:
            look.register(self._virtual, selectors.EVENT_READ)
            if look.select(0):
                return False
        return self.asleep and turns == self.turns

    def close(self) -> None:
        """Close the loop and give the wall clock back."""
        super().close()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.end()

    def thread_ident(self) -> int | None:
        """The thread in which the loop runs."""
        return self._thread()

    # asyncio's own attributes, in one place.

    def _thread(self) -> int | None:
        private: Any = self
        return None if private._thread_id is None else int(private._thread_id)

    def _timers(self) -> list[asyncio.TimerHandle]:
        private: Any = self
        return list(private._scheduled)

    def _is_stopping(self) -> bool:
        private: Any = self
        return bool(private._stopping)

    def tasks(self) -> list[str]:
        """Some of the loop's tasks, for messages."""
        return [f"task {t.get_coro()!r}"[:120] for t in list(asyncio.all_tasks(self))[:5]]


class _Late(Exception):
    """The real deadline of an ``advance_to`` has passed."""


def _lease(loop: VirtualLoop, name: str) -> Any:
    from .shared_wall import Lease

    try:
        return Lease(name, loop.now_ms)
    except BaseException:
        loop.close()
        raise
