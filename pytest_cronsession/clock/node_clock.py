"""The clock of unmodified Node processes: a preload in each of them, moved from here.

See docs/clocks/node.md for what it covers and what it cannot.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..outcomes import TargetError
from .node_link import Json, Link
from .node_rounds import Replies, Rounds, earliest

PRELOAD = Path(__file__).parent / "node" / "preload.cjs"
Mode = Literal["frozen", "running"]


@dataclass(frozen=True)
class Moved:
    """What a move did: where the clock is, how many timers fired, when the next is due, what is still open."""

    now_ms: int
    fired: int
    next_timer_ms: int | None
    pending_io: tuple[str, ...] = ()


class NodeClock:
    """Moves the time of every Node process started with :meth:`env`. Usable from any thread.

    ``start_ms``: epoch milliseconds, or None for real time. ``mode``: does time stand between moves
    ("frozen") or go on with real time ("running")? ``real_below_ms``: shorter timers stay real.
    ``settled``: has everything outside the processes (a model server) done its part? ``whats_open``: what has
    not, for messages. ``timeout_s``: real seconds a command may take.

    Every method raises :class:`TargetError` that names its step.
    """

    def __init__(
        self,
        start_ms: int | None,
        *,
        mode: Mode = "frozen",
        real_below_ms: int = 0,
        settled: Callable[[], bool] | None = None,
        whats_open: Callable[[], str] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.mode: Mode = mode
        self.timeout_s = timeout_s
        self._real_below_ms = real_below_ms
        self._lock = threading.RLock()
        self._link = Link()
        self._rounds = Rounds(self._link, settled, whats_open)
        # Without a process: the instant, or how far it is from real time.
        self._base = _real_ms() if start_ms is None else start_ms
        self._ahead = self._base - _real_ms()

    # --- starting processes ------------------------------------------------------------------------------

    def env(self, base: Mapping[str, str] | None = None, *, helper: bool = False) -> dict[str, str]:
        """Variables to add to ``base`` (default: this process's own) for a process that starts now.

        ``helper``: a process beside the gateway, such as its command line, whose end is no news.
        """
        now = self.now_ms
        options = (os.environ if base is None else base).get("NODE_OPTIONS", "")
        quoted = str(PRELOAD).replace("\\", "\\\\").replace('"', '\\"')
        return {
            "NODE_OPTIONS": f'{options} --require "{quoted}"'.strip(),
            "CRONSESSION_CLOCK_SOCKET": str(self._link.path),
            "CRONSESSION_CLOCK_TOKEN": self._link.token,
            "CRONSESSION_CLOCK_START_MS": str(now) if self.mode == "frozen" else f"real+{now - _real_ms()}",
            "CRONSESSION_CLOCK_MODE": self.mode,
            "CRONSESSION_CLOCK_REAL_BELOW_MS": str(self._real_below_ms),
            "CRONSESSION_CLOCK_ROLE": "helper" if helper else "main",
        }

    def watch(self, poll: Callable[[], int | None]) -> None:
        """Name the gateway's exit status by this (``Popen.poll``) when it ends without a word."""
        self._rounds.poll_exit = poll

    def pass_time(self, to_ms: int) -> None:
        """Let time pass while no process runs."""
        with self._lock:
            self._rounds.take_in("clock/pass")
            if self._link.peers:
                raise TargetError("clock/pass", f"{self._link.peers[0].name} is running; use advance or jump")
            self._note(to_ms)

    # --- looking -----------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """Virtual epoch milliseconds, as the gateway has them."""
        with self._lock:
            if self.mode == "running":
                self._rounds.take_in("clock/now")
                self._base = _real_ms() + self._ahead
                main = self._rounds.main
                if main is not None:
                    replies = self._rounds.run("clock/now", {"do": "now"}, time.monotonic() + self.timeout_s)
                    self._note(int(replies[main]["nowMs"]))
            return self._base

    def next_timer_ms(self) -> int | None:
        """When the earliest timer of any process is due; None: there is none."""
        with self._lock:
            step = "clock/timers"
            until = self._begin(step)
            return earliest(self._rounds.run(step, {"do": "now"}, until))

    def timers(self) -> list[int]:
        """The instants of all pending timers, ascending."""
        with self._lock:
            step = "clock/timers"
            until = self._begin(step)
            replies = self._rounds.run(step, {"do": "timers"}, until)
            return sorted(due for reply in replies.values() for due in reply["timers"])

    def busy(self) -> list[str]:
        """What real work is under way, by kind and process; empty: none."""
        with self._lock:
            step = "clock/quiet"
            until = self._begin(step)
            replies = self._rounds.run(step, {"do": "quiet"}, until)
            return [f"{peer.name}: {what}" for peer, reply in replies.items() for what in reply["pendingIo"]]

    # --- moving ------------------------------------------------------------------------------------------

    def advance(self, to_ms: int) -> Moved:
        """Fire everything due up to and including ``to_ms``, in order, each at its instant, settled in between."""
        with self._lock:
            step = "clock/advance"
            until = self._begin(step)
            try:
                fired, replies = self._hop(step, to_ms, until)
            except BaseException:
                self._rounds.tell({"do": "pause"})
                self._rounds.tell({"do": "release"})
                raise
            return self._finish(fired, replies)

    def _hop(self, step: str, to_ms: int, until: float) -> tuple[int, Replies]:
        """Move until everybody is at ``to_ms`` and has nothing due; timers fired, last answers."""
        fired = 0
        replies = self._settle(step, until, fresh=True)
        while True:
            if len(self._link.peers) == 1:
                command: Json = {"do": "advance", "toMs": to_ms}
                replies = self._rounds.run(step, command, until, settle=True)
                fired += sum(int(reply["fired"]) for reply in replies.values())
            else:
                number, replies = self._hop_together(step, to_ms, until, replies)
                fired += number
            due = earliest(replies)
            there = all(reply["nowMs"] >= to_ms for reply in replies.values())
            if there and (due is None or due > to_ms) and set(self._link.peers) <= set(replies):
                return fired, replies
            if time.monotonic() > until:
                raise TargetError(
                    step, f"there is no end of timers: {fired} fired within {self.timeout_s:g} s"
                )

    def _hop_together(self, step: str, to_ms: int, until: float, known: Replies) -> tuple[int, Replies]:
        """All processes to the next timer of any of them: none may see another one's future."""
        if set(self._link.peers) != set(known):
            known = self._settle(step, until)
        due = earliest(known)
        target = to_ms if due is None else min(to_ms, due)
        replies = self._rounds.run(step, {"do": "set", "toMs": target}, until)
        first = [p for p, r in replies.items() if r["nextTimerMs"] is not None and r["nextTimerMs"] <= target]
        command: Json = {"do": "advance", "toMs": target}
        replies |= self._rounds.run(step, command, until, settle=True, peers=first)
        fired = sum(int(reply.get("fired", 0)) for reply in replies.values())
        if set(self._link.peers) != set(replies) or _sent(replies) != _sent(known):
            replies = self._settle(step, until)  # one has given another something to do
        return fired, replies

    def _settle(self, step: str, until: float, *, fresh: bool = False) -> Replies:
        """Let everybody finish, and again while they still had something to say to each other."""
        sent = -1
        while True:
            replies = self._rounds.run(step, {"do": "settle", "fresh": fresh}, until, settle=True)
            before, sent, fresh = sent, _sent(replies), False
            if len(self._link.peers) < 2 or sent == before or time.monotonic() > until:
                return replies

    def jump(self, to_ms: int, *, wall_only: bool = False) -> Moved:
        """The wall clock is suddenly at ``to_ms``; every timer due by then fires at once, and once.

        ``wall_only``, and every jump back, leaves the timers' remaining time as it is.
        """
        with self._lock:
            step = "clock/jump"
            until = self._begin(step)
            command: Json = {"do": "jump", "toMs": to_ms, "wallOnly": wall_only}
            replies = self._rounds.run(step, command, until, settle=True)
            fired = sum(int(reply["fired"]) for reply in replies.values())
            return self._finish(fired, self._settle(step, until) if len(replies) > 1 else replies)

    def set_mode(self, mode: Mode) -> None:
        """Let time stand between moves, or run."""
        with self._lock:
            self._base = self.now_ms
            self._ahead = self._base - _real_ms()
            self.mode = mode
            self._rounds.take_in("clock/mode")
            if self._link.peers:
                until = time.monotonic() + self.timeout_s
                self._rounds.run("clock/mode", {"do": "mode", "mode": mode}, until)

    def close(self) -> None:
        """Let go of every process (each goes on with real time) and of the socket; safe to call twice."""
        with self._lock:
            self._link.close()

    def _finish(self, fired: int, replies: Replies) -> Moved:
        if self.mode == "running":
            self._rounds.tell({"do": "release"})  # no answer wanted: what has ended by itself gives none
        main = self._rounds.main
        reply = replies[main] if main in replies else next(iter(replies.values()))
        self._note(int(reply["nowMs"]))
        pending = [what for reply in replies.values() for what in reply["pendingIo"]]
        return Moved(self._base, fired, earliest(replies), tuple(pending))

    def _note(self, now_ms: int) -> None:
        self._base = now_ms
        self._ahead = now_ms - _real_ms()

    def _begin(self, step: str) -> float:
        """The time limit of a command that needs a gateway; raises :class:`TargetError` without one."""
        until = time.monotonic() + self.timeout_s
        self._rounds.ready(step, until)
        return until


def _sent(replies: Replies) -> int:
    """How much they have said to each other, and to anybody else, so far."""
    return sum(int(reply["sent"]) for reply in replies.values())


def _real_ms() -> int:
    return int(time.time() * 1000)
