"""A process group, a gateway's or npm's: started, watched, and ended without anything left over."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from weakref import WeakSet

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# Ends the group when its standard input ends, which it does however this Python ends, SIGKILL included.
_GUARD = 'read -r _; kill -s KILL -- "-$1" 2>/dev/null'
_TAIL_BYTES = 16_384
_alive: WeakSet[ProcessGroup] = WeakSet()


class ProcessGroup:
    """One process in a session and group of its own, its output in ``log``.

    Raises :class:`OSError` if it cannot be started.
    """

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        self.log = log
        # The log goes on over restarts; only what this process prints is its tail.
        self._offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                list(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard: subprocess.Popen[bytes] | None = None
        _alive.add(self)
        try:
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", _GUARD, "cronsession-guard", str(self._process.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The leader of the group; also the group's id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """The exit code; None if it still runs when ``timeout_s`` have passed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self.exit_code

    def tail(self, lines: int = 30) -> str:
        """The end of what it printed, without colours."""
        try:
            with self.log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(self._offset, size - _TAIL_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(_COLOUR.sub("", text).splitlines()[-lines:])

    def cpu_s(self) -> float:
        """Processor seconds that the group has used so far, where /proc tells; else 0."""
        ticks = sum(_ticks(pid) for pid in (self.pid, *_descendants(self.pid)))
        return ticks / os.sysconf("SC_CLK_TCK")

    async def stop(self, grace_s: float) -> bool:
        """Ask it to end, wait up to ``grace_s``, then kill what is left. False: it had to be killed."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        limit = time.monotonic() + grace_s
        while self.exit_code is None and time.monotonic() < limit:
            await asyncio.sleep(0.05)
        in_order = self.exit_code is not None
        self.kill()
        return in_order

    def kill(self) -> None:
        """Kill the whole group at once, and what it started outside of it; safe to call twice."""
        _alive.discard(self)
        if self._process.returncode is None or self._guard is not None:
            # While the guard is unspent the group's id is this group's own: members may outlive the leader.
            strays = _descendants(self.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._dismiss()

    def _dismiss(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            guard.kill()
            guard.wait()
            if guard.stdin is not None:
                guard.stdin.close()


def _descendants(pid: int) -> list[int]:
    """The children of ``pid`` and theirs, where /proc tells.

    OpenClaw's spawn broker leads a session of its own; it ends by itself, but not at once.
    """
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found += parents.get(child, ())
    return found


def _ticks(pid: int) -> int:
    """User and system time of a process, in clock ticks; 0 for one that has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return 0


@atexit.register
def _end_all() -> None:
    for process in list(_alive):
        process.kill()
