"""What keeps a virtual loop's clock from moving on: work outside of the loop, and replies that it waits for."""

from __future__ import annotations

import contextlib
import socket
import weakref
from collections.abc import Callable, Collection, Iterator
from typing import Any

from .executor_jobs import Job
from .replies import Reply, real_now

KINDS = frozenset({"threads", "subprocesses", "sockets"})
_GRACE_S = (
    0.05  # how long "settled" has to be true while a reply is still awaited: then it is held on purpose
)


class Holds:
    """The reasons of one loop. Asked by its own thread and by others; ``poke`` makes the loop ask again."""

    def __init__(
        self, kinds: Collection[str], settled: Callable[[], bool] | None, poke: Callable[[], None]
    ) -> None:
        if unknown := sorted(set(kinds) - KINDS):
            raise ValueError(f"held_by takes {', '.join(sorted(KINDS))}, not {', '.join(unknown)}")
        self.kinds, self.settled, self._poke = frozenset(kinds), settled, poke
        self.thread_rests: Callable[[int], bool] = lambda ident: False
        self.children: weakref.WeakSet[Any] = weakref.WeakSet()  # asyncio's subprocess transports
        self.replies: weakref.WeakKeyDictionary[socket.socket, Reply] = weakref.WeakKeyDictionary()
        self.jobs: set[Job] = set()
        self._held: dict[object, str] = {}
        self._steady: float | None = None
        self._withheld: set[str] = set()

    @contextlib.contextmanager
    def hold(self, what: str) -> Iterator[None]:
        """Hold the clock inside of this context."""
        token = object()
        self._held[token] = what
        try:
            yield
        finally:
            del self._held[token]
            self._poke()

    def work(self) -> list[str]:
        """What is under way in this process: holds, jobs of executors, child processes."""
        found = list(self._held.values())
        for job in list(self.jobs):
            if job.done:
                self.jobs.discard(job)
            elif not (job.threads and self.thread_rests(job.threads[0])):
                found.append(str(job))
        return found + [
            f"child process {t.get_pid()}" for t in list(self.children) if t.get_returncode() is None
        ]

    def unsettled(self) -> list[str]:
        """What the function given as ``settled`` says."""
        if self.settled is None:
            return []
        try:
            return [] if self.settled() else ["settled() is false"]
        except Exception as error:
            return [f"settled() raised {error!r}"]

    def awaited(self, blocked: Collection[int] = ()) -> list[str]:
        """The replies that the loop's own connections wait for, and file descriptors that cannot take data."""
        if "sockets" not in self.kinds:
            return []
        replies = list(self.replies.items())
        found = [str(reply) for sock, reply in replies if sock.fileno() >= 0 and reply.busy]
        found += [f"fd {fd} to take data" for fd in blocked]
        return [what for what in found if what not in self._withheld]

    def now(self, blocked: Collection[int] = ()) -> tuple[list[str], list[str]]:
        """What holds the clock now: work, and replies. A reply withheld on purpose is not among them."""
        work, replies = self.work() + self.unsettled(), self.awaited(blocked)
        if work or self.settled is None or not replies:
            self._steady = None
            return work, replies
        self._steady = real_now() if self._steady is None else self._steady
        if real_now() - self._steady < _GRACE_S:
            return work, replies
        self._withheld |= set(replies)
        return work, []

    def ask_again(self) -> None:
        """Something has come in: whatever seemed steady may not be."""
        self._steady = None

    def forget_withheld(self) -> None:
        """The script may have let go of what it withheld: it has to prove again that it is settled."""
        self._withheld.clear()
        self._steady = None
