"""Inside a Python process under the preload: says hello to the suite, and moves this process's time as told.

One JSON object a line. The process says ``{"event": "hello", "token", "pid"}``; the suite answers with ``nowMs``, or
with ``error``; then it asks ``{"id", "do": "now" | "advance" | "jump", "toMs"}``, one at a time.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import importlib
import json
import os
import socket
import sys
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from .child_threads import Threads
from .replies import awaited, real_now
from .timeline import NeverQuiet, Timeline
from .virtual_loop import VirtualLoop

SOCKET, TOKEN = "CRONSESSION_PYTHON_CLOCK_SOCKET", "CRONSESSION_PYTHON_CLOCK_TOKEN"
WALL, LIBRARIES = "CRONSESSION_PYTHON_CLOCK_WALL", "CRONSESSION_PYTHON_CLOCK_LIBRARIES"
_HELLO_S = 10.0
_REPLY_S = 0.05  # how long an answer to a move waits for replies before it says that they are awaited


class Control:
    """The clock of this process: threads, loops and wall clock on one timeline."""

    def __init__(self, connection: socket.socket, now_ms: int) -> None:
        self._connection = connection
        self.timeline = Timeline(now_ms, self._show)
        self.threads = Threads(self.timeline)
        self.loops: weakref.WeakSet[VirtualLoop] = weakref.WeakSet()
        self._ping = _thread.allocate_lock()
        self._show_wall: Callable[[int], None] = lambda now_us: None
        self._stop_wall: Callable[[], None] = lambda: None

    def install(self) -> None:
        """Take over this process's time."""
        self._show_wall, self._stop_wall = _wall(self.timeline.now_us)
        self.threads.on_rest = self.ping
        self.threads.install()
        _replace_loops(self)
        os.register_at_fork(after_in_child=self._forked)
        atexit.register(self._connection.close)
        started = _thread.allocate_lock()
        started.acquire()
        _thread.start_new_thread(self._serve, (started,))
        started.acquire()

    def ping(self) -> None:
        """Something came to rest: look again."""
        with contextlib.suppress(RuntimeError):  # already released
            self._ping.release()

    def _show(self, now_us: int) -> None:
        self._show_wall(now_us)

    def _forked(self) -> None:
        self.threads.detach()
        self._stop_wall()
        self._connection.close()

    # --- the conversation ---------------------------------------------------------------------------------

    def _serve(self, started: Any) -> None:
        self.threads.skip.add(_thread.get_ident())
        started.release()
        try:
            with self._connection.makefile("rwb") as stream:
                for line in stream:
                    stream.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                    stream.flush()
        except ZeroDivisionError:
            pass  # the suite has gone, or this process is at its end

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._do(request)
        except NeverQuiet as error:
            answer = {"busy": error.reasons}
        except Exception as error:
            answer = {"error": repr(error)}
        return {"id": request.get("id"), "nowMs": self.timeline.now_ms, **answer}

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        do = request["do"]
        if do == "now":
            return {}
        until = real_now() + request["timeoutS"]
        withheld, to_us = set(request["withheld"]), request["toMs"] * 1000
        if do == "advance":
            return self._advance(to_us, withheld, until)
        if do == "jump":
            self.timeline.move_to(to_us)
            self._wake()
            return {"awaited": self._settle(withheld, until)}
        raise ValueError(f"unknown: {do!r}")

    def _advance(self, to_us: int, withheld: set[str], until: float) -> dict[str, Any]:
        """Settle, then move on to the next instant at which something is due: one step, then the suite has its say."""
        replies = self._settle(withheld, until)
        if replies:
            return {"awaited": replies, "moved": False}
        waits = [self.threads.next_us(), *(loop.next_us() for loop in self._running())]
        due = min((us for us in waits if us is not None), default=None)
        if due is None or due > to_us:
            moved = self.timeline.now_us < to_us
            self.timeline.move_to(to_us)
            return {"awaited": [], "moved": moved}
        self.timeline.move_to(max(due, self.timeline.now_us))
        self._wake()
        return {"awaited": self._settle(withheld, until), "moved": True}

    def _wake(self) -> None:
        self.threads.wake_due()
        for loop in self._running():
            due = loop.next_us()
            if due is not None and due <= self.timeline.now_us:
                loop.poke()

    # --- settling -----------------------------------------------------------------------------------------

    def _running(self) -> list[VirtualLoop]:
        return [loop for loop in list(self.loops) if loop.is_running()]

    def _settle(self, withheld: set[str], until: float) -> list[str]:
        """Wait until nothing runs; returns the replies that are awaited then. Raises :class:`NeverQuiet`."""
        begun = real_now()
        while True:
            running, replies = self._state(withheld)
            if not running and (not replies or real_now() > begun + _REPLY_S):
                return replies
            if real_now() > until:
                raise NeverQuiet(self.timeline.now_ms, until - begun, running + replies)
            self._ping.acquire(timeout=0.001)

    def _state(self, withheld: set[str]) -> tuple[list[str], list[str]]:
        """What runs in this process now, and the replies it waits for. Both empty: it has settled."""
        moves, loops = self.threads.moves, self._running()
        turns = [loop.turns for loop in loops]
        running = self.threads.busy({loop.thread_ident() or 0 for loop in loops})
        for loop in loops:
            if not loop.resting():
                running += loop.tasks() or ["a callback of the event loop runs"]
            running += loop.held.work()
        replies = awaited()
        replies += [what for loop in loops for what in loop.awaited() if what not in replies]
        replies = [what for what in replies if what not in withheld]
        if not running and (moves, turns) != (self.threads.moves, [loop.turns for loop in loops]):
            running = ["threads and loops take turns"]
        return running, replies


