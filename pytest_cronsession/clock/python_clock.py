"""The clock of an unmodified Python process: a preload in it, moved from here.

See docs/clocks/python.md for what it covers and what it cannot.
"""

from __future__ import annotations

import hmac
import importlib.util
import json
import os
import secrets
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..outcomes import TargetError
from .replies import real_now

PRELOAD = Path(__file__).parent / "python_preload"
VARIABLES = "CRONSESSION_PYTHON_CLOCK_"
_GRACE_S = (
    0.05  # how long "settled" has to be true while a reply is still awaited: then it is held on purpose
)
_MARGIN_S = (
    2.0  # a process says itself what keeps it busy; only when it says nothing is it given up on from here
)
_HELLO_S = 5.0
_LONGEST_PATH = 90  # of a unix socket's folder


class PythonClock:
    """Moves the time of one Python process started with :meth:`env`, and of its successors. Usable from any thread.

    ``start_ms``: epoch milliseconds. ``timeout_s``: real seconds a command may take, the process's start included.
    ``settled``: has everything outside the process (a model server) done its part? Asked before each step.
    ``wall``: ``time-machine`` or ``freezegun``; None: the first of them that the process can import.
    """

    def __init__(
        self,
        start_ms: int,
        *,
        timeout_s: float = 60.0,
        settled: Callable[[], bool] | None = None,
        wall: str | None = None,
    ) -> None:
        self._now, self._timeout_s, self._settled, self._wall = start_ms, timeout_s, settled, wall
        self._token = secrets.token_hex(16)
        self._lock = threading.RLock()
        self._arrived = threading.Condition()
        self._process: _Process | None = None
        self._closed = False
        self._poll_exit: Callable[[], int | None] = lambda: None
        self._folder = _short_folder()
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(str(self._folder / "s"))
            self._listener.listen(16)
        except BaseException:
            self._listener.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._thread = threading.Thread(target=self._listen, name="cronsession python clock", daemon=True)
        self._thread.start()

    def env(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables to add to ``base`` (default: this process's own) for the process to start."""
        path = (os.environ if base is None else base).get("PYTHONPATH", "")
        return {
            "PYTHONPATH": f"{PRELOAD}{os.pathsep}{path}" if path else str(PRELOAD),
            f"{VARIABLES}SOCKET": str(self._folder / "s"),
            f"{VARIABLES}TOKEN": self._token,
            f"{VARIABLES}WALL": self._wall or "",
            f"{VARIABLES}LIBRARIES": _libraries(),
        }

    def watch(self, poll: Callable[[], int | None]) -> None:
        """Name the process's exit status by this (``Popen.poll``) when it has ended."""
        self._poll_exit = poll

    @property
    def now_ms(self) -> int:
        """The present virtual instant."""
        return self._now

    @property
    def pid(self) -> int | None:
        """The process whose clock this is, if it has reported."""
        process = self._process
        return None if process is None else process.pid

    def pass_time(self, to_ms: int) -> None:
        """Let time pass while no process runs."""
        with self._lock:
            if self._process is not None and self._process.alive():
                raise TargetError(
                    "clock/pass", f"process {self._process.pid} is running; use advance or jump"
                )
            self._now = _forward(self._now, to_ms)

    def advance(self, to_ms: int) -> int:
        """Fire everything due up to and including ``to_ms``, in order, settled in between; returns ``to_ms``.

        Raises :class:`TargetError` naming what keeps the process busy, or how it ended; :class:`ValueError` for
        the past.
        """
        with self._lock:
            _forward(self._now, to_ms)
            return self._drive("clock/advance", to_ms, real_now() + self._timeout_s)

    def jump(self, to_ms: int) -> int:
        """It is suddenly ``to_ms``; what was due in between fires late, at once."""
        with self._lock:
            _forward(self._now, to_ms)
            step, until = "clock/jump", real_now() + self._timeout_s
            self._drive(step, self._now, until)
            self._ask(step, {"do": "jump", "toMs": to_ms, "withheld": []}, until)
            return self._drive(step, to_ms, until)

    def close(self) -> None:
        """Let go of the process (its time stands still from here on), the socket and the thread."""
        with self._arrived:
            if self._closed:
                return
            self._closed = True
        with socket.socket(socket.AF_UNIX) as waker:
            waker.connect(str(self._folder / "s"))
        self._thread.join()
        self._listener.close()
        if self._process is not None:
            self._process.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- moving -------------------------------------------------------------------------------------------

    def _drive(self, step: str, to_ms: int, until: float) -> int:
        withheld: set[str] = set()
        steady: float | None = None
        awaited: list[str] = []
        while True:
            self._wait_settled(step, until)
            if real_now() > until:
                raise self._busy(step, awaited or [f"timers are still firing on the way to {to_ms}"])
            request = {"do": "advance", "toMs": to_ms, "withheld": sorted(withheld)}
            answer = self._ask(step, request, until)
            awaited = answer["awaited"]
            still = self._settled is not None and self._settled()
            if awaited and still:
                steady = real_now() if steady is None else steady
                if real_now() - steady >= _GRACE_S:
                    withheld |= set(awaited)
                    steady = None
            else:
                steady = None
                if not awaited and not answer["moved"] and (still or self._settled is None):
                    return self._now

    def _wait_settled(self, step: str, until: float) -> None:
        while self._settled is not None and not self._settled():
            process = self._process
            if process is not None and not process.alive():
                raise self._ended(step, process)
            if real_now() > until:
                raise self._busy(step, ["settled() is false"])
            time.sleep(0.001)

    def _ask(self, step: str, request: dict[str, Any], until: float) -> dict[str, Any]:
        process = self._wait_for_process(step, until)
        left = max(0.1, until - real_now())
        try:
            answer = process.ask({**request, "timeoutS": left}, left + _MARGIN_S)
        except TimeoutError:
            raise TargetError(
                step,
                f"process {process.pid} says nothing: it does not let another of its threads run "
                f"(waited {left + _MARGIN_S:.3g} s at {self._now})",
            ) from None
        except (OSError, ValueError):
            raise self._ended(step, process) from None
        if "error" in answer:
            raise TargetError(step, f"the preload in process {process.pid} failed: {answer['error']}")
        self._now = int(answer["nowMs"])
        if "busy" in answer:
            raise self._busy(step, answer["busy"])
        return answer

    def _busy(self, step: str, reasons: list[str]) -> TargetError:
        what = "; ".join(reasons)
        return TargetError(step, f"not settled at {self._now} within {self._timeout_s:g} s: {what}")

    def _ended(self, step: str, process: _Process) -> TargetError:
        process.close()
        code = self._poll_exit()
        how = "" if code is None else f" (killed by signal {-code})" if code < 0 else f" (exit code {code})"
        return TargetError(step, f"process {process.pid} ended{how} while the clock was at {self._now}")

    def _wait_for_process(self, step: str, until: float) -> _Process:
        while True:
            with self._arrived:
                if self._closed:
                    raise TargetError(step, "the clock is closed")
                process = self._process
                if process is not None:
                    if process.alive():
                        return process
                    raise self._ended(step, process)
                code = self._poll_exit()
                if code is not None or real_now() > until:
                    why = "" if code is None else f"; the process ended with {code}"
                    raise TargetError(
                        step,
                        f"no Python process has reported to the clock{why} (started with env()? "
                        "python -I, -E and -S ignore it, and a frozen program may)",
                    )
                self._arrived.wait(0.05)

    # --- listening ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closed:
                connection.close()
                return
            try:
                connection.settimeout(_HELLO_S)
                if not self._greet(connection):
                    connection.close()
            except (OSError, ValueError):
                connection.close()

    def _greet(self, connection: socket.socket) -> bool:
        """Answer a hello; whether the sender is now the process whose clock this is."""
        hello = json.loads(_line(connection))
        token = str(hello.get("token")).encode()
        if hello.get("event") != "hello" or not hmac.compare_digest(token, self._token.encode()):
            connection.sendall(b'{"error": "wrong token"}\n')
            return False
        with self._arrived:
            if self._process is not None and self._process.alive():
                connection.sendall(b'{"error": "another process has this clock", "second": true}\n')
                return False
            if self._process is not None:
                self._process.close()
            connection.sendall(json.dumps({"nowMs": self._now}).encode() + b"\n")
            self._process = _Process(connection, int(hello["pid"]))
            self._arrived.notify_all()
            return True


class _Process:
    """The connection of one process."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection, self.pid = connection, pid
        self._number = 0

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Raises :class:`TimeoutError`, and :class:`OSError` or :class:`ValueError` when the process has gone."""
        self._number += 1
        self._connection.settimeout(timeout_s)
        self._connection.sendall(json.dumps({"id": self._number, **request}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(_line(self._connection))
        if answer.get("id") != self._number:
            raise ValueError("an answer to another question")
        return answer

    def alive(self) -> bool:
        """Whether the connection stands."""
        try:
            with selectors.PollSelector() as look:
                look.register(self._connection, selectors.EVENT_READ)
                return not look.select(0) or self._connection.recv(1, socket.MSG_PEEK) != b""
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        self._connection.close()


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = connection.recv(65536)
        if not piece:
            raise ValueError("the connection was closed")
        line += piece
    return line


def _forward(now_ms: int, to_ms: int) -> int:
    if to_ms < now_ms:
        raise ValueError(f"the clock is at {now_ms} and cannot go back to {to_ms}")
    return to_ms


def _libraries() -> str:
    """Where this environment has freezegun: lent to a process that has none."""
    spec = importlib.util.find_spec("freezegun")
    return "" if spec is None or spec.origin is None else str(Path(spec.origin).parents[1])


def _short_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cs-clock-"))
    if len(str(folder).encode()) <= _LONGEST_PATH:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="cs-clock-", dir="/tmp"))
