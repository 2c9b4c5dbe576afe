"""Gateways that keep receipts too long, or take what is no receipt or in use (area reaper)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from cronsession_reference.engine import Engine
from cronsession_reference.jobs import Job
from cronsession_reference.keys import job_key
from cronsession_reference.sessions import Turn
from cronsession_reference.settings import DAY
from cronsession_reference.store import Run, SessionRow, Totals

from .altered import Altered, Rows, is_receipt, replan, wrap, wrong


@wrong("openclaw#63442", "REA-001", "REA-003", "REA-004", "REA-005", "REA-009", "STO-009")
class ReaperIsOff(Altered):
    """Retention is accepted and no receipt ever goes."""

    def alter(self, engine: Engine) -> None:
        engine.reaper.retention_ms = None


class Sparing(Altered):
    """A reaper that spares receipts that it should take."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return False

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Rows], now: int) -> Rows:
            return (row for row in inner(now) if not self.spares(engine, row, now))

        replan(engine, choose)


@wrong("bugs:R1", "REA-001", "REA-009")
class RetentionCountsFromTheLastRun(Altered):
    """Receipts go when their job has not run for the time of retention."""

    def alter(self, engine: Engine) -> None:
        def choose(inner: Callable[[int], Rows], now: int) -> Rows:
            if not (due := list(inner(now))):
                return
            kept_ms = engine.reaper.retention_ms or 0
            active = {r.job_id for r in engine.store.sessions() if now - r.updated_ms <= kept_ms}
            yield from (row for row in due if row.job_id not in active)

        replan(engine, choose)


@wrong("openclaw#89666", "REA-001", "REA-024")
class ReceiptsHideBehindTheirJob(Sparing):
    """A run tells the row of its job, which goes in its time; the receipts that nobody tells stay."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return ":run:" in row.key

    def alter(self, engine: Engine) -> None:
        super().alter(engine)

        def finish(inner: Callable[..., None], turn: Turn, run: Run, job: Job, status: str) -> None:
            row = turn.row
            inner(turn, run, job, status)
            if row is not None and is_receipt(row):
                base = replace(row, key=job_key(job.agent, job.id), id=str(uuid5(NAMESPACE_OID, job.id)))
                engine.store.put_session(replace(base, updated_ms=engine.clock.now()))

        wrap(engine.runner, "_finish", finish)

    def run_list(self, params: dict[str, Any]) -> dict[str, Any]:
        runs = super().run_list(params)["runs"]
        told = [(run, str(run["sessionKey"] or "").partition(":run:")[0]) for run in runs]
        return {"runs": [{**run, "sessionKey": key or None} for run, key in told]}


@wrong("openclaw#46369", "REA-003")
class OrphansStay(Sparing):
    """The reaper goes through the jobs, so the receipts of a removed one stay."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        return row.job_id is None or engine.store.job(row.job_id) is None