def boot() -> None:
    """Connect and take over; does nothing in a process beside the one whose clock it is.

    Ends the process where going on would mean to run on real time unnoticed.
    """
    connection = socket.socket(socket.AF_UNIX)
    try:
        answer = _hello(connection)
    except (OSError, ValueError) as error:
        _give_up(f"the clock at {os.environ[SOCKET]} does not answer: {error!r}")
    if "error" in answer:
        connection.close()
        if answer.get("second"):
            return
        _give_up(f"the clock refused this process: {answer['error']}")
    try:
        Control(connection, answer["nowMs"]).install()
    except ImportError as error:
        _give_up(str(error))


def _give_up(message: str) -> NoReturn:
    """End at once: an exception would go under, or come out as a failure of the interpreter."""
    os.write(2, f"cronsession: {message}\n".encode())
    os._exit(1)


def _hello(connection: socket.socket) -> dict[str, Any]:
    connection.settimeout(_HELLO_S)
    connection.connect(os.environ[SOCKET])
    hello = {"event": "hello", "token": os.environ.get(TOKEN, ""), "pid": os.getpid()}
    connection.sendall(json.dumps(hello).encode() + b"\n")
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(1)  # the first request may be right behind it
        if not piece:
            raise ValueError("the connection was closed")
        line += piece
    connection.settimeout(None)
    answer: dict[str, Any] = json.loads(line)
    return answer


def _replace_loops(control: Control) -> None:
    """Every event loop of asyncio's own kind becomes one on virtual time; uvloop cannot be imported."""
    import asyncio
    from asyncio import unix_events

    class PreloadedLoop(VirtualLoop):
        """asyncio's loop in a process under the preload: driven by the suite."""

        def __init__(self, selector: object = None) -> None:
            # The limit lies in the past: this loop never moves the clock, which several may share.
            super().__init__(timeline=control.timeline, until_ms=0)
            self.held.thread_rests = control.threads.parked
            control.loops.add(self)

        def on_sleep(self) -> None:
            control.ping()

    for module in (asyncio, unix_events):
        for name in ("SelectorEventLoop", "EventLoop"):
            if hasattr(module, name):
                setattr(module, name, PreloadedLoop)
    policy: Any = unix_events._UnixDefaultEventLoopPolicy
    policy._loop_factory = PreloadedLoop
    sys.meta_path.insert(0, _NoUvloop())


class _NoUvloop:
    """Makes ``import uvloop`` fail: who merely prefers it does without, who needs it is told."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "uvloop":
            raise ImportError(
                "uvloop keeps its own time in C and cannot run under cronsession's clock; use asyncio's loop",
                name="uvloop",
            )


def _wall(now_us: int) -> tuple[Callable[[int], None], Callable[[], None]]:
    """Patch the wall clock: how to move it, and how to let go of it. Raises :class:`ImportError`."""
    wanted = os.environ.get(WALL, "")
    begin = datetime.fromtimestamp(now_us / 1e6, UTC)
    if wanted in ("", "time-machine") and (time_machine := _import("time_machine")) is not None:
        traveller = time_machine.travel(begin, tick=False)
        moved = traveller.start()
        return lambda us: moved.move_to(datetime.fromtimestamp(us / 1e6, UTC), tick=False), traveller.stop
    if wanted in ("", "freezegun") and (freezegun := _import("freezegun")) is not None:
        freezer = freezegun.freeze_time(begin)
        # By default threads see real time. Here their waits are virtual too.
        freezer.ignore = tuple(
            n for n in freezer.ignore if n not in ("threading", "queue", "multiprocessing")
        )
        frozen = freezer.start()
        return lambda us: frozen.move_to(
            datetime.fromtimestamp(us / 1e6, UTC).replace(tzinfo=None)
        ), freezer.stop
    raise ImportError(
        f"{wanted or 'neither time-machine nor freezegun'} cannot be imported by {sys.executable}"
    )


def _import(name: str) -> Any:
    """A module of this process's environment, or lent by the suite's; None without it."""
    lent = os.environ.get(LIBRARIES, "")
    hidden = "pytest" not in sys.modules
    if hidden:
        sys.modules["pytest"] = None  # type: ignore[assignment] # time-machine would import it, for its fixture
    sys.path.append(lent)
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
    finally:
        sys.path.remove(lent)
        if hidden:
            del sys.modules["pytest"]
