"""The clock of any dynamically linked program on Linux: libfaketime with a timestamp file, where it is installed.

The file holds a frozen instant; it is replaced, and the program is poked so that its waits look again. Each step
is one look: what comes due within a step fires at the step's end. See docs/clocks/faketime.md.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ..outcomes import TargetError
from .replies import real_now

STEP_MS = 60_000
INSTALL = "libfaketime is not installed (Debian, Ubuntu: apt-get install faketime)"
_PLACES = (
    "/usr/lib/*/faketime",
    "/usr/lib/faketime",
    "/usr/lib64/faketime",
    "/usr/local/lib/faketime",
    "/usr/local/lib/*/faketime",
)
# The instant lies within its millisecond, so that what is due on the millisecond is due.
_WITHIN_US, _NUDGE_US, _NUDGED_US = 500, 10, 2_000
_NUDGE_S = 0.005
_POLL_S = 0.0005
_SAME = 3  # looks in a row at which no thread has run


def find_libfaketime() -> Path | None:
    """The library to preload, or None where it is not installed."""
    for place in _PLACES:
        for name in ("libfaketimeMT.so.1", "libfaketime.so.1"):
            found = sorted(Path("/").glob(f"{place[1:]}/{name}"))
            if found:
                return found[0]
    return None


class FaketimeClock:
    """Moves the time of a process started with :meth:`env` and named by :meth:`attach`, and of its children.

    ``start_ms``: epoch milliseconds. ``settled``: has everything outside the process done its part? ``next_due``:
    the gateway's next known instant, so that a step ends there. ``poke``: makes the process look at the time again
    (default: SIGSTOP, SIGCONT). ``late_ms`` is added to a step that ends at something due (for programs that round
    up). ``timeout_s``: real seconds a move may take. Raises :class:`TargetError` where libfaketime is not installed.
    """

    def __init__(
        self,
        start_ms: int,
        *,
        library: Path | None = None,
        settled: Callable[[], bool] | None = None,
        next_due: Callable[[], int | None] | None = None,
        poke: Callable[[], None] | None = None,
        step_ms: int = STEP_MS,
        late_ms: int = 0,
        timeout_s: float = 60.0,
    ) -> None:
        found = library or find_libfaketime()
        if found is None:
            raise TargetError("clock", INSTALL)
        self._library, self._now = found, start_ms
        self._settled, self._next_due, self._poke = settled, next_due, poke or self._stop_and_go
        self._step_ms, self._late_ms, self._timeout_s = step_ms, late_ms, timeout_s
        self._pid: int | None = None
        self._poll_exit: Callable[[], int | None] = lambda: None
        self._folder = Path(tempfile.mkdtemp(prefix="cs-faketime-"))
        self._written = 0
        self._write(start_ms * 1000 + _WITHIN_US)

    def env(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Variables to add to ``base`` (default: this process's own) for the process to start."""
        preload = (os.environ if base is None else base).get("LD_PRELOAD", "")
        return {
            "LD_PRELOAD": f"{self._library}:{preload}" if preload else str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._folder / "now"),
            # With its cache libfaketime never sees a new value: the cache runs on the frozen clock.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_FMT": "%s",
        }

    def attach(self, pid: int, poll: Callable[[], int | None] | None = None) -> None:
        """The process to move, and what tells its exit status (``Popen.poll``)."""
        self._pid = pid
        self._poll_exit = poll or (lambda: None)

    @property
    def now_ms(self) -> int:
        """The present virtual instant."""
        return self._now

    def advance(self, to_ms: int) -> int:
        """Let time pass to ``to_ms`` in steps; returns it, settled. Raises :class:`TargetError`."""
        self._forward(to_ms)
        until = real_now() + self._timeout_s
        self._settle("clock/advance", until)
        while self._now < to_ms:
            self._step("clock/advance", min(to_ms, self._next_stop()), until)
        return self._now

    def jump(self, to_ms: int) -> int:
        """It is suddenly ``to_ms``; what was due in between fires late, once."""
        self._forward(to_ms)
        until = real_now() + self._timeout_s
        self._settle("clock/jump", until)
        self._step("clock/jump", to_ms, until)
        return self._now

    def close(self) -> None:
        """Remove the timestamp file's folder; the process goes on with the last instant. Safe to call twice."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _next_stop(self) -> int:
        stop = self._now + self._step_ms
        due = self._next_due() if self._next_due is not None else None
        return stop if due is None or due < self._now else min(stop, due + self._late_ms)

    def _forward(self, to_ms: int) -> None:
        # Backwards can abort the process: Node has an assertion that its monotonic clock does not go back.
        if to_ms < self._now:
            raise ValueError(f"the clock is at {self._now} and cannot go back to {to_ms}")

    def _step(self, step: str, to_ms: int, until: float) -> None:
        self._now = max(self._now, to_ms)
        self._write(self._now * 1000 + _WITHIN_US)
        try:
            self._poke()
        except OSError as error:
            raise self._ended(step, error) from None
        self._settle(step, until)

    def _write(self, us: int) -> None:
        """Replace the file: a reader sees the old instant or the new one, never half of it."""
        self._written = max(us, self._written + 1)
        new = self._folder / "new"
        new.write_text(f"{self._written // 1_000_000}.{self._written % 1_000_000:06d}\n", encoding="ascii")
        new.replace(self._folder / "now")

    # --- the process --------------------------------------------------------------------------------------

    def _stop_and_go(self) -> None:
        """Interrupt every wait of the process: it looks at the time and waits on."""
        pid = self._process()
        os.kill(pid, signal.SIGSTOP)
        try:
            # SIGCONT takes a SIGSTOP that has not arrived back.
            limit = real_now() + 2.0
            while _states(pid) - {"T", "t"} and real_now() < limit:
                time.sleep(_POLL_S / 5)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _settle(self, step: str, until: float) -> None:
        """Wait until no thread of the process runs and ``settled`` is true."""
        pid, same, before = self._process(), 0, None
        nudge_at = real_now() + _NUDGE_S
        while True:
            marks = _marks(pid)
            if not marks or self._poll_exit() is not None:
                raise self._ended(step, None)
            quiet = marks == before and all(state == "S" for state, _ in marks.values())
            same, before = (same + 1 if quiet else 0), marks
            if same >= _SAME and (self._settled is None or self._settled()):
                return
            if real_now() > until:
                what = "settled() is false" if same >= _SAME else f"threads of process {pid} keep running"
                raise TargetError(step, f"not settled at {self._now} within {self._timeout_s:g} s: {what}")
            if same == 0 and real_now() > nudge_at:
                nudge_at = real_now() + _NUDGE_S
                self._nudge()
            time.sleep(_POLL_S)

    def _nudge(self) -> None:
        """A hair's breadth of time, for a loop that spins because its timer is due now, give or take a rounding."""
        if self._written < self._now * 1000 + _NUDGED_US:
            self._write(self._written + _NUDGE_US)

    def _process(self) -> int:
        if self._pid is None:
            raise TargetError("clock", "no process has been named: call attach(pid)")
        return self._pid

    def _ended(self, step: str, error: OSError | None) -> TargetError:
        code = self._poll_exit()
        how = "" if code is None else f" (killed by signal {-code})" if code < 0 else f" (exit code {code})"
        why = "" if error is None else f": {error}"
        return TargetError(step, f"process {self._pid} ended{how} while the clock was at {self._now}{why}")


def _marks(pid: int) -> dict[str, tuple[str, str]]:
    """State and number of turns of each thread; empty: the process is gone."""
    found: dict[str, tuple[str, str]] = {}
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            folder = f"/proc/{pid}/task/{task}"
            with contextlib.suppress(OSError, IndexError):
                state = _text(f"{folder}/stat").rpartition(")")[2].split()[0]
                if state in "ZX":
                    continue
                found[task] = (state, _text(f"{folder}/schedstat").split()[2])
    return found


def _states(pid: int) -> set[str]:
    return {state for state, _ in _marks(pid).values()}


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