@wrong("bugs:R6", "REA-004")
class DisabledJobsAreForgotten(Sparing):
    """The reaper goes through the jobs that are enabled."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        job = engine.store.job(row.job_id or "")
        return job is not None and not job.enabled


@wrong("openclaw#63442", "REA-005")
class FailedReceiptsStay(Sparing):
    """Receipts go when their run was finished, and only ok counts as finished."""

    def spares(self, engine: Engine, row: SessionRow, now: int) -> bool:
        runs = {run.session_key: run.status for run in engine.store.runs()}
        return runs.get(row.key, "ok") != "ok"


@wrong("bugs:R6", "REA-001", "REA-003", "REA-004", "REA-005", "STO-009")
class SweepNeedsTraffic(Altered):
    """Receipts are looked at when a run ends, and at no other time."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.reaper, "is_due", lambda inner, *look: False)

        def finished(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            more = inner(run, job)
            sweep(engine.clock.now())
            return more

        sweep = engine.reaper.sweep
        wrap(engine.reaper, "sweep", lambda inner, now: [])
        wrap(engine.runner, "finished", finished)


@wrong("bugs:R7", "REA-002")
class RetentionIsHalved(Altered):
    """Receipts go when half of their time has passed."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is not None:
            engine.reaper.retention_ms //= 2


def reap(
    engine: Engine,
    chosen: Callable[[SessionRow, int, int], bool],
    by_runs: Callable[[set[str]], bool] | None = None,
) -> None:
    """Let the reaper take these rows too.

    ``chosen`` gets the row, now, and retention; ``by_runs``, which is asked of what is chosen, the ids of the jobs
    that ran in it.
    """

    def wanted(now: int) -> list[SessionRow]:
        kept = engine.reaper.retention_ms
        rows = [] if kept is None else [row for row in engine.store.sessions() if chosen(row, now, kept)]
        if by_runs is None or not rows:
            return rows
        jobs: dict[str, set[str]] = {row.key: set() for row in rows}
        for run in engine.store.runs():
            if run.session_key in jobs:
                jobs[run.session_key].add(run.job_id)
        return [row for row in rows if by_runs(jobs[row.key])]

    def is_due(inner: Callable[[Totals, int], bool], totals: Totals, now: int) -> bool:
        return inner(totals, now) or bool(wanted(now))

    def sweep(inner: Callable[[int], list[str]], now: int) -> list[str]:
        removed = inner(now)
        for row in wanted(now):
            engine.transcripts.remove(row.id)
            engine.store.delete_session(row.key)
            removed.append(row.key)
        return removed

    wrap(engine.reaper, "is_due", is_due)
    wrap(engine.reaper, "sweep", sweep)


@wrong("openclaw#56034", "REA-006")
class RunsUnderWayAreReaped(Altered):
    """The receipt of a run that takes longer than retention goes while it is under way."""

    def alter(self, engine: Engine) -> None:
        reap(engine, lambda row, now, kept: is_receipt(row) and now - row.updated_ms > kept)


@wrong("bugs:R3", "REA-006")
class RetentionCountsFromTheStart(Altered):
    """Retention counts from the start of the run: after a long one its receipt goes at once."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            free = engine.store.lease_owner(row.key) is None
            return is_receipt(row) and free and now - row.created_ms > kept

        reap(engine, chosen)


def _lasting(engine: Engine, row: SessionRow) -> bool:
    """Whether it is a shared session that is not in use."""
    return row.kind == "named" and engine.store.lease_owner(row.key) is None


@wrong("bugs:R11", "REA-007")
class SharedSessionsAreReaped(Altered):
    """Every session that a job has used is a receipt to the reaper."""

    def alter(self, engine: Engine) -> None:
        def chosen(row: SessionRow, now: int, kept: int) -> bool:
            return _lasting(engine, row) and now - row.updated_ms > kept

        reap(engine, chosen, bool)


@wrong("bugs:R11", "REA-007")
class KeyedSessionsAreReaped(Altered):
    """The session of a key is a receipt to the reaper, because the target of its job is isolated."""

    def alter(self, engine: Engine) -> None:
        keyed: set[str] = set()

        def start(inner: Callable[[Run, Job], Any], run: Run, job: Job) -> Any:
            if job.session.target == "isolated" and job.session.key is not None:
                keyed.add(engine.jobs.resolve(job).key or "")
            return inner(run, job)

        wrap(engine.runner, "start", start)
        reap(
            engine,
            lambda row, now, kept: row.key in keyed and _lasting(engine, row) and now - row.updated_ms > kept,
        )


@wrong("openclaw#120213", "REA-008")
class NullMeansTheDefault(Altered):
    """Retention null is taken for an absent one: 24 hours."""

    def alter(self, engine: Engine) -> None:
        if engine.reaper.retention_ms is None:
            engine.reaper.retention_ms = DAY


@wrong("openclaw#65151", "REA-009")
class TranscriptsStay(Altered):
    """Rows go, and their transcripts stay."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.transcripts, "remove", lambda inner, session_id: None)
