"""Gateways whose fresh sessions are not fresh after trouble, or whose lasting ones do not last (area sessions)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import Job
from cronsession_reference.keys import main_key, receipt_key
from cronsession_reference.resolver import MAIN, NAMED, RECEIPT
from cronsession_reference.sessions import Place, Turn
from cronsession_reference.store import Run, SessionRow

from .altered import Altered, is_receipt, wrap, wrong
from .contexts import renew


@wrong("openclaw#70619", "SES-009")
class FailedTextsStay(Altered):
    """The text of a run that had no reply is the beginning of the job's next fresh session."""

    def alter(self, engine: Engine) -> None:
        def messages(inner: Callable[[SessionRow], list[Any]], row: SessionRow) -> list[Any]:
            own = [r for r in engine.store.sessions() if is_receipt(row) and r.job_id == row.job_id]
            before = inner(own[-2]) if len(own) > 1 else []
            return [*before, *inner(row)] if before and before[-1]["role"] == "user" else inner(row)

        wrap(engine.desk, "messages", messages)


@wrong("openclaw#42210", "SES-010")
class FreshKeysAreInstants(Altered):
    """The key of a fresh session is made of the agent and the instant."""

    def alter(self, engine: Engine) -> None:
        def place(inner: Callable[[Job], Place], job: Job) -> Place:
            found = inner(job)
            if found.kind != RECEIPT:
                return found
            now = f"{job.agent} {engine.clock.now()}"
            return replace(
                found,
                key=receipt_key(job.agent, "at", now),
                session_id=str(uuid.uuid5(uuid.NAMESPACE_OID, now)),
            )

        wrap(engine.runner, "_place", place)


class EndRenews(Altered):
    """After runs that ended so their session begins anew."""

    endings: tuple[str, ...] = ()

    def alter(self, engine: Engine) -> None:
        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            key = turn.key
            inner(turn, run, job, status)
            if status in self.endings and key is not None:
                renew(engine, key)

        wrap(engine.runner, "_finish", finish)


@wrong("bugs:K6", "SES-011")
class TimeoutResetsTheSession(EndRenews):
    """A session in which a turn timed out is taken for broken."""

    endings = ("timeout",)


@wrong("bugs:K6", "SES-011")
class CancelResetsTheSession(EndRenews):
    """To cancel a run is to throw away its conversation."""

    endings = ("cancelled",)


@wrong("bugs:R11", "SES-012")
class RemovalTakesTheSession(Altered):
    """With a job goes the session of its runs, whoever else uses it."""

    def job_remove(self, params: dict[str, Any]) -> dict[str, Any]:
        job = self._engine.store.job(str(params.get("id")))
        answer = super().job_remove(params)
        if job is not None:
            key = self._engine.jobs.resolve(job).key
            if key is not None and self._engine.store.session(key) is not None:
                self._engine.store.delete_session(key)
        return answer


@wrong("bugs:K6", "SES-012")
class EditResetsTheSession(Altered):
    """An edited job begins anew, and its session with it."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], *args: Any) -> Written:
            written = inner(*args)
            key = engine.jobs.resolve(written.job).key
            if key is not None:
                renew(engine, key)
            return written

        wrap(engine.jobs, "update", update)


@wrong("openclaw#98947", "SES-013")
class MainIsNewAfterAStart(Altered):
    """The main session is made at the start."""

    def alter(self, engine: Engine) -> None:
        for agent in engine.settings.agents:
            renew(engine, main_key(agent))


@wrong("bugs:K6", "SES-008", "STO-004")
class IdsChangeAtAStart(Altered):
    """Every lasting session continues in a new transcript when the gateway starts."""

    def alter(self, engine: Engine) -> None:
        for row in engine.store.sessions():
            if row.kind == NAMED:
                new = replace(row, id=str(uuid.uuid4()))
                engine.transcripts.append(new.id, engine.transcripts.messages(row.id))
                engine.store.put_session(new)


@wrong("librefang#3443", "SES-014")
class LastWriterWins(Altered):
    """A turn that waited writes the session as it was when it came, and its own turn."""

    def alter(self, engine: Engine) -> None:
        def leave(inner: Callable[[Turn], None], turn: Turn) -> None:
            row, crowded = turn.row, bool(turn.key and engine.desk._queues.get(turn.key))
            inner(turn)
            if row is not None and crowded and turn.reply is not None:
                kept = engine.transcripts.messages(row.id)[:-2]
                engine.transcripts.remove(row.id)
                engine.transcripts.append(row.id, kept)

        wrap(engine.desk, "leave", leave)


@wrong("openclaw:CON-05", "SES-015")
class TurnsDoNotWait(Altered):
    """Turns in one session go on side by side; each is written down when it ends."""

    def alter(self, engine: Engine) -> None:
        async def enter(
            inner: Callable[..., Any], turn: Turn, place: Place, opened: Callable[..., Any]
        ) -> Any:
            row = engine.store.session(place.key)
            if place.key not in engine.desk._queues or row is None:
                return await inner(turn, place, opened)
            turn.row = opened(row)
            return turn.row

        wrap(engine.desk, "enter", enter)


@wrong("openclaw#68315", "SES-016")
class MainIsResetDaily(Altered):
    """The first human turn of a day begins the main session anew."""

    def alter(self, engine: Engine) -> None:
        days: dict[str, int] = {}

        def say(inner: Callable[[Place, str], Turn], place: Place, text: str) -> Turn:
            today = engine.clock.now() // 86_400_000
            if place.kind == MAIN and days.setdefault(place.key, today) != today:
                renew(engine, place.key)
            days[place.key] = today
            return inner(place, text)

        wrap(engine.runner, "say", say)
