"""Gateways that use the right session wrongly (area sessions)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job, Wish
from cronsession_reference.keys import job_key, main_key
from cronsession_reference.resolver import MAIN, NAMED, RECEIPT
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, is_receipt, wrap, wrong


@wrong("bugs:K5", "RES-003", "RES-015", "RES-017", "RES-018", "SES-001")
class FreshRunsGoOn(Altered):
    """A new session id, and the conversation of the job's last run."""

    def alter(self, engine: Engine) -> None:
        def messages(inner: Callable[[SessionRow], list[Any]], row: SessionRow) -> list[Any]:
            own = [r for r in engine.store.sessions() if is_receipt(row) and r.job_id == row.job_id]
            return inner(row) if len(own) < 2 else inner(own[-2])

        wrap(engine.desk, "messages", messages)


@wrong("bugs:K5", "RES-018", "SES-008")
class FreshRunsSeeTheLastSession(Altered):
    """A fresh run starts with what was said in the named session that was active last."""

    def alter(self, engine: Engine) -> None:
        def messages(inner: Callable[[SessionRow], list[Any]], row: SessionRow) -> list[Any]:
            named = sorted(
                (r for r in engine.store.sessions() if r.kind == NAMED), key=lambda r: r.updated_ms
            )
            return inner(named[-1]) if named and is_receipt(row) else inner(row)

        wrap(engine.desk, "messages", messages)


@wrong("openclaw#23470", "SES-002")
class SessionIdIsReused(Altered):
    """The runs of an isolated job have one session id, which is emptied before each of them."""

    def alter(self, engine: Engine) -> None:
        def place(inner: Callable[[Job], Place], job: Job) -> Place:
            found = inner(job)
            if found.kind != RECEIPT:
                return found
            one = str(uuid.uuid5(uuid.NAMESPACE_OID, job.id))
            engine.transcripts.remove(one)
            return replace(found, session_id=one)

        wrap(engine.runner, "_place", place)


def _main_row(engine: Engine, agent: str) -> SessionRow | None:
    return engine.store.session(main_key(agent))


@wrong("openclaw:RES-17", "SES-003")
class RunsReportToMain(Altered):
    """The reply of an isolated run is put into the main session, for the next human turn to see."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            main = _main_row(engine, job.agent)
            if main is not None and turn.reply is not None and job.session.target == "isolated":
                engine.desk.record(main, "assistant", turn.reply)
            inner(turn, run, job, status)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:K5", "SES-003")
class FreshRunsSeeMain(Altered):
    """An isolated run starts with what was said in the main session."""

    def alter(self, engine: Engine) -> None:
        def messages(inner: Callable[[SessionRow], list[Any]], row: SessionRow) -> list[Any]:
            main = _main_row(engine, row.agent)
            return inner(main) if is_receipt(row) and main is not None else inner(row)

        wrap(engine.desk, "messages", messages)


def renew(engine: Engine, key: str) -> None:
    """A new conversation under an old key."""
    row = engine.store.session(key)
    if row is not None:
        engine.store.put_session(replace(row, id=str(uuid.uuid4())))


@wrong("openclaw#82164", "SES-004", "SES-008")
class HumanTurnStartsAnew(Altered):
    """After a run in a named session the next human turn there begins a new conversation."""

    def alter(self, engine: Engine) -> None:
        ran: set[str] = set()

        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            if turn.row is not None and turn.row.kind == NAMED:
                ran.add(turn.row.key)
            inner(turn, run, job, status)

        def say(inner: Callable[[Place, str], Turn], place: Place, text: str) -> Turn:
            if place.key in ran:
                ran.discard(place.key)
                renew(engine, place.key)
            return inner(place, text)

        wrap(engine.runner, "_finish", finish)
        wrap(engine.runner, "say", say)


@wrong("bugs:K6", "SES-005", "SES-008")
class ErrorResetsTheSession(Altered):
    """After a failed run the session begins anew."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            key = turn.key
            inner(turn, run, job, status)
            if status == "error" and key is not None:
                renew(engine, key)

        wrap(engine.runner, "_finish", finish)


@wrong("openclaw#63442", "SES-006")
class SharedRunsLeaveReceipts(Altered):
    """Each run of a shared session leaves a row of its own beside it."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and row.kind == NAMED:
                key = f"{job_key(job.agent, job.id)}:run:{run.id}"
                engine.store.put_session(replace(row, key=key, id=str(uuid.uuid4()), kind=RECEIPT))

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:K6", "SES-006", "SES-008", "STO-003", "STO-004")
class SessionIdRolls(Altered):
    """Each run of a shared session continues in a new transcript: the row is one, its id is another."""

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and row.kind == NAMED:
                new = replace(engine.store.session(row.key) or row, id=str(uuid.uuid4()))
                engine.transcripts.append(new.id, engine.transcripts.messages(row.id))
                engine.store.put_session(new)

        wrap(engine.runner, "_finish", finish)


@wrong("zeroclaw#6648", "SES-007")
class EventRunsIsolated(Altered):
    """Target main is accepted and runs like isolated."""

    def alter(self, engine: Engine) -> None:
        def place(inner: Callable[[Job], Place], job: Job) -> Place:
            return inner(replace(job, session=Wish("isolated")) if job.session.target == "main" else job)

        wrap(engine.runner, "_place", place)


@wrong("openclaw#75964", "SES-007")
class EventIsDropped(Altered):
    """A system event is noted as done and never told to the model."""

    def alter(self, engine: Engine) -> None:
        def converse(inner: Callable[..., Any], turn: Turn, place: Place, *rest: Any) -> Any:
            async def nothing() -> None:
                return None

            return nothing() if place.kind == MAIN and turn.run_id is not None else inner(turn, place, *rest)

        wrap(engine.runner, "_converse", converse)


@wrong("openclaw#68315", "SES-008", "REA-007")
class IdleSessionsAreReset(Altered):
    """A shared session that was idle for four hours begins anew."""

    def alter(self, engine: Engine) -> None:
        def enter(inner: Callable[..., Any], turn: Turn, place: Place, opened: object) -> Any:
            row = engine.store.session(place.key)
            if row is not None and engine.clock.now() - row.updated_ms > 4 * 3_600_000:
                renew(engine, place.key)
            return inner(turn, place, opened)

        wrap(engine.desk, "enter", enter)


@wrong("bugs:K6", "SES-008")
class HistoryIsShort(Altered):
    """The model is shown the last three turns of a session."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.desk, "messages", lambda inner, row: inner(row)[-6:])
