"""Execution: a run, or a human's message, as one turn in one session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from . import keys
from .clock import Clock
from .errors import ModelError, Refused, StoreClosed
from .jobs import Job
from .model import Model
from .resolver import RECEIPT, resolve
from .sessions import ACTIVE, FOREIGN, IN_MODEL, QUEUED, Place, SessionDesk, Turn
from .settings import Settings
from .store import Run, SessionRow, Store
from .transcripts import Message

log = logging.getLogger(__name__)

RANK_TIMEOUT = 0
"""At one instant time-outs come before slots: a run that ends then does not block the next one."""

_ENDINGS = {
    "timeout": "timed out",
    "cancelled": "was cancelled",
    "interrupted": "was interrupted: the gateway stopped",
}

Finished = Callable[[Run, Job], list[tuple[Run, Job]]]


class Runner:
    """Executes turns as tasks. ``finished`` is called in the transaction that writes a run's outcome."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, desk: SessionDesk, model: Model, owner: str
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._desk = desk
        self.model = model
        self._owner = owner
        self.finished: Finished = lambda run, job: []
        self.turns: dict[Turn, None] = {}

    def start(self, run: Run, job: Job) -> Turn:
        """Execute a run that has been claimed."""
        turn = Turn(run_id=run.id)
        return self._spawn(turn, self._run(turn, run, job))

    def say(self, place: Place, text: str) -> Turn:
        """A human's message. The turn's ``row``, ``reply`` and ``error`` tell what became of it."""
        turn = Turn()
        return self._spawn(turn, self._human(turn, place, text))

    def _spawn(self, turn: Turn, work: object) -> Turn:
        turn.task = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self.turns[turn] = None
        return turn

    def live(self) -> set[str]:
        """The ids of the runs this process is executing."""
        return {turn.run_id for turn in self.turns if turn.run_id is not None}

    def cancel(self, run_id: str, verdict: str = "cancelled") -> bool:
        """Stop a run; False if this process is not executing it."""
        return any(turn.cancel(verdict) for turn in self.turns if turn.run_id == run_id)

    async def _run(self, turn: Turn, run: Run, job: Job) -> None:
        status = "ok"
        try:
            await self._converse(turn, self._place(job), job.payload.text, job.timeout_ms, run)
        except asyncio.CancelledError:
            status = turn.verdict or "interrupted"
            turn.error = _ENDINGS[status]
            turn.cause = "timeout" if status == "timeout" else None
        except StoreClosed:
            status = "interrupted"
        except ModelError as err:
            status, turn.error, turn.cause = "error", str(err), err.cause
        except Refused as err:
            status, turn.error, turn.cause = "error", str(err), "gateway"
        except Exception as err:
            log.exception("run %s of job %s failed", run.id, job.id)
            status, turn.error, turn.cause = "error", f"{type(err).__name__}: {err}", "gateway"
        self._finish(turn, run, job, status)

    def _place(self, job: Job) -> Place:
        found = resolve(job, agents=self._settings.agents, policies=self._settings.policies)
        if found.key is not None:
            owner = job.id if found.kind == "job" else None
            return Place(found.key, job.agent, found.kind, owner)
        place = Place("", job.agent, RECEIPT, job.id)
        return replace(place, key=keys.receipt_key(job.agent, job.id, place.session_id))

    async def _converse(
        self, turn: Turn, place: Place, text: str, timeout_ms: int | None, run: Run | None = None
    ) -> None:
        earlier: list[Message] = []

        def opened(row: SessionRow) -> SessionRow:
            earlier.extend(self._desk.messages(row))
            if run is not None:
                started = replace(run, started_ms=self._clock.now(), session_key=row.key, session_id=row.id)
                self._store.put_run(started)
            return self._desk.record(row, "user", text)

        await self._desk.enter(turn, place, opened)
        # The time-out counts from here: waiting for the session was not the run's doing.
        until = self._clock.now() + (timeout_ms or self._settings.default_timeout_ms)
        timer = self._clock.call_at(until, lambda: turn.cancel("timeout"), rank=RANK_TIMEOUT)
        try:
            turn.where = IN_MODEL
            try:
                reply = await self.model.complete([*earlier, {"role": "user", "content": text}])
            finally:
                turn.where = ACTIVE
            if turn.row is not None:
                turn.row = self._desk.record(turn.row, "assistant", reply)
            turn.reply = reply
        finally:
            timer.cancel()

    def _finish(self, turn: Turn, run: Run, job: Job, status: str) -> None:
        successors: list[tuple[Run, Job]] = []
        try:
            with self._store.transaction():
                self._desk.leave(turn)
                stored = self._store.run(run.id) or run
                ended = replace(stored, status=status, ended_ms=self._clock.now(), error=turn.error)
                ended = replace(ended, cause=turn.cause)
                self._store.put_run(ended)
                successors = self.finished(ended, job)
        except StoreClosed:
            successors = []
        except Exception:
            # The run stays open in the store; as this process no longer executes it, the scheduler
            # takes it for interrupted when it next looks at the job.
            log.exception("the outcome of run %s could not be written", run.id)
        finally:
            self.turns.pop(turn, None)
        for successor, its_job in successors:
            self.start(successor, its_job)

    async def _human(self, turn: Turn, place: Place, text: str) -> None:
        try:
            await self._converse(turn, place, text, None)
        except asyncio.CancelledError:
            turn.error = _ENDINGS[turn.verdict or "interrupted"]
        except StoreClosed:
            turn.error = _ENDINGS["interrupted"]
        except ModelError as err:
            turn.error = str(err)
        except Exception as err:
            log.exception("a message to session %s failed", place.key)
            turn.error = f"{type(err).__name__}: {err}"
        try:
            with self._store.transaction():
                self._desk.leave(turn)
        except StoreClosed:
            pass
        finally:
            self.turns.pop(turn, None)

    def _blocked(self, turn: Turn) -> bool:
        if turn.verdict is not None:
            return False
        if turn.where == FOREIGN:
            return not self._desk.may_go_on(turn)
        return turn.where in (IN_MODEL, QUEUED)

    def blocked(self) -> bool:
        """Whether nothing here can get on without a model, or another process, doing something."""
        return all(self._blocked(turn) for turn in self.turns)

    def _in_model(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.where == IN_MODEL]

    async def settle(self) -> None:
        """Wait until all that is open is held on purpose."""
        spins = 0
        while self.turns:
            if self.blocked():
                waiting = self._in_model()
                if await self.model.at_rest(len(waiting)) and self.blocked() and waiting == self._in_model():
                    return
            await self.model.pause(spins)
            spins += 1

    async def stop(self, verdict: str) -> None:
        """Stop all work; it ends with this verdict."""
        tasks = [turn.task for turn in self.turns if turn.task is not None]
        for turn in list(self.turns):
            turn.cancel(verdict)
        await asyncio.gather(*tasks, return_exceptions=True)
