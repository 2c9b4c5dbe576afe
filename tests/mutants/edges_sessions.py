"""Gateways that keep a session wrongly for one form, after one kind of end, or for so long (area sessions)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.resolver import MAIN, NAMED
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run, SessionRow
from cronsession_reference.transcripts import Message

from .altered import Altered, wrap, wrong
from .contexts import renew
from .people import Leaving


async def _nothing() -> None:
    """What is done instead of a turn."""


class _Ending(Altered):
    """After some runs their session begins anew."""

    def spoils(self, run: Run, kind: str, status: str) -> bool:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and self.spoils(run, row.kind, status):
                renew(engine, row.key)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:K6", "SES-011")
class TimedOutEventsResetMain(_Ending):
    """After an event that timed out the main session begins anew."""

    def spoils(self, run: Run, kind: str, status: str) -> bool:
        return kind == MAIN and status == "timeout"


@wrong("bugs:K6", "SES-011")
class TimeoutsAtSlotsReset(_Ending):
    """After a scheduled run that timed out its session begins anew."""

    def spoils(self, run: Run, kind: str, status: str) -> bool:
        return kind == NAMED and status == "timeout" and run.trigger == "schedule"


@wrong("bugs:K6", "SES-005")
class FailedRepetitionsReset(_Ending):
    """After a repetition that failed its session begins anew."""

    def spoils(self, run: Run, kind: str, status: str) -> bool:
        return kind == NAMED and status == "error" and run.trigger == "retry"


@wrong("bugs:K6", "SES-011")
class StoppedPeopleReset(Altered):
    """A session in which a stop cut a human turn short begins anew."""

    def __init__(self) -> None:
        super().__init__()
        self._spoiled: set[str] = set()

    def alter(self, engine: Engine) -> None:
        for key in self._spoiled:
            renew(engine, key)
        self._spoiled = set()

    async def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        open_turns = self._engine.runner.turns
        self._spoiled = {turn.key for turn in open_turns if turn.run_id is None and turn.key is not None}
        return await super().gateway_stop(params)


@wrong("bugs:R11", "SES-012")
class OneShotsTakeTheSession(Altered):
    """With a one-shot that is deleted after its run goes the session of that run."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            key = turn.key
            inner(turn, run, job, status)
            if key is not None and job.delete_after_run and engine.store.job(job.id) is None:
                engine.store.delete_session(key)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:K6", "SES-012")
class FailedJobsReset(Altered):
    """With a job that its failures disable its session begins anew."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            key = turn.key
            inner(turn, run, job, status)
            now = engine.store.job(job.id)
            if key is not None and now is not None and now.disabled_by == "failures":
                renew(engine, key)

        wrap(engine.runner, "_finish", finish)


@wrong("openclaw#63442", "SES-006")
class LateRunsLeaveReceipts(Leaving):
    """A late run in a shared session leaves a row of its own."""

    def leaves(self, run: Run, job: Job) -> bool:
        return run.trigger == "catchup"


@wrong("openclaw#63442", "SES-006")
class RepetitionsLeaveReceipts(Leaving):
    """A repetition in a shared session leaves a row of its own."""

    def leaves(self, run: Run, job: Job) -> bool:
        return run.trigger == "retry"


@wrong("openclaw#75964", "SES-007", "SES-014")
class EventsBesideATurnAreDropped(Altered):
    """An event that comes while a turn of the main session is under way is noted as done."""

    def alter(self, engine: Engine) -> None:
        busy: set[str] = set()

        def converse(inner: Callable[..., Any], turn: Turn, place: Place, *rest: Any) -> Any:
            async def work() -> None:
                busy.add(place.key)
                try:
                    await inner(turn, place, *rest)
                finally:
                    busy.discard(place.key)

            dropped = place.kind == MAIN and turn.run_id is not None and place.key in busy
            return _nothing() if dropped else work()

        wrap(engine.runner, "_converse", converse)


@wrong("librefang#3443", "SES-014")
class MainTurnsGoSideBySide(Altered):
    """A turn that waited for the main session writes it as it was when it came, and its own turn."""

    def alter(self, engine: Engine) -> None:
        def said(key: str) -> list[Message]:
            row = engine.store.session(key)
            return [] if row is None else list(engine.desk.messages(row))

        def converse(inner: Callable[..., Any], turn: Turn, place: Place, *rest: Any) -> Any:
            async def work() -> None:
                before = said(place.key)
                await inner(turn, place, *rest)
                now, row = said(place.key), engine.store.session(place.key)
                if row is not None and place.kind == MAIN and len(now) > len(before) + 2:
                    engine.transcripts.remove(row.id)
                    engine.transcripts.append(row.id, [*before, *now[-2:]])

            return work()

        wrap(engine.runner, "_converse", converse)


class _Idle(Altered):
    """A session of one kind that was idle for a day begins anew."""

    kind: ClassVar[str]

    def alter(self, engine: Engine) -> None:
        def enter(inner: Callable[..., Any], turn: Turn, place: Place, opened: object) -> Any:
            row = engine.store.session(place.key)
            if row is not None and row.kind == self.kind and engine.clock.now() - row.updated_ms > 86_400_000:
                renew(engine, place.key)
            return inner(turn, place, opened)

        wrap(engine.desk, "enter", enter)


@wrong("openclaw#68315", "SES-013")
class IdleMainIsReset(_Idle):
    """A main session that was idle for a day begins anew."""

    kind = MAIN


@wrong("openclaw#68315", "SES-008", "SES-013")
class IdleNamesAreReset(_Idle):
    """A named session that was idle for a day begins anew."""

    kind = NAMED


@wrong("openclaw#68315", "SES-013")
class IdleJobsAreReset(_Idle):
    """The session of mode shared that was idle for a day begins anew."""

    kind = "job"


class _Telling(Altered):
    """Tells the model what was said in a way of its own."""

    def told(self, messages: list[Message]) -> list[Any]:
        raise NotImplementedError

    def alter(self, engine: Engine) -> None:
        def messages(inner: Callable[[SessionRow], list[Message]], row: SessionRow) -> list[Any]:
            return self.told(list(inner(row)))

        wrap(engine.desk, "messages", messages)


@wrong("bugs:K6", "SES-008")
class LongRepliesAreCut(_Telling):
    """Of a long reply the model is told the beginning later."""

    def told(self, messages: list[Message]) -> list[Any]:
        return [{**message, "content": message["content"][:1_000]} for message in messages]


@wrong("bugs:K6", "SES-008")
class TheNewestIsToldFirst(_Telling):
    """The turns of a session are told in the order in which a data base gave them."""

    def told(self, messages: list[Message]) -> list[Any]:
        return [m for at in range(len(messages) - 2, -1, -2) for m in messages[at : at + 2]]


@wrong("bugs:K5", "SES-011")
class EventsTellIdsOfTheirOwn(Altered):
    """Each run in the main session is listed with a session id of its own."""

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        return {"runs": [self._told(run) for run in super().run_list(params)["runs"]]}

    def _told(self, run: dict[str, Any]) -> dict[str, Any]:
        main = str(run.get("sessionKey")).endswith(":main") and run.get("sessionId")
        return {**run, "sessionId": str(uuid.uuid5(uuid.NAMESPACE_OID, run["id"]))} if main else run
