"""Virtual time for threads, inside a Python process under the preload. Standard library only.

``time.sleep`` and every wait on a :class:`threading.Condition` (so Event, Timer, Semaphore, Barrier, queue.Queue and
concurrent futures too) park in a heap of virtual instants. Parked threads rest; all others are asked of the kernel.
"""

from __future__ import annotations

import _thread
import heapq
import itertools
import queue
import socket
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from .replies import real_now, watch
from .timeline import Timeline

_GRACE_S = 0.004  # real seconds in which a thread that waits for the interpreter has run
_BLIND_GRACE_S = 0.05  # without /proc only the thread's place in the code tells
# What a sleeping thread waits for, and the clock with it, when one of these modules has put it to sleep.
_WAITS_FOR = {"subprocess": "a child process", "ssl": "a reply over TLS"}
_REAL_TIME = types.SimpleNamespace(**vars(time))
_real_sleep = time.sleep


class Threads:
    """Where each thread of this process stands. One instance; :meth:`install` makes it take over."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.real = True  # until installed, and again in a forked child
        self.moves = 0
        self.on_rest: Callable[[], None] = lambda: None
        self.skip: set[int] = set()  # threads of the clock itself
        self._lock = _thread.allocate_lock()
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Parking]] = []
        self._resting: dict[int, str] = {}
        self._seen: dict[int, tuple[object, float]] = {}

    # --- parking ------------------------------------------------------------------------------------------

    def park(self, place: Parking, timeout: float) -> bool:
        """Wait until released (True), or until virtual time has gone on by ``timeout`` (False); below 0: no limit."""
        ident = _thread.get_ident()
        with self._lock:
            if place.lock.acquire(False):
                return True
            place.ident, place.expired, place.due = ident, False, None
            if timeout >= 0:
                place.due = self.timeline.now_us + max(1, round(timeout * 1e6))
                heapq.heappush(self._heap, (place.due, next(self._order), place))
            self._resting[ident] = "waits"
            self.moves += 1
        self.on_rest()
        try:
            place.lock.acquire()
        finally:
            with self._lock:
                self._rouse(place)
        return not place.expired

    def release(self, place: Parking) -> None:
        """Let whoever is parked go on; from this moment on that thread counts as running."""
        with self._lock:
            if place.expired:
                return  # it is on its way already
            self._rouse(place)
            place.lock.release()

    def _rouse(self, place: Parking) -> None:
        if place.ident is not None:
            self._resting.pop(place.ident, None)
            place.ident = place.due = None
            self.moves += 1

    def next_us(self) -> int | None:
        """When the first parked thread is due."""
        with self._lock:
            while self._heap and self._heap[0][2].due != self._heap[0][0]:
                heapq.heappop(self._heap)  # released before its time
            return self._heap[0][0] if self._heap else None

    def wake_due(self) -> int:
        """Let every thread go on whose instant has come, in order; how many there were."""
        count = 0
        while (due := self.next_us()) is not None and due <= self.timeline.now_us:
            with self._lock:
                place = heapq.heappop(self._heap)[2]
                if place.due == due:
                    place.expired = True
                    self._rouse(place)
                    place.lock.release()
                    count += 1
        return count

    def sleep(self, seconds: float) -> None:
        """``time.sleep`` on virtual time."""
        if self.real or not seconds > 0:
            _real_sleep(seconds)
            return
        place = Parking(self)
        place.acquire()
        place.acquire(True, seconds)

    # --- who rests ----------------------------------------------------------------------------------------

    def parked(self, ident: int) -> bool:
        """Whether a thread waits on virtual time, or for another thread."""
        return ident in self._resting

    def busy(self, but: set[int]) -> list[str]:
        """What the threads (except ``but``) are doing; empty: all of them rest."""
        found = ["a thread is being started"] if getattr(threading, "_limbo", None) else []
        frames = sys._current_frames()
        if threading.main_thread().ident not in frames:
            found.append("the process is coming to its end")  # nothing but its last C code is left
        for ident in set(self._seen) - set(frames):
            del self._seen[ident]
        for ident, frame in frames.items():
            if ident in but or ident in self.skip or ident in self._resting:
                continue
            if not self._asleep(ident, frame):
                found.append(f"thread {_name(ident)} runs {_place(frame)}")
            elif (what := _waits_for(frame)) is not None:
                found.append(f"thread {_name(ident)} waits for {what} in {_place(frame)}")
        return found

    def _asleep(self, ident: int, frame: Any) -> bool:
        """Whether the kernel has a thread asleep, and has not run it for a moment (it may want the interpreter)."""
        thread = threading._active.get(ident)  # type: ignore[attr-defined]
        mark = (_kernel(getattr(thread, "native_id", None)), frame.f_lasti, id(frame))
        before, now = self._seen.get(ident), real_now()
        if mark[0] == "runs" or before is None or before[0] != mark:
            self._seen[ident] = (mark, now)
            return False
        return now - before[1] >= (_GRACE_S if mark[0] else _BLIND_GRACE_S)

    # --- taking over --------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        """``time.monotonic`` on virtual time: the seconds since the start of the clock, as ``loop.time()``."""
        if self.real:
            return real_now()
        return (self.timeline.now_us - self.timeline.start_us) / 1e6

    def install(self) -> None:
        """Replace the waits of this process; once, before its own code runs."""
        self.real = False
        # subprocess polls for the end of a child, which lives in real time.
        subprocess.time = _REAL_TIME  # type: ignore[attr-defined]
        subprocess._time = real_now  # type: ignore[attr-defined]
        time.sleep = self.sleep  # type: ignore[assignment]
        time.monotonic = self.monotonic
        time.monotonic_ns = lambda: round(self.monotonic() * 1e9)
        threading._time = self.monotonic  # type: ignore[attr-defined]
        queue.time = self.monotonic  # type: ignore[attr-defined]
        # Condition.wait makes a lock for each wait: it gets one of ours, and its own code stays.
        threading._allocate_lock = lambda: Parking(self)  # type: ignore[attr-defined]
        plain_connect = socket.socket.connect

        def connect(sock: socket.socket, address: Any) -> None:
            plain_connect(sock, address)
            if sock.gettimeout() != 0:  # a loop's connections are watched by the loop
                watch(sock)

        socket.socket.connect = connect  # type: ignore[method-assign, assignment]

    def detach(self) -> None:
        """Go back to real time, in a forked child: nobody moves the clock there."""
        self.real = True


class Parking:
    """A lock whose second acquisition waits on virtual time; what Condition.wait needs, and no more."""

    __slots__ = ("_threads", "due", "expired", "ident", "lock")

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.lock = _thread.allocate_lock()
        self.ident: int | None = None
        self.due: int | None = None
        self.expired = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self.lock.acquire(False):
            return True
        if not blocking:
            return False
        if self._threads.real:
            return self.lock.acquire(True, timeout)
        return self._threads.park(self, timeout)

    def release(self) -> None:
        self._threads.release(self)

    __enter__ = acquire

    def __exit__(self, *error: object) -> None:
        self.release()

    def locked(self) -> bool:
        return self.lock.locked()


def _kernel(native_id: int | None) -> str:
    """``runs``, or asleep since so many turns; empty where the system does not tell."""
    try:
        with open(f"/proc/self/task/{native_id}/stat", "rb", 0) as file:
            state = file.read(512).rpartition(b")")[2].split()[0]
        if state != b"S":
            return "runs"
        with open(f"/proc/self/task/{native_id}/schedstat", "rb", 0) as file:
            return file.read(128).split()[2].decode()
    except (OSError, IndexError):
        return ""


def _name(ident: int) -> str:
    thread = threading._active.get(ident)  # type: ignore[attr-defined]
    return thread.name if thread is not None else str(ident)


def _place(frame: Any) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"


def _waits_for(frame: Any) -> str | None:
    for _ in range(3):
        if frame is None:
            return None
        what = _WAITS_FOR.get(frame.f_globals.get("__name__", ""))
        if what is not None:
            return what
        frame = frame.f_back
    return None
