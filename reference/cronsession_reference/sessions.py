"""Sessions in use: one turn at a time in each, in the order they asked."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from .clock import Clock
from .instances import Instance
from .resolver import RECEIPT
from .store import SessionRow, Store
from .transcripts import Message, Transcripts

ACTIVE, QUEUED, FOREIGN, IN_MODEL = "active", "queued", "foreign", "in model"


@dataclass(eq=False)
class Turn:
    """A turn under way, and what it is waiting for: ``where``.

    ``verdict`` is set before its task is cancelled and says why. ``row`` is its session, once it has it.
    ``cause`` is the class of its failure.
    """

    run_id: str | None = None
    where: str = ACTIVE
    verdict: str | None = None
    key: str | None = None
    row: SessionRow | None = None
    reply: str | None = None
    error: str | None = None
    cause: str | None = None
    task: asyncio.Task[Any] | None = None
    wake: asyncio.Future[None] | None = None

    def cancel(self, verdict: str) -> bool:
        """Stop the work; False if it is being stopped already."""
        if self.verdict is not None or self.task is None:
            return False
        self.verdict = verdict
        self.task.cancel()
        return True


@dataclass(frozen=True)
class Place:
    """Where a turn happens. ``session_id`` is for a session that is new; ``key`` is its key."""

    key: str
    agent: str
    kind: str
    job_id: str | None = None
    session_id: str = field(default_factory=lambda: str(uuid.uuid4()))


class SessionDesk:
    """Hands out sessions.

    Within a process turns queue up; between processes the lease in the store decides. A lease also keeps
    the reaper and maintenance away.
    """

    def __init__(
        self,
        store: Store,
        transcripts: Transcripts,
        clock: Clock,
        instance: Instance,
        make_room: Callable[[int], None],
    ) -> None:
        self._store = store
        self._transcripts = transcripts
        self._clock = clock
        self._instance = instance
        self._make_room = make_room
        self._queues: dict[str, deque[Turn]] = {}

    async def enter(self, turn: Turn, place: Place, opened: Callable[[SessionRow], SessionRow]) -> SessionRow:
        """Wait until it is this turn's turn; open the session and answer its row.

        ``opened`` is called in the transaction that opens it, and answers the row as it is to be kept.
        """
        queue = self._queues.get(place.key)
        if queue is None:
            self._queues[place.key] = deque()
        else:
            queue.append(turn)
            await self._queue_up(turn, place.key)
        turn.key = place.key
        try:
            while (row := self._open(place, opened)) is None:
                turn.where = FOREIGN
                await self._clock.pause()
                turn.where = ACTIVE
        except BaseException:
            self._next(place.key)
            turn.key = None
            raise
        turn.row = row
        return row

    async def _queue_up(self, turn: Turn, key: str) -> None:
        turn.where, turn.wake = QUEUED, asyncio.get_running_loop().create_future()
        try:
            await turn.wake
        except asyncio.CancelledError:
            if turn.wake.done() and not turn.wake.cancelled():
                self._next(key)  # the session was handed over just before the work was stopped
            elif turn in self._queues[key]:
                self._queues[key].remove(turn)
            raise

    def _next(self, key: str) -> None:
        queue = self._queues[key]
        while queue:
            turn = queue.popleft()
            if turn.wake is not None and not turn.wake.done():
                turn.where = ACTIVE
                turn.wake.set_result(None)
                return
        del self._queues[key]

    def _open(self, place: Place, opened: Callable[[SessionRow], SessionRow]) -> SessionRow | None:
        now = self._clock.now()
        with self._store.transaction():
            if not self._lease(place.key):
                return None
            row = self._store.session(place.key)
            if row is None:
                row = SessionRow(place.key, place.session_id, place.agent, place.job_id, place.kind, now, now)
                self._store.put_session(row)
                self._make_room(now)
            elif row.kind != place.kind and row.kind == RECEIPT:
                # Somebody chose this key as a lasting session: it is no receipt any more.
                row = replace(row, kind=place.kind)
            row = opened(row)
            self._store.put_session(row)
            return row

    def _lease(self, key: str) -> bool:
        if self._store.lease(key, self._instance.id):
            return True
        owner = self._store.lease_owner(key)
        if owner is None or self._instance.alive(owner):
            return False
        self._store.release(key, owner)
        return self._store.lease(key, self._instance.id)

    def messages(self, row: SessionRow) -> list[Message]:
        return self._transcripts.messages(row.id)

    def record(self, row: SessionRow, role: str, content: str) -> SessionRow:
        """Append a message; answer the row as it is now."""
        now = self._clock.now()
        size = self._transcripts.append(row.id, [{"role": role, "content": content, "atMs": now}])
        return replace(row, updated_ms=now, bytes=size)

    def leave(self, turn: Turn) -> None:
        """Write down the turn's ``row``, its end being the last activity, and let the next turn in."""
        key, turn.key = turn.key, None
        if key is None:
            return
        try:
            stored = self._store.session(key)
            if stored is not None and turn.row is not None:
                ended = replace(stored, updated_ms=self._clock.now(), bytes=turn.row.bytes)
                self._store.put_session(ended)
            self._store.release(key, self._instance.id)
        finally:
            self._next(key)

    def may_go_on(self, turn: Turn) -> bool:
        """Whether a turn that waits for another process could begin now."""
        return turn.where == FOREIGN and turn.key is not None and self._store.lease_owner(turn.key) is None
