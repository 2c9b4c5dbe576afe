"""Gateways that lose or repeat something when they are stopped or killed (profile durability).

What a crash loses was acknowledged and not yet on disk: it is taken back when the instance is abandoned.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cronsession_reference.engine import Engine
from cronsession_reference.jobdesk import Written
from cronsession_reference.jobs import At, Job
from cronsession_reference.store import Run

from .altered import LASTING, Altered, is_receipt, wrap, wrong


class Buffered(Altered):
    """Jobs as they were before writes that are still in memory; None for a job that was not there."""

    def __init__(self) -> None:
        super().__init__()
        self.unwritten: dict[str, Job | None] = {}

    async def clock_advance(self, params: dict[str, Any]) -> dict[str, Any]:
        self.unwritten.clear()
        return await super().clock_advance(params)

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for job_id, job in self.unwritten.items():
            if job is None:
                self._engine.store.delete_job(job_id)
            else:
                self._engine.store.put_job(job)
        return await super().gateway_abandon(params)


@wrong("openclaw#37676", "STO-001", "STO-008")
class AddIsBuffered(Buffered):
    """An added job is written with the next tick."""

    def alter(self, engine: Engine) -> None:
        def add(inner: Callable[..., Written], *spec: Any) -> Written:
            written = inner(*spec)
            self.unwritten[written.job.id] = None
            return written

        wrap(engine.jobs, "add", add)


@wrong("bugs:D1", "STO-001")
class EditIsBuffered(Buffered):
    """An edit is written with the next tick."""

    def alter(self, engine: Engine) -> None:
        def update(inner: Callable[..., Written], job_id: str, *patch: Any) -> Written:
            before = engine.store.job(job_id)
            written = inner(job_id, *patch)
            self.unwritten.setdefault(job_id, before)
            return written

        wrap(engine.jobs, "update", update)


@wrong("hermes-agent#71959", "STO-002")
class RemovalIsBuffered(Buffered):
    """A removal is written with the next tick."""

    def alter(self, engine: Engine) -> None:
        def remove(inner: Callable[[str], bool], job_id: str) -> bool:
            self.unwritten[job_id] = engine.store.job(job_id)
            return inner(job_id)

        wrap(engine.jobs, "remove", remove)


@wrong("bugs:K6", "STO-003", "SES-008")
class RestartStartsAnew(Altered):
    """A session id is worth nothing after the process that made it has stopped."""

    async def gateway_stop(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        for row in store.sessions():
            if row.kind in LASTING:
                store.put_session(replace(row, id=str(uuid.uuid4())))
        return await super().gateway_stop(params)


@wrong("bugs:D1", "STO-004")
class TranscriptsAreWrittenAtStop(Altered):
    """What was said is in memory until the gateway stops in good order."""

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        for row in self._engine.store.sessions():
            if row.kind in LASTING:
                self._engine.transcripts.remove(row.id)
        return await super().gateway_abandon(params)


@wrong("hermes-agent#3396", "STO-005")
class ClaimIsBuffered(Altered):
    """That a slot has run is on disk when the next one has."""

    async def gateway_abandon(self, params: dict[str, Any]) -> dict[str, Any]:
        store = self._engine.store
        last = {run.job_id: run for run in store.runs() if run.trigger == "schedule"}
        for job in store.jobs():
            if job.id in last and job.next_run_ms is not None:
                store.delete_run(last[job.id].id)
                store.put_job(replace(job, next_run_ms=last[job.id].slot_ms))
        return await super().gateway_abandon(params)


@wrong("openclaw#30096", "STO-006")
class RunningForEver(Altered):
    """The mark of a run under way outlives the process, and blocks the job."""

    def alter(self, engine: Engine) -> None:
        wrap(engine.scheduler, "_is_open", lambda inner, run: True)


@wrong("bugs:E2", "STO-006")
class InterruptedIsListedAsOk(Altered):
    """A run that a crash interrupted is listed as ok."""

    def alter(self, engine: Engine) -> None:
        def put(inner: Callable[[Run], None], run: Run) -> None:
            inner(replace(run, status="ok", error=None) if run.status == "interrupted" else run)

        wrap(engine.store, "put_run", put)


@wrong("openclaw#10251", "STO-007")
class MissedSlotsAreDropped(Altered, does={"catchUp": "skip"}, declares={}):
    """Missed slots are not made up for, and once is declared."""


@wrong("bugs:S6", "STO-007")
class MissedSlotsAllRun(Altered, does={"catchUp": "all"}, declares={}):
    """Each missed slot is run late, and once is declared."""


@wrong("hermes-agent#33318", "STO-007")
class GraceRunsEverySlot(Altered, does={"catchUp": "all"}, declares={"catchUp": "grace"}):
    """Each missed slot is run late, and grace is declared."""


@wrong("bugs:S6", "STO-007")
class MissedSlotsRunOnce(Altered, does={}, declares={"catchUp": "all"}):
    """Missed slots are made up for by one run, and all is declared."""


@wrong("bugs:S10", "STO-008")
class MissedOneShotIsDropped(Altered, does={"missedOneShot": "skip"}, declares={}):
    """A missed one-shot does not run, and run is declared."""


@wrong("hermes-agent#59383", "STO-008")
class MissedOneShotIsStillShown(Altered, does={"missedOneShot": "skip"}):
    """A missed one-shot does not run, as declared, and is shown as still to come."""

    def alter(self, engine: Engine) -> None:
        def describe(inner: Callable[[Job], dict[str, Any]], job: Job) -> dict[str, Any]:
            data = inner(job)
            ran = any(run.job_id == job.id and run.started_ms is not None for run in engine.store.runs())
            if ran or not isinstance(job.schedule, At):
                return data
            return {**data, "nextRunAtMs": job.schedule.at_ms}

        wrap(engine.jobs, "describe", describe)


@wrong("bugs:R1", "STO-009")
class RetentionCountsFromTheRestart(Altered):
    """A start counts as activity of every receipt."""

    def alter(self, engine: Engine) -> None:
        for row in engine.store.sessions():
            if is_receipt(row):
                engine.store.put_session(replace(row, updated_ms=engine.clock.now()))


@wrong("bugs:R6", "STO-009", "MNT-006")
class NoSweepAfterARestart(Altered):
    """The sweep is set up for a new store and forgotten for one that was there."""

    def alter(self, engine: Engine) -> None:
        if engine.store.meta("swept") is not None:
            wrap(engine, "_sweep_at", lambda inner, when: None)
